"""What a release is made of: every cell the matrix can build, each with its archive as measured now and its verdicts.

Nothing is believed. The report says which archives were judged, by digest; the archives are read again from end to end
and must be those very bytes; what they say of themselves must be what the matrix says today. Everything that is wrong
is listed at once, because a person wants to mend all of it before the next build.
"""

from __future__ import annotations

__all__ = ["collect"]

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

from pipeline.errors import BundleError, StoreError
from pipeline.gates.suite import declared
from pipeline.matrix.cells import Cell
from pipeline.matrix.expand import expand
from pipeline.matrix.loaded import LoadedMatrix
from pipeline.model import EngineName, ProfileName, Status, Verdict
from pipeline.plan.names import ARCHIVE_SUFFIX, asset_name
from pipeline.report.document import JSON_NAME, from_json
from pipeline.report.record import CellRecord, CellState, Material, RunReport
from pipeline.report.tally import state_of
from pipeline.report.text import clean
from release.errors import CollectError
from release.inspection import inspect
from release.keys.files import open_regular, read_small
from release.model import Collection, Inspection, Missing, ReleasedBundle

_BUILD = "nox -s build-matrix -- --profile release --all"
_HINT = f"mend what is listed, then build again: {_BUILD}"
_AT_ONCE = 4
_MAX_REPORT = 64 << 20  # as much as is read when the release is verified
_LAST_EPOCH = 250_000_000_000  # the year 9892: the years of its dates have four digits


def collect(*, matrix: LoadedMatrix, dist: Path, today: date, epoch: int | None) -> Collection:
    """Gather the bundles of the release that ``matrix`` describes from ``dist``.

    Args:
        matrix: The matrix the release is made from.
        dist: The folder that holds one folder for each version.
        today: The day waivers are held against.
        epoch: The release's own time, seconds since 1970; None: the end of the run that built it.

    Raises:
        CollectError: What lies there is not a release; every reason is listed.
    """
    version = matrix.file.version + matrix.file.profiles[ProfileName.RELEASE.value].suffix
    folder = dist / version
    report = _report(folder)
    cells = expand(matrix).cells
    expected = tuple(cell for cell in cells if cell.needs is None)
    moment = int(report.ended) if epoch is None else epoch
    problems = [
        *_run_problems(matrix, report, version),
        *_clock_problems(moment, today),
        *([] if expected else ["no cell of the matrix can be built, so there is nothing to release"]),
        *_strays(folder, {asset_name(cell, version) for cell in expected}),
    ]
    gathering = _Gathering(matrix, report, folder, today)
    bundles = gathering.bundles(expected)
    problems += gathering.problems
    problems += _mixed(bundles)
    if problems:
        # Names of files and texts of the report are shown: one line each, whatever is in them.
        raise CollectError([clean(problem) for problem in problems], where=str(folder), hint=_HINT)
    return Collection(
        folder=folder,
        version=version,
        epoch=moment,
        forged=gathering.forged,
        matrix=matrix.file,
        report=report,
        bundles=tuple(bundles),
        missing=tuple(Missing(cell=cell.id, reason=cell.needs) for cell in cells if cell.needs is not None),
    )


def _report(folder: Path) -> RunReport:
    path = folder / JSON_NAME
    try:
        with open_regular(path, follow=False) as stream:
            data = read_small(stream, _MAX_REPORT)
        if data is None:
            problem = f"{JSON_NAME} has more than {_MAX_REPORT} bytes, which no report of ours has"
            raise CollectError([problem], where=str(folder), hint=_BUILD)
        return from_json(data.decode(), where=str(path))
    except FileNotFoundError as error:
        problem = f"there is no {JSON_NAME}: nothing was built for this version"
        raise CollectError([problem], where=str(folder), hint=_BUILD) from error
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{JSON_NAME} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise CollectError([problem], where=str(folder), hint="check the permissions, or build again") from error
    except StoreError as error:
        raise CollectError([f"{JSON_NAME}: {error.what}"], where=str(folder), hint=error.hint) from error


def _run_problems(matrix: LoadedMatrix, report: RunReport, version: str) -> Iterator[str]:
    if matrix.file.release is None:
        yield "matrix.yaml has no release section, which says what the manifest needs to know"
    if report.profile != ProfileName.RELEASE:
        yield f"the report is of a build with profile {report.profile}; only the release profile is released"
    if report.version != version:
        yield f"the report is of version {report.version}, the matrix says {version}"
    for what, counts in (
        ("the cell", Counter(record.id for record in report.cells)),
        ("the material", Counter(material.id for material in report.materials)),
    ):
        for name, count in sorted(counts.items()):
            if count > 1:
                yield f"{what} {name} stands {count} times in the report"


