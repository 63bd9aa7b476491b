"""YAML text to plain data in which every key and value still knows its line and column."""

from __future__ import annotations

__all__ = ["MAX_BYTES", "Document", "parse", "read"]

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import MatrixError
from pipeline.matrix.composer import compose, refuse

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from pipeline.matrix.nodes import Node, Path

MAX_BYTES = 2**20
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A whole file: its data, and where each part of it stands."""

    name: str
    root: Node

    @property
    def data(self) -> object:
        """Plain Python data. Values behind aliases are shared, so treat it as read-only."""
        return self.root.value

    def node(self, path: Path) -> Node:
        """Give the value at ``path``, or the deepest value on the way to it that exists."""
        node = self.root
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            node = child
        return node

    def position(self, path: Path) -> tuple[int, int]:
        """Give line and column of the value at ``path``."""
        node = self.node(path)
        return node.line, node.column

    def key_position(self, path: Path) -> tuple[int, int]:
        """Give line and column of the key that ``path`` ends in; of the item itself when it ends in an index."""
        parent = self.node(path[:-1])
        last = path[-1] if path else None
        entry = parent.entries.get(last) if isinstance(last, str) else None
        return (entry.line, entry.column) if entry is not None else self.position(path)

    def where(self, *path: str | int) -> str:
        """Give ``file:line:column`` of the value at ``path``."""
        line, column = self.position(path)
        return f"{self.name}:{line}:{column}"

    def where_key(self, *path: str | int) -> str:
        """Give ``file:line:column`` of the key that ``path`` ends in."""
        line, column = self.key_position(path)
        return f"{self.name}:{line}:{column}"


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, str):
        entry = node.entries.get(step)
        return entry.node if entry is not None else None
    return node.items[step] if 0 <= step < len(node.items) else None


def read(path: FilePath) -> tuple[Document, str]:
    """Read a file, at most ``MAX_BYTES`` of it.

    Returns:
        The document and the SHA-256 of the file's bytes.

    Raises:
        MatrixError: the file cannot be read, is too large, is not UTF-8, or is not YAML we accept.
    """
    place = str(path)
    try:
        if path.exists() and not path.is_file():
            msg = "this is not a file"
            raise MatrixError(msg, where=place, hint="give the path of a matrix.yaml")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        msg = "there is no such file"
        raise MatrixError(msg, where=place, hint="run this in the folder that holds matrix.yaml") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        msg = f"cannot read this file: {reason}"
        raise MatrixError(msg, where=place, hint="check the path and its permissions") from error
    if len(content) > MAX_BYTES:
        msg = f"the file is larger than {MAX_BYTES} bytes"
        raise MatrixError(msg, where=place, hint="is this really a matrix.yaml?")
    return parse(content, name=path.name), hashlib.sha256(content).hexdigest()


def parse(content: bytes | str, *, name: str = "matrix.yaml") -> Document:
    """Turn YAML into a document; ``name`` is the file name used in messages.

    Raises:
        MatrixError: it is not UTF-8, not YAML, or YAML that we refuse; ``where`` says where.
    """
    text = _decode(content, name) if isinstance(content, bytes) else content
    text = text.removeprefix("\ufeff")
    if match := _UNPRINTABLE.search(text):
        msg = f"the character U+{ord(match[0]):04X} cannot stand in YAML"
        refuse(name, *_offset(text, match.start()), msg, 'remove it, or write it as an escape in "double quotes"')
    return Document(name=name, root=compose(text, name=name))


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        msg = f"the file is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
        refuse(name, *_offset(before, len(before)), msg, "save the file as UTF-8")


def _offset(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
