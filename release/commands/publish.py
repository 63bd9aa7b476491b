"""preflight, seal and publish: the release's line, step by step."""

from __future__ import annotations

__all__ = ["preflight_command", "publish_command", "seal_command"]

import argparse
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.console import show
from pipeline.errors import UsageError
from release.collect import collect
from release.commands.keys import signing_key
from release.errors import ManifestError, SealError, SignatureError, VerifyError
from release.folder import OWN_FOLDER
from release.github.client import connect
from release.github.rehearsed import RehearsedRemote
from release.github.remote import Remote
from release.github.retry import Budget, Patience, upload_seconds
from release.keys.files import open_regular, read_small
from release.keys.keyfile import PublicKey, SecretKey
from release.keys.minisign import verify_bytes
from release.keys.ring import known_keys
from release.manifest.reading import MAX_BYTES, read
from release.manifest.records import Manifest
from release.model import Collection, Sealed
from release.publish.preflight import Ready, before_build, before_upload
from release.publish.previous import Previous
from release.publish.publisher import publish
from release.seal import NOTES_NAME, SIGNATURE_SUFFIX, seal
from release.session import Session
from release.verify.folder import verify_folder
from release.verify.vouchers import verify_vouchers

_KEYS = "keys"
_LOOK = 15 * 60.0  # seconds for the preflight's few requests
_PHASE = 90 * 60.0  # seconds for everything from the draft to the last check, at least
STATE_NAME = "state.json"


def preflight_command(arguments: argparse.Namespace) -> int:
    """Say everything that stands in the way of this release."""
    session = Session.open(arguments)
    say = _teller()
    ready = _look_ahead(session, _remote(session), say)
    if ready.published is not None:
        say(f"{session.release.tag} is published already: {ready.published.url}")
    say("nothing stands in the way")
    return 0


def seal_command(arguments: argparse.Namespace) -> int:
    """Write everything that vouches for the bundles; no network."""
    session = Session.open(arguments)
    key = signing_key(arguments.key)
    previous = None
    if arguments.previous is not None:
        path: Path = arguments.previous
        signature = _bytes(path.with_name(path.name + SIGNATURE_SUFFIX)).decode("utf-8", errors="replace")
        given = Previous(tag=str(path), data=_bytes(path), signature=signature)
        previous = _trusted_previous(session, given, key.public, _teller())
    sealed = _sealed(session, _collected(session), key, previous, _teller())
    show(f"sealed {len(sealed.assets)} files in {session.folder}\n")
    return 0


def publish_command(arguments: argparse.Namespace) -> int:
    """Preflight, collect, seal, check as a user, upload, check again, publish, and verify from outside."""
    session = Session.open(arguments)
    say = _teller()
    key = signing_key(arguments.key)
    if arguments.dry_run:
        return _dry_run(session, key, say)
    remote = _remote(session)
    ready = _look_ahead(session, remote, say)
    collection = _collected(session)
    previous = _trusted_previous(session, ready.previous, key.public, say)
    sealed = _sealed(session, collection, key, previous, say)
    before_upload(
        sealed, remote, patience=_patience(_LOOK, say), api=session.forge.api, has_token=session.token is not None
    )
    anonymous = connect(api=session.forge.api, repo=session.release.repo, token=None)
    _publish(session, sealed, remote, anonymous, key.public, session.own / STATE_NAME, say)
    return 0


def _dry_run(session: Session, key: SecretKey, say: Callable[[str], None]) -> int:
    """Everything but GitHub: the requests are made to an empty repository that is only imagined, and shown."""
    say("dry run: nothing is sent; no earlier release is known, so the manifest's version is 1")
    _collected(session)
    with tempfile.TemporaryDirectory(prefix="llamatrix-dry-run-") as name:
        # Signed files of a release that never was must not lie about in dist/.
        dist = Path(name)
        shutil.copytree(session.folder, dist / session.folder.name, symlinks=True, ignore=_own, copy_function=_link)
        return _imagined(dataclasses.replace(session, dist=dist, folder=dist / session.folder.name), key, say)


def _imagined(session: Session, key: SecretKey, say: Callable[[str], None]) -> int:
    sealed = _sealed(session, _collected(session), key, None, say)
    remote = RehearsedRemote(
        repo=session.release.repo,
        tag=session.release.tag,
        commit=session.release.commit,
        server=session.release.server,
        say=lambda line: say(f"would send  {line}"),
    )
    # An imagined repository takes anything; whether GitHub may have forged bundles is not its question.
    before_upload(sealed, remote, patience=_patience(_LOOK, say), api="http://127.0.0.1")
    _publish(session, sealed, remote, remote.stranger(), key.public, session.own / STATE_NAME, say)
    show((session.own / NOTES_NAME).read_text(encoding="utf-8"))
    say(f"dry run: {len(sealed.assets)} files would be published, nothing was")
    return 0


def _own(folder: str, names: list[str]) -> set[str]:  # noqa: ARG001  the signature is shutil's
    """What publishing keeps for itself is not part of a release."""
    return {OWN_FOLDER} & set(names)


