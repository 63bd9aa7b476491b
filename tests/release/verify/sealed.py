"""A really sealed release of forged bundles whose verdicts were really measured, made once and copied for each test."""

from __future__ import annotations

__all__ = [
    "CPU",
    "KEY",
    "OTHER",
    "VARIANTS",
    "VULKAN",
    "Json",
    "copy_of",
    "digest",
    "edit_json",
    "edit_manifest",
    "follow",
    "problems",
    "repack",
    "resign",
    "seal_it",
    "verify",
    "write_json",
]

import dataclasses
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pipeline.bundle.archive import pack
from pipeline.bundle.reading import measure, unpack
from pipeline.engines.base import Cancel
from pipeline.engines.fake import FakeEngine
from pipeline.gates.abi import AbiGate
from pipeline.gates.backend import BackendGate
from pipeline.gates.base import Gate, Subject
from pipeline.gates.closure import ClosureGate
from pipeline.model import Bundle, Status
from pipeline.report.document import to_json
from release.errors import VerifyError
from release.keys.keyfile import SecretKey
from release.keys.minisign import sign_file
from release.keys.trusted import Trusted
from release.model import Collection, ReleasedBundle
from release.seal import seal
from release.verify.folder import verify_folder
from release.verify.result import Verified
from tests.release.builders import EPOCH, REAL, RELEASE, TODAY, make_collection

KEY = SecretKey(key_id=b"\1" * 8, seed=b"\2" * 32)
OTHER = SecretKey(key_id=b"\3" * 8, seed=b"\4" * 32)
CPU = "llama.cpp-0.1.0-linux-x86_64-cpu"
VULKAN = "llama.cpp-0.1.0-linux-x86_64-vulkan"
VARIANTS = ("projects", "llama.cpp", "platforms", "linux-x86_64", "variants")
Json = dict[str, Any]
_MEASURED: tuple[Gate, ...] = (BackendGate(), AbiGate(), ClosureGate())


def honest(bundle: ReleasedBundle) -> ReleasedBundle:
    """Replace made-up measurements by those of the gates."""
    seen = bundle.inspection
    with tempfile.TemporaryDirectory() as scratch:
        root = unpack(seen.path, Path(scratch))
        subject = Subject(
            cell=bundle.cell,
            bundle=Bundle(
                path=seen.path, top=seen.top, size=seen.size, unpacked_size=seen.unpacked_size, sha256=seen.sha256,
                tar_sha256="", files=len(seen.files),
            ),
            root=root,
            info=msgspec.to_builtins(seen.info),
            work=root,
            engine=FakeEngine(),
            cancel=Cancel(),
        )  # fmt: skip
        measured = {verdict.gate: verdict for verdict in (gate.check(subject) for gate in _MEASURED)}
    for verdict in measured.values():
        assert verdict.status is Status.PASSED, verdict
    return dataclasses.replace(
        bundle, verdicts=tuple(measured.get(verdict.gate, verdict) for verdict in bundle.verdicts)
    )


def honest_collection(root: Path, *, engine: str = REAL) -> Collection:
    collection = make_collection(root, engine=engine)
    bundles = tuple(honest(bundle) for bundle in collection.bundles)
    verdicts = {bundle.cell.id: bundle.verdicts for bundle in bundles}
    cells = tuple(
        dataclasses.replace(cell, verdicts=verdicts.get(cell.id, cell.verdicts)) for cell in collection.report.cells
    )
    report = dataclasses.replace(collection.report, cells=cells)
    (collection.folder / "report.json").write_text(to_json(report), encoding="utf-8")
    return dataclasses.replace(collection, bundles=bundles, report=report)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def seal_it(engine: str = REAL, server: str = "https://github.com") -> Path:
    """Seal once; the folder must not be changed."""
    _KEPT.append(tempfile.TemporaryDirectory(prefix="llamatrix-tests-"))
    collection = honest_collection(Path(_KEPT[-1].name), engine=engine)
    seal(collection, dataclasses.replace(RELEASE, server=server), KEY, previous=None)
    return collection.folder


