"""The commands of ``python -m release``: arguments in, one step of the line each, exit codes as in docs/errors.md."""

from __future__ import annotations

__all__ = ["main", "parser"]

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline import __version__
from pipeline.console import Parser, debug_wanted, run, show

_EPILOG = (
    "The signing key comes from --key FILE or LLAMATRIX_SIGNING_KEY, its password from LLAMATRIX_SIGNING_PASSWORD or "
    "the terminal, and the token from GITHUB_TOKEN or GH_TOKEN. Exit codes are listed in docs/errors.md."
)
_KEY = Path("minisign.key")
_PUBLIC = Path("minisign.pub")


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``python -m release``."""
    top = Parser(prog="python -m release", description="Gated bundles in, a published release out.", epilog=_EPILOG)
    top.add_argument("--version", action="version", version=f"llamatrix {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    publish = commands.add_parser("publish", help="preflight, seal, publish and verify; run again, it continues")
    _release(publish)
    _key(publish)
    publish.add_argument("--dry-run", action="store_true", help="do everything but talk to GitHub; show the requests")
    publish.set_defaults(run=_publish)

    preflight = commands.add_parser("preflight", help="say everything that stands in the way, before building")
    _release(preflight)
    preflight.set_defaults(run=_preflight)

    seal = commands.add_parser("seal", help="write checksums, signatures, SBOMs, provenance and manifest; no network")
    _release(seal)
    _key(seal)
    seal.add_argument(
        "--previous",
        type=Path,
        metavar="FILE",
        help="manifest.json of the release before this one, with its .minisig beside",
    )
    seal.set_defaults(run=_seal)

    verify = commands.add_parser("verify", help="do what a careful user does, with a folder or a published tag")
    verify.add_argument("what", metavar="DIR|TAG", help="a folder of downloaded or sealed files, or a tag")
    verify.add_argument("--public-key", metavar="KEY", help=f"minisign's key or its file (default: {_PUBLIC})")
    verify.add_argument("--repo", metavar="OWNER/NAME", help="the repository it must be from (default: from the CI)")
    verify.add_argument("--tag", help="the tag a folder must be of")
    verify.add_argument("--commit", metavar="SHA", help="the commit it must be of")
    verify.add_argument("--at-least", type=int, metavar="N", help="the manifest version it must have reached")
    verify.add_argument("--partial", action="store_true", help="the folder holds only some of the release's files")
    verify.add_argument("--shallow", action="store_true", help="do not open the bundles to measure them again")
    _api(verify)
    verify.set_defaults(run=_verify)

    keygen = commands.add_parser("keygen", help="make a signing key")
    _key_files(keygen)
    keygen.add_argument("--no-password", action="store_true", help="for a key that lives in a secret store only")
    keygen.set_defaults(run=_keygen)

    rotate = commands.add_parser("rotate", help="let the old key name the new one, so that users can follow")
    rotate.add_argument("--key", type=Path, metavar="FILE", help="the old secret key")
    rotate.add_argument("--new", required=True, metavar="KEY", help="the new public key or its file")
    rotate.add_argument("--repo", required=True, metavar="OWNER/NAME")
    rotate.add_argument("--reason", required=True, metavar="TEXT")
    rotate.add_argument("--out", type=Path, default=Path("keys"), metavar="DIR", help="where the statement is added")
    rotate.set_defaults(run=_rotate)

    public = commands.add_parser("pubkey", help="show a public key, as minisign or as cosign wants it")
    public.add_argument("--public-key", metavar="KEY", help=f"minisign's key or its file (default: {_PUBLIC})")
    public.add_argument("--pem", action="store_true", help="as PEM, for cosign")
    public.set_defaults(run=_pubkey)

    schema = commands.add_parser("schema", help="write schema/manifest.schema.json")
    schema.set_defaults(run=_schema)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return top


def _api(command: argparse.ArgumentParser) -> None:
    command.add_argument("--api", metavar="URL", help="GitHub's API (default: GITHUB_API_URL, else github.com's)")


def _release(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tag", required=True, help="the release's tag, v and the version: v0.1.0")
    command.add_argument("--repo", metavar="OWNER/NAME", help="where it is published (default: GITHUB_REPOSITORY)")
    command.add_argument(
        "--commit", metavar="SHA", help="what the tag points at (default: GITHUB_SHA, else the tag here)"
    )
    command.add_argument("--matrix", type=Path, default=Path("matrix.yaml"), metavar="FILE")
    command.add_argument(
        "--dist", type=Path, default=Path("dist"), metavar="DIR", help="where build-matrix put bundles"
    )
    _api(command)


def _key(command: argparse.ArgumentParser) -> None:
    command.add_argument("--key", type=Path, metavar="FILE", help="the secret key (default: LLAMATRIX_SIGNING_KEY)")


def _key_files(command: argparse.ArgumentParser) -> None:
    command.add_argument("--key", type=Path, default=_KEY, metavar="FILE", help=f"the secret key (default: {_KEY})")
    command.add_argument("--public-key", type=Path, default=_PUBLIC, metavar="FILE", help=f"default: {_PUBLIC}")


# Each command imports what it needs when it runs: verifying must not pay for publishing.


def _publish(arguments: argparse.Namespace) -> int:
    from release.commands.publish import publish_command  # noqa: PLC0415

    return publish_command(arguments)


def _preflight(arguments: argparse.Namespace) -> int:
    from release.commands.publish import preflight_command  # noqa: PLC0415

    return preflight_command(arguments)


def _seal(arguments: argparse.Namespace) -> int:
    from release.commands.publish import seal_command  # noqa: PLC0415

    return seal_command(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    from release.commands.verify import verify_command  # noqa: PLC0415

    return verify_command(arguments)


def _keygen(arguments: argparse.Namespace) -> int:
    from release.commands.keys import keygen_command  # noqa: PLC0415

    return keygen_command(arguments)


def _rotate(arguments: argparse.Namespace) -> int:
    from release.commands.keys import rotate_command  # noqa: PLC0415

    return rotate_command(arguments)


def _pubkey(arguments: argparse.Namespace) -> int:
    from release.commands.keys import pubkey_command  # noqa: PLC0415

    return pubkey_command(arguments)


def _schema(arguments: argparse.Namespace) -> int:  # noqa: ARG001  it takes none
    from release.manifest.schema import write_schema  # noqa: PLC0415

    show(f"wrote {write_schema(Path('schema') / 'manifest.schema.json')}\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""

    def command() -> int:
        arguments = parser().parse_args(argv)
        result: int = arguments.run(arguments)
        return result

    return run(command, debug=debug_wanted(argv), again="run it again: it continues where it was")
