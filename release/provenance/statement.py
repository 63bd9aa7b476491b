"""The provenance of a release: what every bundle was made from, and by what. Equal collections give equal bytes."""

from __future__ import annotations

__all__ = ["make_statement", "read_statement"]

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec

from pipeline.bundle.info import SourceInfo
from pipeline.matrix.spec import MatrixFile
from pipeline.report.record import Material
from pipeline.report.text import clean
from release.errors import SealError, VerifyError
from release.model import Collection, ReleasedBundle, ReleaseId
from release.provenance.records import (
    BUILD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Annotations,
    BuildDefinition,
    Builder,
    BundleRecipe,
    DigestSet,
    ExternalParameters,
    InternalParameters,
    InvocationMetadata,
    MatrixReference,
    Predicate,
    ResourceDescriptor,
    RunDetails,
    Sha256Digest,
    Statement,
    Subject,
    encode,
)
from release.provenance.remotes import public_remotes

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:llamatrix:invocation:v1")
_RECIPE: Final = "recipe"
_SHOWN = 300


def make_statement(collection: Collection, release: ReleaseId) -> bytes:
    """Write the statement: its subjects are all bundles of the release.

    Raises:
        SealError: There is no bundle, the bundles contradict each other, or no readable statement follows from them.
    """
    bundles = sorted(collection.bundles, key=lambda bundle: bundle.asset)
    if not bundles:
        msg = "there is no bundle to vouch for"
        raise SealError(msg, where=str(collection.folder), hint="build one first: nox -s build-matrix")
    repository = f"{release.server}/{release.repo}"
    subjects = tuple(
        Subject(name=bundle.asset, digest=Sha256Digest(sha256=bundle.inspection.sha256)) for bundle in bundles
    )
    report = collection.report
    statement = Statement(
        type=STATEMENT_TYPE,
        subject=subjects,
        predicate_type=PREDICATE_TYPE,
        predicate=Predicate(
            build_definition=BuildDefinition(
                build_type=BUILD_TYPE,
                external_parameters=ExternalParameters(
                    repository=repository,
                    tag=release.tag,
                    version=collection.version,
                    profile=report.profile,
                    matrix=_matrix(collection.matrix),
                ),
                internal_parameters=InternalParameters(
                    engine=report.engine,
                    machine=report.machine,
                    forged=collection.forged,
                    bundles={bundle.asset: _recipe(bundle) for bundle in bundles},
                ),
                resolved_dependencies=tuple(_dependencies(collection, bundles, release)),
            ),
            run_details=RunDetails(
                builder=Builder(id=repository, version={"tool": report.tool}),
                metadata=InvocationMetadata(
                    invocation_id=_invocation(release, subjects),
                    started_on=_time(report.started, collection),
                    finished_on=_time(report.ended, collection),
                ),
            ),
        ),
    )
    data = encode(statement)
    try:
        # Whoever verifies must be able to read it: better to fail here than there.
        read_statement(data, where="provenance")
    except VerifyError as error:
        msg = f"no acceptable provenance follows from these bundles: {error.problems[0]}"
        raise SealError(
            msg, where=str(collection.folder), hint="build the bundles again with this llamatrix"
        ) from error
    return data


def read_statement(data: bytes, *, where: str) -> Statement:
    """Read a statement whose signature is already known to be good.

    Raises:
        VerifyError: It is not a statement of our build type, or not in the form in which we write one.
    """
    try:
        statement = msgspec.json.decode(data, type=Statement)
    except msgspec.ValidationError as error:
        _refuse(f"it is no provenance of llamatrix: {error}", where)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        _refuse(f"the statement is not JSON: {error}", where)
    names = [subject.name for subject in statement.subject]
    if names != sorted(set(names)):
        _refuse("its subjects are not sorted, or one is there twice", where)
    # A key that is there twice, a blank, another escape: two readers may take such bytes for two different statements.
    if encode(statement) != data:
        _refuse("the statement is not in the one form in which llamatrix writes it", where)
    problem = _contradiction(statement)
    if problem is not None:
        _refuse(problem, where)
    return statement


