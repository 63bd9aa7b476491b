"""llamatrix's sessions. Each is one thin call: ``python -m pipeline`` and ``python -m release`` do the work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_venv = "yes"

LOCKS = Path("requirements")
CODE = ("pipeline", "release", "tests", "benchmarks", "noxfile.py")


def install(session: nox.Session, lock: str) -> None:
    """Install a lock file, unless this environment already holds exactly that file."""
    path = LOCKS / f"{lock}.txt"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    mark = Path(session.virtualenv.location) / f"llamatrix-{lock}.sha256"
    if not mark.is_file() or mark.read_text() != digest:
        session.install("--quiet", "--require-hashes", "--only-binary", ":all:", "-r", str(path))
        mark.write_text(digest)


@nox.session
def plan(session: nox.Session) -> None:
    """Show what would be built, where, what not and why (--only, --all, --format table|json|github)."""
    install(session, "runtime")
    session.run("python", "-m", "pipeline", "plan", *session.posargs)


@nox.session(name="build-matrix")
def build_matrix(session: nox.Session) -> None:
    """Build and gate this machine's own platform (--only, --all, --engine, --profile, --source, --fresh ...)."""
    install(session, "runtime")
    session.run("python", "-m", "pipeline", "build-matrix", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Seal, publish and verify what build-matrix made (--tag TAG, --repo OWNER/NAME, --key FILE, --dry-run ...)."""
    install(session, "runtime")
    session.run("python", "-m", "release", "publish", *session.posargs)


@nox.session
def verify(session: nox.Session) -> None:
    """Do what a careful user does, with a folder or a published tag (DIR|TAG, --public-key KEY, --repo ...)."""
    install(session, "runtime")
    session.run("python", "-m", "release", "verify", *session.posargs)


@nox.session
def rehearse(session: nox.Session) -> None:
    """Run the whole line in seconds: forged bundles, a key to throw away, a stand-in for GitHub."""
    install(session, "runtime")
    session.run("python", "-m", "tests.rehearsal", *session.posargs)


@nox.session
def schema(session: nox.Session) -> None:
    """Write the files under schema/ anew."""
    install(session, "runtime")
    session.run("python", "-m", "pipeline", "schema")
    session.run("python", "-m", "release", "schema")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests (--run-docker, --run-network, --run-browser, --bundles=DIR for those that need more)."""
    install(session, "dev")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    install(session, "dev")
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    session.run("mypy", *CODE)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what docs/measurements.md claims, as ratios within one run."""
    install(session, "dev")
    session.run("python", "-m", "benchmarks", *session.posargs)