def _clock_problems(epoch: int, today: date) -> Iterator[str]:
    """A release from tomorrow would outlive its expiry, and the next one could not follow it."""
    if not 0 < epoch <= _LAST_EPOCH:
        yield f"{epoch} is no time for a release: give seconds since 1970"
    elif datetime.fromtimestamp(epoch, tz=UTC).date() > today:
        day = datetime.fromtimestamp(epoch, tz=UTC).date()
        yield f"its time is {day}, after today ({today}): this machine's clock or SOURCE_DATE_EPOCH is wrong"


def _strays(folder: Path, expected: set[str]) -> Iterator[str]:
    for path in sorted(folder.glob(f"*{ARCHIVE_SUFFIX}")):
        if path.name not in expected:
            yield f"{path.name} belongs to no cell of the matrix that can be built: remove it, or plan it"


class _Gathering:
    """The bundles as far as they are right, and everything that is wrong with the others."""

    def __init__(self, matrix: LoadedMatrix, report: RunReport, folder: Path, today: date) -> None:
        self.problems: list[str] = []
        self.forged = report.engine == EngineName.FAKE
        self._matrix = matrix
        self._folder = folder
        self._version = folder.name
        self._today = today
        self._records = {record.id: record for record in report.cells}
        self._materials = {material.id: material for material in report.materials}

    def bundles(self, cells: Sequence[Cell]) -> list[ReleasedBundle]:
        """Gather every cell; the archives are read side by side, since each read is one thread's work."""
        ready = [(cell, record) for cell in cells if (record := self._judged(cell)) is not None]
        with ThreadPoolExecutor(max_workers=min(_AT_ONCE, os.cpu_count() or 1)) as pool:
            seen = list(pool.map(self._look, (self._folder / str(record.asset) for _, record in ready)))
        found = []
        for (cell, record), outcome in zip(ready, seen, strict=True):
            if isinstance(outcome, str):
                self._note(cell, [outcome])
                continue
            self._note(cell, _bytes_problems(record, outcome))
            self._note(cell, self._identity_problems(cell, outcome))
            found.append(
                ReleasedBundle(
                    cell=cell,
                    asset=str(record.asset),
                    inspection=outcome,
                    verdicts=record.verdicts,
                    materials=self._materials_of(cell, record),
                )
            )
        return found

    def _note(self, cell: Cell, problems: Sequence[str] | Iterator[str]) -> None:
        self.problems += [f"{cell.id}: {problem}" for problem in problems]

    def _judged(self, cell: Cell) -> CellRecord | None:
        """Give the cell's record if its archive is worth reading; say what is wrong with it either way."""
        record = self._records.get(cell.id)
        if record is None:
            self._note(cell, ["the report does not know it: it was not asked for in that build"])
            return None
        name = asset_name(cell, self._version)
        if record.sha256 is None or record.asset is None:
            why = f": {record.reason}" if record.reason else ""
            self._note(cell, [f"it was not built ({record.state}{why})"])
            return None
        self._note(cell, self._verdict_problems(cell, record))
        if record.asset != name:
            self._note(cell, [f"the report calls its archive {record.asset!r}, the plan {name}"])
            return None
        return record

    def _verdict_problems(self, cell: Cell, record: CellRecord) -> Iterator[str]:
        state = state_of(record)
        bad = [verdict for verdict in record.verdicts if verdict.status in {Status.FAILED, Status.SKIPPED}]
        for verdict in bad:
            yield f"gate {verdict.gate} {verdict.status}: {verdict.reason or verdict.summary}"
        if state is not CellState.PASSED and not bad:
            yield f"it is {state}, not passed{f': {record.reason}' if record.reason else ''}"
        counts = Counter(verdict.gate for verdict in record.verdicts)
        for gate in declared(cell):
            if counts[gate.name] != 1:
                yield f"gate {gate.name} gave {counts[gate.name] or 'no'} verdicts, and the matrix asks for one"
        for name in sorted(counts.keys() - {gate.name for gate in declared(cell)}):
            yield f"gate {name} gave a verdict, and the matrix does not ask for one"
        for verdict in record.verdicts:
            if verdict.status is Status.WAIVED:
                yield from self._waiver_problems(cell, verdict)

    def _waiver_problems(self, cell: Cell, verdict: Verdict) -> Iterator[str]:
        waivers = [waiver for waiver in cell.waivers if waiver.gate == verdict.gate]
        if not any((waiver.reason, waiver.until) == (verdict.reason, verdict.until) for waiver in waivers):
            yield f"gate {verdict.gate} was waived until {verdict.until} and matrix.yaml no longer says so"
        if verdict.until is None or verdict.until < self._today.isoformat():
            yield f"gate {verdict.gate}'s waiver ended on {verdict.until}"

    @staticmethod
    def _look(path: Path) -> Inspection | str:
        if path.is_symlink() or not path.is_file():
            return f"{path.name} is not there, or is no plain file"
        try:
            return inspect(path)
        except BundleError as error:
            return f"{path.name}: {error.what}"

    def _identity_problems(self, cell: Cell, seen: Inspection) -> Iterator[str]:
        """Hold what the bundle says of itself against the matrix as it is now."""
        info = seen.info
        source = self._matrix.file.projects[cell.project].source
        pinned = self._matrix.file.sources[source]
        for label, theirs, ours in (
            ("project", info.project, cell.project),
            ("platform", info.platform, cell.platform),
            ("variant", info.variant, cell.variant),
            ("version", info.version, self._version),
            ("profile", info.profile.name, ProfileName.RELEASE.value),
            ("source", info.source.name, source),
            ("source version", info.source.version, pinned.version),
            ("commit", info.source.commit, pinned.commit),
            ("backends", sorted(info.backends), sorted(cell.backends)),
            ("pending backends", dict(info.pending), dict(cell.pending)),
        ):
            if theirs != ours:
                yield f"its BUILD_INFO.json says {label} {theirs!r}, the matrix {ours!r}"
        if seen.top != asset_name(cell, self._version).removesuffix(ARCHIVE_SUFFIX):
            yield f"it unpacks to {seen.top!r}, which is not its name"
        if not self.forged:
            if pinned.commit is None:
                yield f"its source {source} has no commit in matrix.yaml, so nothing says what it was built from"
            if not info.source.proven:
                yield "its source was not proved to be the pinned commit: build it without --source"

    def _materials_of(self, cell: Cell, record: CellRecord) -> tuple[Material, ...]:
        unknown = [name for name in record.materials if name not in self._materials]
        if unknown:
            self._note(cell, [f"it was made with {', '.join(unknown)}, which the report does not describe"])
        if not record.materials and not self.forged:
            self._note(cell, ["the report does not say which image and toolchain made it: build it again"])
        return tuple(self._materials[name] for name in record.materials if name in self._materials)


