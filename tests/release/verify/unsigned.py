"""What anybody can do to the files of a release, and what must be said of it. BUNDLE is the one that suffers."""

from __future__ import annotations

__all__ = ["BUNDLE", "UNSIGNED", "Tamper", "assert_found"]

import os
import re
from collections.abc import Callable
from pathlib import Path

from tests.release.verify.sealed import CPU, OTHER, VULKAN, sign

BUNDLE = f"{CPU}.tar.zst"
Tamper = Callable[[Path], object]


def assert_found(found: tuple[str, ...], wanted: list[str]) -> None:
    for pattern in wanted:
        assert any(re.search(pattern, problem) for problem in found), (pattern, found)


def append(name: str, data: bytes) -> Tamper:
    def tamper(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(data)

    return tamper


def flip(name: str, at: int) -> Tamper:
    def tamper(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)

    return tamper


def swap(one: str, other: str) -> Tamper:
    def tamper(folder: Path) -> None:
        first, second = (folder / one).read_bytes(), (folder / other).read_bytes()
        (folder / one).write_bytes(second)
        (folder / other).write_bytes(first)

    return tamper


def rewrite(name: str, change: Callable[[str], str]) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes().decode()).encode())

    return tamper


def link(folder: Path) -> None:
    (folder / BUNDLE).rename(folder.parent / "elsewhere")
    (folder / BUNDLE).symlink_to(folder.parent / "elsewhere")


def own_key_beside(folder: Path) -> None:
    """An attacker signs everything with a key of his own and puts that beside it."""
    for name in ("manifest.json", "SHA256SUMS"):
        sign(folder, name, key=OTHER)
    (folder / "minisign.pub").write_text(OTHER.public.file_text(), encoding="ascii")


def several_things(folder: Path) -> None:
    flip(BUNDLE, 9)(folder)
    append("report.json", b"\n")(folder)
    (folder / "x").write_text("x")
    (folder / f"{VULKAN}.tar.zst").unlink()


