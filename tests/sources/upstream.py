"""A git repository made by hand, object by object, so that tests can make it lie."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path

from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.pack import PackData

EPOCH = 1700000000
_NUMBERS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
FILE, PROGRAM, LINK, FOLDER, SUBMODULE = "100644", "100755", "120000", "40000", "160000"


class Upstream:
    """Writes loose objects and packs below ``objects``; nothing is checked on purpose."""

    def __init__(self, objects: Path) -> None:
        self.objects = objects
        self.contents: dict[str, tuple[str, bytes]] = {}
        objects.mkdir(parents=True, exist_ok=True)

    def put(self, kind: str, data: bytes, *, name: str | None = None, loose: bool = True) -> str:
        raw = f"{kind} {len(data)}\0".encode() + data
        name = name or hashlib.sha1(raw).hexdigest()
        self.contents[name] = (kind, data)
        if loose:
            path = self.objects / name[:2] / name[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(raw))
        return name

    def blob(self, data: bytes) -> str:
        return self.put("blob", data)

    def tree(self, *entries: tuple[str, str | bytes, str]) -> str:
        """Make a tree of (mode, name, id) in git's order."""
        raw = [(mode, name.encode() if isinstance(name, str) else name, ident) for mode, name, ident in entries]
        raw.sort(key=lambda entry: entry[1] + (b"/" if entry[0] == FOLDER else b""))
        return self.raw_tree(*raw)

    def raw_tree(self, *entries: tuple[str, bytes, str]) -> str:
        data = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(ident) for mode, name, ident in entries)
        return self.put("tree", data)

    def commit(self, tree: str, message: str = "a commit") -> str:
        person = f"A Person <person@example.org> {EPOCH} +0000"
        # The parent is not there: a mirror may be a shallow clone.
        text = f"tree {tree}\nparent {'1' * 40}\nauthor {person}\ncommitter {person}\n\n{message}\n"
        return self.put("commit", text.encode())

    def sample(self) -> str:
        """Make a commit of a few files, a program, a folder and a link."""
        inner = self.tree((FILE, "b.c", self.blob(b"int b;\n")))
        return self.commit(
            self.tree(
                (FILE, "README", self.blob(b"read me\n")),
                (PROGRAM, "run.sh", self.blob(b"#!/bin/sh\n")),
                (FOLDER, "src", inner),
                (LINK, "link", self.blob(b"src/b.c")),
            )
        )

    def commit_of(self, *entries: tuple[str, str | bytes, str]) -> str:
        return self.commit(self.tree(*entries))

    def pack_bytes(self) -> bytes:
        """Give a pack of everything put so far, without deltas."""
        parts = [b"PACK" + (2).to_bytes(4, "big") + len(self.contents).to_bytes(4, "big")]
        for kind, data in self.contents.values():
            parts += [entry_header(_NUMBERS[kind], len(data)), zlib.compress(data)]
        return seal(b"".join(parts))

    def write_pack(self, *, index: bool = True, keep_loose: bool = False) -> Path:
        """Move everything into one pack."""
        folder = self.objects / "pack"
        folder.mkdir(exist_ok=True)
        path = folder / "pack-made-by-hand.pack"
        path.write_bytes(self.pack_bytes())
        if index:
            with PackData(path, DEFAULT_OBJECT_FORMAT) as data:
                data.create_index_v2(str(path.with_suffix(".idx")))
        if not keep_loose:
            for name in self.contents:
                self.path(name).unlink(missing_ok=True)
        return path

    def path(self, name: str) -> Path:
        return self.objects / name[:2] / name[2:]


def seal(body: bytes) -> bytes:
    return body + hashlib.sha1(body).digest()


def entry_header(number: int, size: int) -> bytes:
    byte = number << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def sdist(files: dict[str, bytes], *, top: str = "vendored-1.0") -> bytes:
    """Make a .tar.gz with ``files`` below ``top``, the same bytes every time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{top}/{name}" if top else name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)


def sdist_of(upstream: Upstream, folder: str, extra: dict[str, bytes] | None = None) -> bytes:
    """Make an sdist that vendors all objects of ``upstream`` under ``folder``, next to what git leaves there."""
    files = {"PKG-INFO": b"Name: vendored\n", f"{folder}/config": b"[core]\n\tfsmonitor = touch canary\n"}
    for path in sorted(upstream.objects.rglob("*")):
        if path.is_file():
            files[f"{folder}/objects/{path.relative_to(upstream.objects).as_posix()}"] = path.read_bytes()
    return sdist(files | (extra or {}))