def _bytes_problems(record: CellRecord, seen: Inspection) -> Iterator[str]:
    if seen.sha256 != record.sha256:
        yield f"{record.asset} has the SHA-256 {seen.sha256}, the gates judged {record.sha256}"
        return
    for label, theirs, ours in (
        ("size", record.size, seen.size),
        ("unpacked size", record.unpacked_size, seen.unpacked_size),
    ):
        if theirs != ours:
            yield f"the report says {label} {theirs}, {record.asset} has {ours}"


def _mixed(bundles: Sequence[ReleasedBundle]) -> Iterator[str]:
    """Bundles that must have been built together, and were not."""
    yield from _differing(
        bundles,
        "builds",
        lambda one: f"{one.cell.project}/{one.cell.platform}",
        lambda one: one.inspection.info.build_id,
    )
    yield from _differing(
        bundles, "source trees", lambda one: one.cell.project, lambda one: one.inspection.info.source.digest
    )


def _differing(
    bundles: Sequence[ReleasedBundle],
    what: str,
    group: Callable[[ReleasedBundle], str],
    value: Callable[[ReleasedBundle], str],
) -> Iterator[str]:
    groups: Mapping[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for bundle in bundles:
        groups[group(bundle)][value(bundle)].append(bundle.cell.variant)
    for name, values in sorted(groups.items()):
        if len(values) > 1:
            listed = "; ".join(f"{key[:16]}: {', '.join(cells)}" for key, cells in sorted(values.items()))
            yield f"the bundles of {name} come from different {what} ({listed}): build them together"
