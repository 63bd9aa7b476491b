"""The tiny model of the smoke gate, and the words any correct build must generate from it.

The words are not recorded from some build: a forward pass in double precision computes them when the model is
written. The seed is chosen so that the winner leads clearly at every step, which leaves room for the rounding of
other processors and GPUs but none for a kernel that is wrong.
"""

from __future__ import annotations

__all__ = ["SEED", "ModelFacts", "write_tiny_model"]

import hashlib
from dataclasses import dataclass
from pathlib import Path

SEED = 662
"""Chosen among a few thousand for its margin, see ``ModelFacts.margin``."""

_PROMPT = "ba ke di so tu na le mi po ru ga he ji wo zu fa se vi co xu da me li no"
_WORDS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """What the model is and does.

    ``expected`` are the words that follow ``prompt``. ``margin`` is the smallest lead of a winning word over the
    second, in standard deviations of all words' logits. ``layers`` counts the repeating ones, as llama.cpp does not:
    it offloads ``layers + 1``, the output included.
    """

    sha256: str
    size: int
    prompt: str
    expected: tuple[str, ...]
    margin: float
    layers: int


def write_tiny_model(path: Path, *, seed: int = SEED) -> ModelFacts:
    """Write the model to ``path`` as GGUF: the same bytes for the same seed, under 2 MB, in well under a second."""
    from pipeline.gates.tiny_llama import (  # noqa: PLC0415 - it loads numpy and gguf, which only this needs
        TinyLlama,
        generate,
        vocabulary,
        write_gguf,
    )

    model = TinyLlama.from_seed(seed)
    write_gguf(path, model)
    texts = [text for text, _, _ in vocabulary()]
    space = texts[-1][0]
    prompt = [texts.index("<s>"), *(texts.index(space + word) for word in _PROMPT.split())]
    tokens, margin = generate(model, prompt, _WORDS)
    content = path.read_bytes()
    return ModelFacts(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        prompt=_PROMPT,
        expected=tuple(texts[token].removeprefix(space) for token in tokens),
        margin=margin,
        layers=model.shape.layers,
    )
