"""What vouches for the bundles besides the manifest: the provenance, an SBOM for each, and the report of the run."""

from __future__ import annotations

__all__ = ["check_provenance", "check_report", "check_sboms"]

from collections.abc import Mapping

from pipeline.report.document import from_json
from pipeline.report.record import CellRecord, RunReport
from pipeline.report.text import count
from release.errors import VerifyError
from release.github.hosts import is_own_address
from release.manifest.records import Manifest, VariantEntry
from release.provenance.bundle import MAX_PAYLOAD_BYTES, verify_provenance
from release.provenance.records import Statement
from release.sbom.document import MAX_SBOM_BYTES
from release.sbom.reading import read_sbom
from release.verify.case import Case
from release.verify.names import MANIFEST, PROVENANCE, REPORT, SBOM_SUFFIX

_MAX_REPORT_BYTES = 64 << 20


def check_provenance(case: Case) -> None:
    """Check the provenance's signature, and that it tells of exactly the bundles of this release."""
    if PROVENANCE not in case.files:
        return
    with case.findings.check() as say:
        data = case.files.read(PROVENANCE, 2 * MAX_PAYLOAD_BYTES)
        statement = verify_provenance(data, case.expected.key, where=PROVENANCE)
        case.forged = statement.predicate.build_definition.internal_parameters.forged
        for problem in (*_subjects(case, statement), *_builder(case, statement), *_recipes(case, statement)):
            case.findings.add(f"{PROVENANCE}: {problem}")
        say(
            f"{PROVENANCE}: signed by the same key, vouches for {count(len(statement.subjects), 'bundle')} "
            f"built from commit {statement.commit}"
        )
    _rehearsal(case)


def _subjects(case: Case, statement: Statement) -> list[str]:
    listed = {name: case.sums[name] for name in case.listed_bundles}
    if not listed and case.manifest is not None:
        listed = {artifact.name: artifact.sha256 for _, artifact in case.artifacts()}
    told = statement.subjects
    found = [f"it does not vouch for {name}" for name in listed if name not in told]
    found += [f"it vouches for {name}, which is no bundle of the release" for name in told if name not in listed]
    found += [
        f"it vouches for {name} with the SHA-256 {told[name]}, the release has {digest}"
        for name, digest in listed.items()
        if name in told and told[name] != digest
    ]
    return found


def _builder(case: Case, statement: Statement) -> list[str]:
    """Compare who built what with who released it."""
    parameters = statement.predicate.build_definition.external_parameters
    pairs: list[tuple[str, object, object]] = []
    if case.signed is not None:
        pairs += [("tag", parameters.tag, case.signed.tag), ("commit", statement.commit, case.signed.commit)]
    if case.manifest is not None:
        release = case.manifest.release
        home = f"{release.server}/{release.repo}"
        pairs += [
            ("tag", parameters.tag, release.tag),
            ("commit", statement.commit, release.commit),
            ("version", parameters.version, release.version),
            ("repository", parameters.repository, home),
            ("builder", statement.predicate.run_details.builder.id, home),
        ]
        commits = statement.source_commits
        pairs += [
            (f"commit of the source {project.source.name}", commits.get(project.source.name), project.source.commit)
            for project in case.manifest.projects.values()
            if project.platforms
        ]
    elif case.signed is not None and not parameters.repository.endswith(f"/{case.signed.repo}"):
        pairs.append(("repository", parameters.repository, case.signed.repo))
    return [f"it is for {what} {says}, not for {wanted}" for what, says, wanted in pairs if says != wanted]


def _recipes(case: Case, statement: Statement) -> list[str]:
    told = statement.predicate.build_definition.internal_parameters.bundles
    found = []
    for cell, entry in case.entries().items():
        recipe = told.get(entry.artifact.name)
        if recipe is None:
            continue  # _subjects has said so: the reader holds the two together
        if recipe.cell != cell:
            found.append(f"{entry.artifact.name} was built as {recipe.cell}, and {MANIFEST} offers it as {cell}")
        if recipe.build_id != entry.attest.build_id:
            found.append(
                f"{entry.artifact.name} was built with the id {recipe.build_id}, {MANIFEST} says "
                f"{entry.attest.build_id}"
            )
    return found