def _link(source: str, target: str) -> None:
    """Gigabytes are not copied for a look; sealing replaces files, it never writes into one."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _publish(  # noqa: PLR0913, PLR0917  the parties of a publication
    session: Session,
    sealed: Sealed,
    remote: Remote,
    anonymous: Remote,
    key: PublicKey,
    state: Path,
    say: Callable[[str], None],
) -> None:
    seconds = max(_PHASE, 2 * sum(upload_seconds(asset.size) for asset in sealed.assets))

    def vouched(folder: Path) -> None:
        for line in verify_vouchers(folder, key=key, release=session.release, today=session.today):
            say(line)

    published = publish(
        sealed,
        remote,
        anonymous=anonymous,
        state=state,
        patience=_patience(seconds, say),
        say=say,
        verifier=vouched,
    )
    if published.already:
        say(f"already published, nothing was written: {published.url}")
        return
    say(f"published {published.url}: {len(published.uploaded)} uploaded, {len(published.kept)} were there already")


def _look_ahead(session: Session, remote: Remote, say: Callable[[str], None]) -> Ready:
    version = session.matrix.file.version + session.matrix.file.profiles["release"].suffix
    ready = before_build(
        session.release,
        remote,
        version=version,
        patience=_patience(_LOOK, say),
        api=session.forge.api,
        has_token=session.token is not None,
    )
    for warning in ready.warnings:
        say(f"warning: {warning}")
    return ready


def _collected(session: Session) -> Collection:
    return collect(matrix=session.matrix, dist=session.dist, today=session.today, epoch=session.epoch)


def _sealed(
    session: Session, collection: Collection, key: SecretKey, previous: Manifest | None, say: Callable[[str], None]
) -> Sealed:
    """Seal, then look at it from outside before anybody else can."""
    if collection.forged and not session.forge.loopback:
        # One good signature over them would be enough for whoever checks nothing but that.
        msg = f"these bundles were forged for a rehearsal, and nothing is signed for {session.forge.server} with them"
        raise SealError(msg, where=str(session.folder), hint="build real ones; nox -s rehearse is for forged ones")
    sealed = seal(collection, session.release, key, previous=previous)
    try:
        checked = verify_folder(
            session.folder,
            key=key.public,
            repo=session.release.repo,
            tag=session.release.tag,
            commit=session.release.commit,
            today=session.today,
        )
    except VerifyError as error:
        hint = "no user could verify what was sealed, so nothing is published: mend what is listed, and seal again"
        raise VerifyError(error.problems, where=error.where, hint=hint) from error
    for line in checked.lines:
        say(line)
    return sealed


def _trusted_previous(
    session: Session, previous: Previous | None, key: PublicKey, say: Callable[[str], None]
) -> Manifest | None:
    """Read the previous manifest only if our key signed it, or an old one whose statements lead to ours."""
    if previous is None:
        return None
    where = f"manifest.json of {previous.tag}"
    keys = known_keys(session.root / _KEYS, key, repo=session.release.repo)
    if previous.signature is None:
        msg = "it has no signature, so its version cannot be followed"
        raise ManifestError(msg, where=where, hint="look at that release: llamatrix signs every manifest")
    for known in keys:
        try:
            verify_bytes(previous.data, previous.signature, known, where=where)
        except SignatureError:
            continue
        return read(previous.data, where=where)
    rules = session.matrix.file.release
    if rules is not None and read(previous.data, where=where).epoch < rules.epoch:
        # The old key is lost, and whoever wrote matrix.yaml says so by beginning anew: nothing is taken from this one.
        say(f"{where} is of an earlier epoch and of a key that is not ours: versions begin anew")
        return None
    msg = f"none of our {len(keys)} keys signed it"
    raise SignatureError(
        msg,
        where=where,
        hint="after a change of keys, the statement must lie in keys/ (python -m release rotate --help); "
        "if the old key is lost, raise release.epoch in matrix.yaml",
    )


def _remote(session: Session) -> Remote:
    return connect(api=session.forge.api, repo=session.release.repo, token=session.token)


def _patience(seconds: float, say: Callable[[str], None]) -> Patience:
    return Patience(budget=Budget(seconds), say=say)


def _teller() -> Callable[[str], None]:
    started = time.monotonic()

    def say(line: str) -> None:
        show(f"{time.monotonic() - started:6.1f}s  {line}\n")

    return say


def _bytes(path: Path) -> bytes:
    hint = "--previous names manifest.json of the release before"
    try:
        with open_regular(path) as stream:
            data = read_small(stream, MAX_BYTES)
    except OSError as error:
        msg = f"it cannot be read: {error.strerror or error}"
        raise UsageError(msg, where=str(path), hint=hint) from error
    if data is None:
        msg = f"it has more than {MAX_BYTES} bytes, which no manifest has"
        raise UsageError(msg, where=str(path), hint=hint)
    return data
