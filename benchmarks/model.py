"""A made-up model of about 220 million parameters: every weight Q4_0, no meaning, the right shapes and sizes."""

from __future__ import annotations

__all__ = ["parameters", "write_model"]

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray

_LAYERS, _WIDTH, _HIDDEN, _WORDS = 9, 1024, 4096, 32_000
_HEADS, _CONTEXT = 16, 2048
_BLOCK = 32


def _shapes() -> Iterator[tuple[str, int, int]]:
    """Give the matrices: name, rows, columns."""
    yield "token_embd.weight", _WORDS, _WIDTH
    yield "output.weight", _WORDS, _WIDTH
    for layer in range(_LAYERS):
        name = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{name}.{part}.weight", _WIDTH, _WIDTH
        yield f"{name}.ffn_gate.weight", _HIDDEN, _WIDTH
        yield f"{name}.ffn_up.weight", _HIDDEN, _WIDTH
        yield f"{name}.ffn_down.weight", _WIDTH, _HIDDEN


def parameters() -> int:
    """Count the weights in matrices."""
    return sum(rows * columns for _, rows, columns in _shapes())


def write_model(path: Path) -> None:
    """Write the model; it appears complete or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    writer = GGUFWriter(partial, "llama")
    try:
        _describe(writer)
        random = np.random.default_rng(0)
        for name, rows, columns in _shapes():
            writer.add_tensor(name, _q4_0(random, rows, columns), raw_dtype=GGMLQuantizationType.Q4_0)
        norms = ["output_norm", *(f"blk.{n}.{part}_norm" for n in range(_LAYERS) for part in ("attn", "ffn"))]
        for name in norms:
            writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    partial.replace(path)


def _describe(writer: GGUFWriter) -> None:
    writer.add_name("llamatrix benchmark")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    # llama-bench feeds token numbers, so no words are needed.
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(_WORDS)


def _q4_0(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.uint8]:
    """Make a matrix of random numbers whose scale keeps activations near one: half a float, then 16 bytes of pairs."""
    blocks = columns // _BLOCK
    made = np.empty((rows, blocks, 2 + _BLOCK // 2), dtype=np.uint8)
    made[:, :, :2] = np.full(1, columns**-0.5 / 4.6, dtype="<f2").view(np.uint8)
    made[:, :, 2:] = random.integers(0, 256, size=(rows, blocks, _BLOCK // 2), dtype=np.uint8)
    return made.reshape(rows, -1)