UNSIGNED: list[tuple[str, Tamper, list[str]]] = [
    (
        "a byte of a bundle",
        flip(BUNDLE, 100),
        [rf"{BUNDLE} has the SHA-256 [0-9a-f]{{64}}, SHA256SUMS lists [0-9a-f]{{64}}: download it again"],
    ),
    ("a longer bundle", append(BUNDLE, b"x"), [rf"{BUNDLE} has the SHA-256", f"{BUNDLE} has .* bytes, manifest.json"]),
    ("a cut bundle", lambda folder: os.truncate(folder / BUNDLE, 500), [f"{BUNDLE} cannot be opened: "]),
    ("an empty bundle", lambda folder: os.truncate(folder / BUNDLE, 0), [f"{BUNDLE} is empty"]),
    (
        "two bundles swapped",
        swap(BUNDLE, f"{VULKAN}.tar.zst"),
        [f"{BUNDLE} has the SHA-256", f"{VULKAN}.tar.zst has the SHA-256"],
    ),
    ("a bundle gone", lambda folder: (folder / BUNDLE).unlink(), [f"{BUNDLE} is listed in SHA256SUMS and not in"]),
    (
        "a bundle renamed",
        lambda folder: (folder / BUNDLE).rename(folder / "x.tar.zst"),
        [f"{BUNDLE} is listed in SHA256SUMS and not in the folder", "x.tar.zst is in the folder and not listed in"],
    ),
    ("a link in a bundle's place", link, [f"{BUNDLE} is neither a file nor a folder", f"{BUNDLE} is listed"]),
    (
        "a file more",
        lambda folder: (folder / "install.sh").write_text("rm"),
        ["install.sh is in the folder and not listed in SHA256SUMS"],
    ),
    ("a hidden file more", lambda folder: (folder / ".x").write_text(""), [".x is in the folder and not listed in"]),
    ("a folder more", lambda folder: (folder / "bin").mkdir(), ["bin is a folder, and a release has none"]),
    ("a pipe", lambda folder: os.mkfifo(folder / "pipe"), ["pipe is neither a file nor a folder"]),
    ("the report", append("report.json", b" "), ["report.json has the SHA-256"]),
    ("the page", append("report.html", b" "), ["report.html has the SHA-256"]),
    ("an SBOM", flip(f"{CPU}.cdx.json", 50), [f"{CPU}.cdx.json has the SHA-256"]),
    (
        "the provenance",
        flip("provenance.intoto.jsonl", 300),
        ["provenance.intoto.jsonl has the SHA-256", "provenance.intoto.jsonl: "],
    ),
    (
        "the manifest",
        rewrite("manifest.json", lambda text: text.replace('"timeout_s": 30', '"timeout_s": 31')),
        ["manifest.json has the SHA-256", "manifest.json.minisig: the signature does not fit"],
    ),
    (
        "the manifest's signature gone",
        lambda folder: (folder / "manifest.json.minisig").unlink(),
        ["manifest.json.minisig is not in the folder, so nothing vouches for manifest.json"],
    ),
    (
        "the sums",
        rewrite("SHA256SUMS", lambda text: text.replace("0", "1", 1)),
        ["SHA256SUMS.minisig: the signature does not fit", "has the SHA-256"],
    ),
    (
        "a name out of the sums",
        rewrite("SHA256SUMS", lambda text: "".join(line for line in text.splitlines(True) if BUNDLE not in line)),
        [
            "SHA256SUMS.minisig: the signature does not fit",
            f"{BUNDLE} is in the folder and not listed in SHA256SUMS",
            f"manifest.json offers {BUNDLE}, and SHA256SUMS does not list it",
            f"it vouches for {BUNDLE}, which is no bundle of the release",
        ],
    ),
    (
        "no sums",
        lambda folder: (folder / "SHA256SUMS").unlink(),
        ["SHA256SUMS is not in the folder, so nothing says which files belong to the release"],
    ),
    (
        "no signature",
        lambda folder: (folder / "SHA256SUMS.minisig").unlink(),
        ["SHA256SUMS.minisig is not in the folder, so nothing vouches for SHA256SUMS"],
    ),
    ("an empty signature", lambda folder: os.truncate(folder / "SHA256SUMS.minisig", 0), ["SHA256SUMS.minisig: "]),
    ("garbage for sums", rewrite("SHA256SUMS", lambda _: "hello\n"), ["SHA256SUMS: line 1 is no digest"]),
    (
        "too many sums",
        rewrite("SHA256SUMS", lambda _: "x" * (2 << 20)),
        ["SHA256SUMS has more than 1,048,576 bytes, which no SHA256SUMS of ours has"],
    ),
    (
        "the signatures swapped",
        swap("SHA256SUMS.minisig", "manifest.json.minisig"),
        ["SHA256SUMS.minisig: the signature does not fit", "manifest.json.minisig: the signature does not fit"],
    ),
    (
        "the trusted comment",
        rewrite("SHA256SUMS.minisig", lambda text: text.replace("tag=v0.1.0", "tag=v0.9.0")),
        ["SHA256SUMS.minisig: the trusted comment was changed after signing"],
    ),
    (
        "the untrusted comment",
        rewrite("SHA256SUMS.minisig", lambda text: text.replace("signature of", "call 555-1234:")),
        ["SHA256SUMS.minisig: its untrusted comment is not the one llamatrix writes"],
    ),
    (
        "Windows line ends in a signature",
        rewrite("SHA256SUMS.minisig", lambda text: text.replace("\n", "\r\n")),
        ["SHA256SUMS.minisig: it was changed after it was written: lines were added or line ends replaced"],
    ),
    (
        "lines behind a signature",
        append("SHA256SUMS.minisig", b"P.S.\n"),
        ["SHA256SUMS.minisig: it was changed after it was written"],
    ),
    (
        "another key, lying beside its work",
        own_key_beside,
        [
            "SHA256SUMS.minisig: signed by key 0303030303030303, not by 0101010101010101",
            "minisign.pub is in the folder and not listed",
        ],
    ),
    (
        "everything at once",
        several_things,
        [f"{BUNDLE} has the SHA-256", "report.json has the SHA-256", "x is in the folder", f"{VULKAN}.tar.zst is list"],
    ),
]