def copy_of(folder: Path, to: Path) -> Path:
    """Copy the assets, as a download would give them."""
    to.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            shutil.copy(path, to / path.name)
    return to


def verify(folder: Path, **more: object) -> Verified:
    """Verify with what a user of this release knows, and without the real program."""
    known: Json = {
        "key": KEY.public,
        "today": TODAY,
        "repo": RELEASE.repo,
        "tag": RELEASE.tag,
        "commit": RELEASE.commit,
        "minisign": lambda: None,
    }
    return verify_folder(folder, **known | more)


def problems(folder: Path, **more: object) -> tuple[str, ...]:
    """Give everything that was found; nothing when it verifies."""
    try:
        verify(folder, **more)
    except VerifyError as error:
        return error.problems
    return ()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path: Path, data: object) -> None:
    """Write as llamatrix writes the manifest."""
    text = json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def edit_json(path: Path, change: Callable[[Json], object]) -> None:
    data = json.loads(path.read_bytes())
    change(data)
    write_json(path, data)


def resign(folder: Path, *, epoch: int = EPOCH) -> None:
    """Sign what lies there, as an attacker with the key would, or llamatrix with a bug in it."""
    for name in ("SHA256SUMS", "SHA256SUMS.minisig", "manifest.json.minisig"):
        (folder / name).unlink()
    sign(folder, "manifest.json", epoch=epoch)
    lines = [f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.is_file()]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="ascii")
    sign(folder, "SHA256SUMS", epoch=epoch)


def sign(folder: Path, name: str, *, key: SecretKey = KEY, untrusted: str | None = None, **changed: str | int) -> None:
    """Sign one file; ``changed`` goes into the trusted comment."""
    known: Json = {
        "repo": RELEASE.repo,
        "tag": RELEASE.tag,
        "commit": RELEASE.commit,
        "manifest_sha256": digest(folder / "manifest.json"),
        "file": name,
        "epoch": EPOCH,
    }
    trusted = Trusted(**known | changed)
    line = untrusted or f"signature of {name} by {trusted.repo}"
    text = sign_file(folder / name, key, trusted=trusted.text, untrusted=line)
    (folder / f"{name}.minisig").write_text(text, encoding="ascii")


def follow(folder: Path) -> None:
    """Let the manifest name the files' new digests and sizes, and sign again."""

    def change(manifest: Json) -> None:
        manifest["provenance"]["sha256"] = digest(folder / "provenance.intoto.jsonl")
        for project in manifest["projects"].values():
            for platform in project["platforms"].values():
                for variant in platform["variants"].values():
                    artifact = variant["artifact"]
                    path = folder / artifact["name"]
                    artifact |= {"sha256": digest(path), "size": path.stat().st_size}
                    variant["sbom"]["sha256"] = digest(folder / variant["sbom"]["name"])

    edit_json(folder / "manifest.json", change)
    resign(folder)


def edit_manifest(folder: Path, change: Callable[[Json], object]) -> None:
    """Change the manifest and sign again."""
    edit_json(folder / "manifest.json", change)
    resign(folder)


def repack(folder: Path, stem: str, change: Callable[[Path], object], *, top: str | None = None) -> None:
    """Change what is inside a bundle, and let manifest and signatures follow."""
    archive = folder / f"{stem}.tar.zst"
    with tempfile.TemporaryDirectory() as scratch:
        root = unpack(archive, Path(scratch))
        change(root)
        pack(root, archive, top=top or root.name, level=1, mtime=1)
    unpacked = measure(archive).unpacked_size

    def correct(manifest: Json) -> None:
        variants = manifest["projects"]["llama.cpp"]["platforms"]["linux-x86_64"]["variants"]
        for variant in variants.values():
            if variant["artifact"]["name"] == archive.name:
                variant["artifact"]["unpacked_size"] = unpacked

    edit_json(folder / "manifest.json", correct)
    follow(folder)
