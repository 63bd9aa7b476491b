"""A release is collected only if everything fits; each way it does not has a test that makes it happen."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from pipeline.bundle.info import BuildInfo, ProfileInfo
from pipeline.matrix.expand import expand
from pipeline.model import Status, Verdict
from pipeline.report.record import CellState
from release.collect import collect
from release.errors import CollectError
from release.inspection import inspect
from release.model import Collection, Missing
from tests.release.builders import (
    EPOCH,
    FORGED,
    MATRIX_TEXT,
    TODAY,
    Dist,
    load_matrix,
    make_archive,
    make_collection,
    make_dist,
)

CPU, VULKAN = "llama.cpp/linux-x86_64/cpu", "llama.cpp/linux-x86_64/vulkan"
CPU_ASSET = "llama.cpp-0.1.0-linux-x86_64-cpu.tar.zst"


@pytest.fixture
def dist(tmp_path: Path) -> Dist:
    return make_dist(tmp_path / "dist")


def gather(
    dist: Dist, *, text: str | None = None, today: datetime.date = TODAY, epoch: int | None = None
) -> Collection:
    matrix = dist.matrix if text is None else load_matrix(text)
    return collect(matrix=matrix, dist=dist.root, today=today, epoch=epoch)


def problems(
    dist: Dist, *, text: str | None = None, today: datetime.date = TODAY, epoch: int | None = None
) -> list[str]:
    with pytest.raises(CollectError) as caught:
        gather(dist, text=text, today=today, epoch=epoch)
    assert caught.value.where == str(dist.folder)
    assert caught.value.hint
    return list(caught.value.problems)


def verdicts(dist: Dist, cell: str, gate: str, **values: object) -> Dist:
    record = next(record for record in dist.report.cells if record.id == cell)
    changed = tuple(
        dataclasses.replace(verdict, **values) if verdict.gate == gate else verdict  # type: ignore[arg-type]  # right ones
        for verdict in record.verdicts
    )
    assert changed != record.verdicts
    return dist.change(cell, verdicts=changed)


def repacked(dist: Dist, cell: str, **changes: object) -> Dist:
    """Put another archive in place, and a report that knows it."""
    found = next(one for one in expand(dist.matrix).cells if one.id == cell)
    record = next(record for record in dist.report.cells if record.id == cell)
    assert record.asset
    (dist.folder / record.asset).unlink()

    def edit(info: BuildInfo) -> BuildInfo:
        return msgspec.structs.replace(info, **changes)

    path = make_archive(dist.folder, dist.matrix, found, edit=edit)
    return judged(dist, cell, path)


def judged(dist: Dist, cell: str, path: Path) -> Dist:
    seen = inspect(path)
    return dist.change(cell, size=seen.size, unpacked_size=seen.unpacked_size, sha256=seen.sha256)


def test_everything_that_can_be_built_is_collected(dist: Dist) -> None:
    found = gather(dist)
    wanted = make_collection(dist.root.parent / "other")

    assert [bundle.cell.id for bundle in found.bundles] == [
        CPU,
        VULKAN,
        "llama.cpp/linux-x86_64/all",
        "llama.cpp/linux-aarch64/cpu",
    ]
    assert [bundle.inspection.sha256 for bundle in found.bundles] == [
        bundle.inspection.sha256 for bundle in wanted.bundles
    ]
    assert found.missing == wanted.missing
    assert Missing(cell="llama.cpp/linux-x86_64/cuda12", reason="a CUDA 12 image") in found.missing
    assert {missing.cell.partition("/")[0] for missing in found.missing} == {"llama.cpp", "ollama"}
    assert (found.version, found.forged, found.folder) == ("0.1.0", False, dist.folder)
    assert all(bundle.materials == dist.report.materials for bundle in found.bundles)
    assert all(bundle.inspection.path.is_file() for bundle in found.bundles)


def test_the_time_is_the_end_of_the_run_or_what_is_given(dist: Dist) -> None:
    assert gather(dist).epoch == EPOCH
    assert gather(dist, epoch=1_700_000_000).epoch == 1_700_000_000


@pytest.mark.parametrize("epoch", [0, -1, 10**15])
def test_an_impossible_time_is_refused(dist: Dist, epoch: int) -> None:
    assert problems(dist, epoch=epoch) == [f"{epoch} is no time for a release: give seconds since 1970"]


def test_forged_bundles_are_marked_and_need_no_proof(tmp_path: Path) -> None:
    found = gather(make_dist(tmp_path / "dist", engine=FORGED))

    assert found.forged
    assert all(bundle.materials == () for bundle in found.bundles)


def test_forged_bundles_do_not_pass_for_real_ones(tmp_path: Path) -> None:
    dist = make_dist(tmp_path / "dist", engine=FORGED)
    found = problems(dist.rewrite(dataclasses.replace(dist.report, engine="docker")))

    assert f"{CPU}: its source was not proved to be the pinned commit: build it without --source" in found
    assert f"{CPU}: the report does not say which image and toolchain made it: build it again" in found


def test_nothing_was_built(tmp_path: Path) -> None:
    with pytest.raises(CollectError, match=r"there is no report\.json: nothing was built for this version") as caught:
        collect(matrix=load_matrix(), dist=tmp_path, today=TODAY, epoch=None)
    assert caught.value.hint == "nox -s build-matrix -- --profile release --all"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"{", "not a report"), (b'{"schema": 9}', "schema 9"), (b"\xff\xfe", "cannot be read"), (b"[" * 99_999, "not a")],
)
def test_a_bad_report(dist: Dist, content: bytes, says: str) -> None:
    (dist.folder / "report.json").write_bytes(content)

    assert says in problems(dist)[0]


def test_a_report_that_is_a_folder(dist: Dist) -> None:
    (dist.folder / "report.json").unlink()
    (dist.folder / "report.json").mkdir()

    assert "report.json cannot be read" in problems(dist)[0]


def test_only_the_release_profile_is_released(dist: Dist) -> None:
    found = problems(dist.rewrite(dataclasses.replace(dist.report, profile="local")))

    assert found == ["the report is of a build with profile local; only the release profile is released"]


def test_the_version_must_be_the_matrix_version(dist: Dist) -> None:
    text = json.loads((dist.folder / "report.json").read_text(encoding="utf-8"))
    (dist.folder / "report.json").write_text(json.dumps({**text, "version": "0.0.9"}), encoding="utf-8")

    assert problems(dist) == ["the report is of version 0.0.9, the matrix says 0.1.0"]


def test_the_matrix_must_say_how_to_release(dist: Dist) -> None:
    text = MATRIX_TEXT[: MATRIX_TEXT.index("\nrelease:\n")]

    assert problems(dist, text=text) == [
        "matrix.yaml has no release section, which says what the manifest needs to know"
    ]


def test_a_cell_the_build_did_not_ask_for(dist: Dist) -> None:
    cells = tuple(record for record in dist.report.cells if record.id != CPU)
    found = problems(dist.rewrite(dataclasses.replace(dist.report, cells=cells)))

    assert found == [f"{CPU}: the report does not know it: it was not asked for in that build"]


def test_a_cell_that_was_not_built(dist: Dist) -> None:
    found = problems(dist.change(CPU, state=CellState.NOT_RUN, reason="needs Docker", sha256=None, verdicts=()))

    assert found == [f"{CPU}: it was not built (not run: needs Docker)"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED])
def test_a_gate_that_did_not_pass(dist: Dist, status: Status) -> None:
    found = problems(verdicts(dist, CPU, "smoke", status=status, reason="no image"))

    assert found == [f"{CPU}: gate smoke {status}: no image"]


def test_a_state_that_the_verdicts_do_not_explain(dist: Dist) -> None:
    assert problems(dist.change(CPU, state=CellState.FAILED, reason="killed")) == [
        f"{CPU}: it is failed, not passed: killed"
    ]


@pytest.mark.parametrize("count", [0, 2])
def test_each_declared_gate_gives_one_verdict(dist: Dist, count: int) -> None:
    record = next(record for record in dist.report.cells if record.id == CPU)
    kept = tuple(verdict for verdict in record.verdicts if verdict.gate != "abi")
    abi = Verdict(gate="abi", status=Status.PASSED, summary="fine")
    found = problems(dist.change(CPU, verdicts=(*kept, *([abi] * count))))

    assert found == [f"{CPU}: gate abi gave {count or 'no'} verdicts, and the matrix asks for one"]


WAIVED = MATRIX_TEXT.replace(
    '  - cells: "*/*/cuda12"\n',
    '  - cells: "llama.cpp/linux-x86_64/cpu"\n    set:\n'
    '      waivers: [{gate: smoke, reason: no clock there, until: "2026-12-31"}]\n'
    '  - cells: "*/*/cuda12"\n',
    1,
)


def waived(tmp_path: Path, **values: object) -> Dist:
    dist = make_dist(tmp_path / "dist", text=WAIVED)
    given = {"status": Status.WAIVED, "reason": "no clock there", "until": "2026-12-31", **values}
    return verdicts(dist, CPU, "smoke", **given)


def test_a_waived_gate_is_collected_and_shown(tmp_path: Path) -> None:
    found = gather(waived(tmp_path))

    assert [verdict.gate for verdict in found.bundles[0].waived] == ["smoke"]


def test_a_waiver_holds_on_its_last_day_and_not_on_the_next(tmp_path: Path) -> None:
    dist = waived(tmp_path)

    assert len(gather(dist, today=datetime.date(2026, 12, 31)).bundles) == 4
    assert problems(dist, today=datetime.date(2027, 1, 1)) == [f"{CPU}: gate smoke's waiver ended on 2026-12-31"]


@pytest.mark.parametrize("values", [{"reason": "another"}, {"until": "2027-01-31"}])
def test_a_waiver_must_still_stand_in_the_matrix(tmp_path: Path, values: dict[str, str]) -> None:
    until = values.get("until", "2026-12-31")

    assert problems(waived(tmp_path, **values)) == [
        f"{CPU}: gate smoke was waived until {until} and matrix.yaml no longer says so"
    ]


def test_a_waiver_without_an_end(tmp_path: Path) -> None:
    assert f"{CPU}: gate smoke's waiver ended on None" in problems(waived(tmp_path, until=None))


def test_a_name_that_is_not_the_plans(dist: Dist) -> None:
    assert problems(dist.change(CPU, asset="../evil.tar.zst")) == [
        f"{CPU}: the report calls its archive '../evil.tar.zst', the plan {CPU_ASSET}"
    ]


def test_an_archive_that_is_gone(dist: Dist) -> None:
    (dist.folder / CPU_ASSET).unlink()

    assert problems(dist) == [f"{CPU}: {CPU_ASSET} is not there, or is no plain file"]


def test_an_archive_that_is_a_link(dist: Dist) -> None:
    path = dist.folder / CPU_ASSET
    path.rename(dist.root / "elsewhere")
    path.symlink_to(dist.root / "elsewhere")

    assert problems(dist) == [f"{CPU}: {CPU_ASSET} is not there, or is no plain file"]


def test_an_archive_that_is_damaged(dist: Dist) -> None:
    (dist.folder / CPU_ASSET).write_bytes(b"garbage")

    assert problems(dist)[0].startswith(f"{CPU}: {CPU_ASSET}: it is not readable as zstd")


def test_an_archive_that_was_not_judged(dist: Dist) -> None:
    shutil.copy(dist.folder / "llama.cpp-0.1.0-linux-x86_64-vulkan.tar.zst", dist.folder / CPU_ASSET)
    found = problems(dist)

    assert "has the SHA-256" in found[0]
    assert "the gates judged" in found[0]
    assert f"{CPU}: its BUILD_INFO.json says variant 'vulkan', the matrix 'cpu'" in found
    assert f"{CPU}: it unpacks to 'llama.cpp-0.1.0-linux-x86_64-vulkan', which is not its name" in found


@pytest.mark.parametrize(("key", "label"), [("size", "size"), ("unpacked_size", "unpacked size")])
def test_sizes_are_measured_and_never_believed(dist: Dist, key: str, label: str) -> None:
    found = problems(dist.change(CPU, **{key: 7}))

    assert found[0].startswith(f"{CPU}: the report says {label} 7, {CPU_ASSET} has ")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"project": "ollama"}, "project 'ollama', the matrix 'llama.cpp'"),
        ({"platform": "linux-riscv64"}, "platform 'linux-riscv64', the matrix 'linux-x86_64'"),
        ({"variant": "all"}, "variant 'all', the matrix 'cpu'"),
        ({"version": "0.1.0-local"}, "version '0.1.0-local', the matrix '0.1.0'"),
        ({"backends": ("vulkan",)}, "backends ['vulkan'], the matrix []"),
        ({"pending": {"cuda12": "much"}}, "pending backends {'cuda12': 'much'}, the matrix {}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_bundle_says_of_itself_must_be_the_matrix(dist: Dist, changes: dict[str, object], says: str) -> None:
    assert problems(repacked(dist, CPU, **changes)) == [f"{CPU}: its BUILD_INFO.json says {says}"]


def test_the_profile_inside_counts_too(dist: Dist) -> None:
    found = problems(repacked(dist, CPU, profile=ProfileInfo(name="local", description="quick")))

    assert found == [f"{CPU}: its BUILD_INFO.json says profile 'local', the matrix 'release'"]


def test_another_pin_since_the_build(dist: Dist) -> None:
    text = MATRIX_TEXT.replace("0c1e57098bba43ac29e6e3b677cdceebdd22334f", "b" * 20 + "a" * 20, 1)
    found = problems(dist, text=text)

    assert len(found) == 4
    assert "says commit '0c1e57098bba43ac29e6e3b677cdceebdd22334f', the matrix 'bbbbbbbbbbbbbbbbbbbb" in found[0]


def test_builds_are_not_mixed(dist: Dist) -> None:
    found = problems(repacked(dist, VULKAN, build_id="feedfacefeedface"))

    listed = "52770a3c8006a78d: cpu, all; feedfacefeedface: vulkan"
    assert found == [
        f"the bundles of llama.cpp/linux-x86_64 come from different builds ({listed}): build them together"
    ]


def test_sources_are_not_mixed(dist: Dist) -> None:
    cell = next(one for one in expand(dist.matrix).cells if one.id == VULKAN)
    path = dist.folder / f"llama.cpp-0.1.0-linux-x86_64-{cell.variant}.tar.zst"
    path.unlink()

    def edit(info: BuildInfo) -> BuildInfo:
        return msgspec.structs.replace(info, source=msgspec.structs.replace(info.source, digest="ab" * 32))

    found = problems(judged(dist, VULKAN, make_archive(dist.folder, dist.matrix, cell, edit=edit)))

    assert found[0].startswith("the bundles of llama.cpp come from different source trees (abababababababab: vulkan; ")


def test_an_archive_nobody_planned(dist: Dist) -> None:
    (dist.folder / "llama.cpp-0.1.0-linux-x86_64-cuda12.tar.zst").write_bytes(b"from an earlier matrix")
    (dist.folder / ".llama.cpp-0.1.0-x.tar.zst.0a1b2c3d").write_bytes(b"of a killed run: the next build sweeps it")

    stray = "llama.cpp-0.1.0-linux-x86_64-cuda12.tar.zst"
    assert problems(dist) == [f"{stray} belongs to no cell of the matrix that can be built: remove it, or plan it"]


def test_materials_must_be_described(dist: Dist) -> None:
    found = problems(dist.change(CPU, materials=("image:gone@123456789abc",)))

    assert found == [f"{CPU}: it was made with image:gone@123456789abc, which the report does not describe"]


def test_a_bundle_without_materials_is_built_again(dist: Dist) -> None:
    assert problems(dist.change(CPU, materials=())) == [
        f"{CPU}: the report does not say which image and toolchain made it: build it again"
    ]


def test_a_report_that_says_things_twice(dist: Dist) -> None:
    report = dist.report
    found = problems(
        dist.rewrite(
            dataclasses.replace(
                report, cells=(*report.cells, report.cells[0]), materials=(*report.materials, report.materials[0])
            )
        )
    )

    assert found == [
        f"the cell {CPU} stands 2 times in the report",
        f"the material {report.materials[0].id} stands 2 times in the report",
    ]


def test_a_matrix_that_can_build_nothing(dist: Dist) -> None:
    text = MATRIX_TEXT.replace('  - cells: "ollama/*/*"\n', '  - cells: "*/*/*"\n', 1)
    found = problems(dist, text=text)

    assert found[0] == "no cell of the matrix can be built, so there is nothing to release"
    assert len(found) == 1 + 4  # and every archive is a stray


def test_all_that_is_wrong_is_listed_at_once(dist: Dist) -> None:
    dist = dist.change(CPU, materials=())
    dist = verdicts(dist, VULKAN, "smoke", status=Status.SKIPPED, reason="no image")
    (dist.folder / "llama.cpp-0.1.0-linux-aarch64-cpu.tar.zst").unlink()
    (dist.folder / "stray.tar.zst").write_bytes(b"x")
    with pytest.raises(CollectError) as caught:
        gather(dist)

    assert len(caught.value.problems) == 4
    assert caught.value.code == 20
    text = str(caught.value)
    assert "4 problems\n" in text
    assert all(f"  - {problem}" in text for problem in caught.value.problems)


def test_a_source_without_a_commit_is_not_released(dist: Dist) -> None:
    # matrix.yaml's own checks refuse it first; a release asks again, since it is what vouches for the bytes.
    file = dist.matrix.file
    sources = {**file.sources, "llama.cpp": msgspec.structs.replace(file.sources["llama.cpp"], commit=None)}
    bare = dataclasses.replace(dist.matrix, file=msgspec.structs.replace(file, sources=sources))

    assert (
        f"{CPU}: its source llama.cpp has no commit in matrix.yaml, so nothing says what it was built from"
        in problems(dataclasses.replace(dist, matrix=bare))
    )


def test_a_verdict_nobody_asked_for_is_refused(dist: Dist) -> None:
    record = next(record for record in dist.report.cells if record.id == CPU)
    made_up = dataclasses.replace(record.verdicts[0], gate="security-audit")

    found = problems(dist.change(CPU, verdicts=(*record.verdicts, made_up)))

    assert found == [f"{CPU}: gate security-audit gave a verdict, and the matrix does not ask for one"]


def test_a_release_from_tomorrow_is_refused(dist: Dist) -> None:
    yesterday = TODAY - datetime.timedelta(days=1)

    (found,) = problems(dist, epoch=4_102_444_800)
    assert found.startswith(f"its time is 2100-01-01, after today ({TODAY})")
    # The clock was set back after the build.
    (found,) = problems(dist, today=yesterday)
    assert "this machine's clock" in found


@pytest.mark.parametrize("kind", ["pipe", "link", "large"])
def test_a_report_that_is_no_plain_file_is_refused_and_never_waited_for(
    dist: Dist, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dist.folder / "report.json"
    if kind == "large":
        monkeypatch.setattr("release.collect._MAX_REPORT", 100)
    else:
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")

    (found,) = problems(dist)

    assert found.startswith("report.json")


def test_a_hostile_name_is_one_harmless_line(dist: Dist) -> None:
    (dist.folder / "a\n::error::b\x1b[31m.tar.zst").write_bytes(b"x")

    (found,) = problems(dist)

    assert "\n" not in found
    assert "\x1b" not in found