def _rehearsal(case: Case) -> None:
    """Forged bundles are for rehearsals with a stand-in on this machine; anywhere else they are a fraud."""
    if not case.forged:
        return
    server = case.manifest.release.server if case.manifest is not None else ""
    if case.expected.forged or is_own_address(server):
        case.findings.note("a rehearsal: the provenance says that these bundles were forged and hold no real program")
    else:
        case.findings.add(f"{PROVENANCE}: the bundles were forged for a rehearsal and hold no real program")


def check_sboms(case: Case) -> None:
    """Compare every SBOM that is here with its bundle: by digest, and file by file where the bundle was opened."""
    names = [name for name in case.sums if name.endswith(SBOM_SUFFIX) and name in case.files]
    if not names or case.manifest is None:
        return
    with case.findings.check() as say:
        by_sbom = {entry.sbom.name: (cell, entry) for cell, entry in case.entries().items()}
        compared = 0
        for name in names:
            if name in by_sbom:  # an SBOM that no bundle refers to was named already
                compared += _check_sbom(case, case.manifest, name, *by_sbom[name])
        say(f"{count(len(names), 'SBOM')} of these bundles; files compared one by one: {count(compared, 'bundle')}")


def _check_sbom(case: Case, manifest: Manifest, name: str, cell: str, entry: VariantEntry) -> bool:
    """Check one; tells whether its files were compared."""
    archive = entry.artifact.name
    with case.findings.check():
        facts = read_sbom(case.files.read(name, MAX_SBOM_BYTES), where=name)
        source = manifest.projects[cell.partition("/")[0]].source
        for what, says, wanted in (
            ("bundle", facts.name, archive),
            ("bundle with the SHA-256", facts.sha256, entry.artifact.sha256),
            ("source commit", facts.source_commit, source.commit),
        ):
            if says != wanted:
                case.findings.add(f"{name}: it is for the {what} {says}, not for {wanted}")
        if archive not in case.inspections:
            return False
        inside = {file.path: file.sha256 for file in case.inspections[archive].files}
        for problem in _files(facts.files, inside):
            case.findings.add(f"{name}: {problem}")
    return archive in case.inspections


def _files(told: Mapping[str, str], inside: Mapping[str, str]) -> list[str]:
    found = [f"it lists {path}, which is not in the bundle" for path in told if path not in inside]
    found += [f"it does not list {path}, which is in the bundle" for path in inside if path not in told]
    found += [
        f"it lists {path} with the SHA-256 {told[path]}, in the bundle it has {digest}"
        for path, digest in inside.items()
        if path in told and told[path] != digest
    ]
    return found


def check_report(case: Case) -> None:
    """Compare the report of the run, where it is here, with the manifest: same bundles, same verdicts."""
    if REPORT not in case.files or case.manifest is None:
        return
    with case.findings.check() as say:
        report = _report(case)
        records = {record.id: record for record in report.cells}
        if report.version != case.manifest.release.version:
            case.findings.add(f"{REPORT} is of version {report.version}, not {case.manifest.release.version}")
        entries = case.entries()
        for cell, entry in entries.items():
            for problem in _record(records.get(cell), entry):
                case.findings.add(f"{REPORT}: {cell}: {problem}")
        say(f"{REPORT}: the same digests, sizes and verdicts for {count(len(entries), 'bundle')}")


def _report(case: Case) -> RunReport:
    data = case.files.read(REPORT, _MAX_REPORT_BYTES)
    try:
        return from_json(data.decode(), where=REPORT)
    except UnicodeDecodeError as error:
        raise VerifyError(["it is not text"], where=REPORT) from error


def _record(record: CellRecord | None, entry: VariantEntry) -> list[str]:
    if record is None:
        return ["the report does not know it"]
    artifact = entry.artifact
    found = [
        f"its {what} is {says}, {MANIFEST} says {wanted}"
        for what, says, wanted in (
            ("archive", record.asset, artifact.name),
            ("SHA-256", record.sha256, artifact.sha256),
            ("size", record.size, artifact.size),
            ("unpacked size", record.unpacked_size, artifact.unpacked_size),
        )
        if says != wanted
    ]
    told = {verdict.gate: verdict.status.value for verdict in record.verdicts}
    proved: dict[str, str] = dict(entry.attest.gates)
    found += [
        f"gate {gate} is {told.get(gate, 'not there')}, {MANIFEST} says {proved.get(gate, 'nothing of it')}"
        for gate in sorted({*told, *proved})
        if told.get(gate) != proved.get(gate)
    ]
    return found