def _contradiction(statement: Statement) -> str | None:
    """Find parts of a well-formed statement that do not fit each other."""
    definition = statement.predicate.build_definition
    recipes = definition.internal_parameters.bundles
    resolved = [one.name for one in definition.resolved_dependencies]
    used = {name for recipe in recipes.values() for name in recipe.dependencies}
    kinds = [one.annotations.kind for one in definition.resolved_dependencies]
    checks = (
        (set(recipes) == set(statement.subjects), "it tells of other bundles than its subjects"),
        (len(resolved) == len(set(resolved)), "it resolves a dependency twice"),
        (used <= set(resolved), "a bundle depends on something that it does not resolve"),
        (all(one.digest != DigestSet() for one in definition.resolved_dependencies), "a dependency has no digest"),
        (
            kinds.count(_RECIPE) == 1 and statement.commit is not None,
            "it does not name the one commit it was built from",
        ),
    )
    return next((problem for good, problem in checks if not good), None)


def _matrix(matrix: MatrixFile) -> MatrixReference:
    """Digest what the file says and not its bytes: a changed comment builds nothing else."""
    digest = hashlib.sha256(encode(matrix)).hexdigest()
    return MatrixReference(version=matrix.version, digest=Sha256Digest(sha256=digest))


def _recipe(bundle: ReleasedBundle) -> BundleRecipe:
    info = bundle.inspection.info
    return BundleRecipe(
        cell=bundle.cell.id,
        build_id=info.build_id,
        recipes={component.id: component.recipe_key for component in info.components},
        dependencies=(_source_name(info.source), *sorted(material.id for material in bundle.materials)),
    )


def _source_name(source: SourceInfo) -> str:
    return f"source:{source.name}"


def _dependencies(
    collection: Collection, bundles: list[ReleasedBundle], release: ReleaseId
) -> Iterator[ResourceDescriptor]:
    yield ResourceDescriptor(
        name=_RECIPE,
        uri=f"git+{release.server}/{release.repo}@refs/tags/{release.tag}",
        digest=DigestSet(git_commit=release.commit),
        annotations=Annotations(kind="recipe"),
    )
    sources: dict[str, SourceInfo] = {}
    materials: dict[str, Material] = {}
    for bundle in bundles:
        source = bundle.inspection.info.source
        if sources.setdefault(source.name, source) != source:
            msg = f"its source {source.name} is another one than that of the other bundles"
            raise SealError(msg, where=bundle.asset, hint="build all bundles from the same pin")
        for material in bundle.materials:
            if materials.setdefault(material.id, material) != material:
                msg = f"its material {material.id} is another one than that of the other bundles"
                raise SealError(msg, where=bundle.asset, hint="build all bundles in one run")
    for _, source in sorted(sources.items()):
        yield _source(source, collection.matrix)
    for _, material in sorted(materials.items()):
        yield _material(material, collection)


def _source(source: SourceInfo, matrix: MatrixFile) -> ResourceDescriptor:
    remotes = public_remotes(matrix.sources.get(source.name))
    return ResourceDescriptor(
        name=_source_name(source),
        uri=f"git+{remotes[0]}@{source.commit}" if remotes and source.commit is not None else None,
        # The digest of the tree is ours (pipeline/sources), so it has a name of its own beside git's.
        digest=DigestSet(git_commit=source.commit, llamatrix_source=source.digest),
        annotations=Annotations(kind="source", version=source.version, proven=source.proven),
    )


def _material(material: Material, collection: Collection) -> ResourceDescriptor:
    if material.kind not in {"image", "toolchain"}:
        msg = f"the report's material {material.id} is of an unknown kind: {material.kind}"
        raise SealError(msg, where=str(collection.folder), hint="use the llamatrix that built the bundles")
    return ResourceDescriptor(
        name=material.id,
        digest=DigestSet(sha256=material.digest),
        annotations=Annotations(
            kind="image" if material.kind == "image" else "toolchain",
            origin=material.origin,
            packages=tuple(f"{name}={version}" for name, version in material.packages),
        ),
    )


def _invocation(release: ReleaseId, subjects: tuple[Subject, ...]) -> str:
    parts = (release.server, release.repo, release.tag, release.commit, *(one.digest.sha256 for one in subjects))
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, ' '.join(parts))}"


def _time(seconds: float, collection: Collection) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as error:
        msg = f"the run's report holds a time that is none: {seconds}"
        raise SealError(msg, where=str(collection.folder), hint="run build-matrix again") from error


def _refuse(problem: str, where: str) -> NoReturn:
    hint = "take the provenance from the release again; it is written by llamatrix and not edited"
    raise VerifyError([clean(problem, _SHOWN)], where=where, hint=hint)
