"""A tiny Llama in numpy: weights out of a hash, and the forward pass that says what it must generate.

Only :mod:`pipeline.gates.model` imports this module, and late, because numpy and gguf take a while to load.
"""

from __future__ import annotations

__all__ = ["SHAPE", "Shape", "TinyLlama", "Weight", "generate", "vocabulary", "write_gguf"]

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK = 32
_EPSILON = 1e-5
_ROPE_BASE = 10000.0
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_VOWELS = "aeiou"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The numbers that make it a Llama: small, yet every kernel a real model needs gets used."""

    layers: int = 2
    width: int = 128
    heads: int = 2
    heads_kv: int = 1
    hidden: int = 256
    context: int = 256
    epsilon: float = _EPSILON
    rope_base: float = _ROPE_BASE

    @property
    def head(self) -> int:
        """Numbers per head."""
        return self.width // self.heads


SHAPE = Shape()


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """One tensor: the values the reference uses, and the very bytes that go into the file."""

    values: Floats
    stored: NDArray[np.generic]
    kind: GGMLQuantizationType


def vocabulary() -> list[tuple[str, float, TokenType]]:
    """Give each token's text, score and type, as the SentencePiece tokenizer of llama.cpp wants them.

    A word is a space, a consonant and a vowel, so the tokenizer reaches each by two merges, and generated text
    splits at its spaces into exactly the tokens that made it.
    """
    tokens = [("<unk>", 0.0, TokenType.UNKNOWN), ("<s>", 0.0, TokenType.CONTROL), ("</s>", 0.0, TokenType.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, TokenType.BYTE) for byte in range(256)]
    tokens += [(f"\N{LOWER ONE EIGHTH BLOCK}{consonant}", -2.0, TokenType.NORMAL) for consonant in _CONSONANTS]
    tokens += [
        (f"\N{LOWER ONE EIGHTH BLOCK}{consonant}{vowel}", -1.0, TokenType.NORMAL)
        for consonant, vowel in product(_CONSONANTS, _VOWELS)
    ]
    return tokens


def _random(label: str, count: int) -> NDArray[np.uint8]:
    """Give ``count`` bytes that are the same everywhere and for ever: numpy's own generators promise neither."""
    return np.frombuffer(hashlib.shake_256(label.encode()).digest(count), dtype=np.uint8)


def _f32(label: str, rows: int) -> Weight:
    """Make a norm's weights: around one, in steps that every float format holds exactly."""
    values = 0.75 + (_random(label, rows) % 9).astype(np.float32) / 16
    return Weight(values=values.astype(np.float64), stored=values, kind=GGMLQuantizationType.F32)


def _f16(label: str, rows: int, columns: int, scale: float) -> Weight:
    """Make a matrix of half floats."""
    integers = _random(label, 2 * rows * columns).view("<u2").astype(np.float64).reshape(rows, columns)
    stored = ((integers / 32768 - 1) * (scale * 3**0.5)).astype(np.float16)
    return Weight(values=stored.astype(np.float64), stored=stored, kind=GGMLQuantizationType.F16)


def _q8_0(label: str, rows: int, columns: int, scale: float, *, zero_rows: int = 0) -> Weight:
    """Make a Q8_0 matrix block by block, so that the reference knows it exactly."""
    integers = _random(label, rows * columns).view(np.int8).reshape(rows, columns // _BLOCK, _BLOCK).copy()
    integers[:zero_rows] = 0
    step = np.float16(scale / 73.9)
    scales = np.full((rows, columns // _BLOCK, 1), step, dtype="<f2").view(np.uint8)
    stored = np.concatenate([scales, integers.view(np.uint8)], axis=2).reshape(rows, -1)
    values = integers.astype(np.float64).reshape(rows, columns) * float(step)
    return Weight(values=values, stored=stored, kind=GGMLQuantizationType.Q8_0)


def _q4_0(label: str, rows: int, columns: int, scale: float) -> Weight:
    """Make a Q4_0 matrix: a byte holds number ``i`` of its block below and number ``i + 16`` above."""
    packed = _random(label, rows * columns // 2).reshape(rows, columns // _BLOCK, _BLOCK // 2)
    integers = np.concatenate([packed & 0x0F, packed >> 4], axis=2).astype(np.float64) - 8
    step = np.float16(scale / 4.6)
    scales = np.full((rows, columns // _BLOCK, 1), step, dtype="<f2").view(np.uint8)
    stored = np.concatenate([scales, packed], axis=2).reshape(rows, -1)
    return Weight(values=integers.reshape(rows, columns) * float(step), stored=stored, kind=GGMLQuantizationType.Q4_0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyLlama:
    """The weights by their GGUF names."""

    shape: Shape
    weights: Mapping[str, Weight]

    @classmethod
    def from_seed(cls, seed: int, shape: Shape = SHAPE) -> TinyLlama:
        """Make the weights; the same seed gives the same bytes on every machine.

        Half floats, Q4_0 and Q8_0 are all in it: a broken kernel of any of them changes what is generated. The
        rows of the special tokens and bytes in the output are zero, so only whole words are ever generated.
        """
        tokens = vocabulary()
        width, hidden, narrow = shape.width, shape.hidden, shape.head * shape.heads_kv
        words = len(_CONSONANTS) * len(_VOWELS)
        weights = {
            "token_embd.weight": _f16(f"{seed}/embd", len(tokens), width, 1.0),
            "output_norm.weight": _f32(f"{seed}/norm", width),
            "output.weight": _q8_0(f"{seed}/output", len(tokens), width, width**-0.5, zero_rows=len(tokens) - words),
        }
        for layer in range(shape.layers):
            matrix = _q4_0 if layer % 2 == 0 else _q8_0
            label, name = f"{seed}/{layer}", f"blk.{layer}"
            scale = 1.5 * width**-0.5
            weights |= {
                f"{name}.attn_norm.weight": _f32(f"{label}/attn_norm", width),
                f"{name}.attn_q.weight": matrix(f"{label}/q", width, width, scale),
                f"{name}.attn_k.weight": matrix(f"{label}/k", narrow, width, scale),
                f"{name}.attn_v.weight": matrix(f"{label}/v", narrow, width, scale),
                f"{name}.attn_output.weight": matrix(f"{label}/o", width, width, scale),
                f"{name}.ffn_norm.weight": _f32(f"{label}/ffn_norm", width),
                f"{name}.ffn_gate.weight": matrix(f"{label}/gate", hidden, width, scale),
                f"{name}.ffn_up.weight": matrix(f"{label}/up", hidden, width, scale),
                f"{name}.ffn_down.weight": matrix(f"{label}/down", width, hidden, 1.5 * hidden**-0.5),
            }
        return cls(shape=shape, weights=weights)

    def values(self, name: str) -> Floats:
        """Give a tensor as the reference sees it."""
        values: Floats = self.weights[name].values
        return values

    def logits(self, tokens: Sequence[int]) -> Floats:
        """Run the forward pass over ``tokens`` and give the logits after the last."""
        shape = self.shape
        state = self.values("token_embd.weight")[list(tokens)]
        for layer in range(shape.layers):
            name = f"blk.{layer}"
            state = state + self._attention(name, self._norm(state, f"{name}.attn_norm.weight"))
            inner = self._norm(state, f"{name}.ffn_norm.weight")
            gate = inner @ self.values(f"{name}.ffn_gate.weight").T
            up = inner @ self.values(f"{name}.ffn_up.weight").T
            state = state + (gate / (1 + np.exp(-gate)) * up) @ self.values(f"{name}.ffn_down.weight").T
        last: Floats = self._norm(state[-1:], "output_norm.weight") @ self.values("output.weight").T
        logits: Floats = last[0]
        return logits

    def _norm(self, state: Floats, name: str) -> Floats:
        mean = np.mean(state * state, axis=-1, keepdims=True)
        normed: Floats = state / np.sqrt(mean + self.shape.epsilon) * self.values(name)
        return normed

    def _attention(self, name: str, state: Floats) -> Floats:
        shape, length = self.shape, len(state)
        query = self._rope((state @ self.values(f"{name}.attn_q.weight").T).reshape(length, shape.heads, shape.head))
        narrow = (length, shape.heads_kv, shape.head)
        key = self._rope((state @ self.values(f"{name}.attn_k.weight").T).reshape(narrow))
        value = (state @ self.values(f"{name}.attn_v.weight").T).reshape(narrow)
        groups = shape.heads // shape.heads_kv
        key, value = np.repeat(key, groups, axis=1), np.repeat(value, groups, axis=1)
        scores = np.einsum("qhd,khd->hqk", query, key) / shape.head**0.5
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", share, value).reshape(length, shape.width)
        out: Floats = mixed @ self.values(f"{name}.attn_output.weight").T
        return out

    def _rope(self, vectors: Floats) -> Floats:
        """Turn each neighbouring pair by its position: the order of dimensions that ``llama`` models use."""
        length, _, size = vectors.shape
        angles = np.arange(length)[:, None] * self.shape.rope_base ** (-np.arange(0, size, 2) / size)
        sine, cosine = np.sin(angles)[:, None, :], np.cos(angles)[:, None, :]
        even, odd = vectors[..., 0::2], vectors[..., 1::2]
        turned = np.empty_like(vectors)
        turned[..., 0::2] = even * cosine - odd * sine
        turned[..., 1::2] = even * sine + odd * cosine
        return turned


def generate(model: TinyLlama, prompt: Sequence[int], count: int) -> tuple[list[int], float]:
    """Generate greedily; the second value is the smallest lead of a winner, in standard deviations of the words'."""
    tokens, lead = list(prompt), np.inf
    words = slice(len(vocabulary()) - len(_CONSONANTS) * len(_VOWELS), None)
    for _ in range(count):
        logits = model.logits(tokens)
        second, first = np.partition(logits, -2)[-2:]
        lead = min(lead, float((first - second) / logits[words].std()))
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :], lead


def write_gguf(path: Path, model: TinyLlama) -> None:
    """Write the model as a GGUF file that llama.cpp loads as a Llama with a SentencePiece tokenizer."""
    shape = model.shape
    writer = GGUFWriter(path, "llama")
    try:
        writer.add_name("llamatrix tiny")
        writer.add_context_length(shape.context)
        writer.add_embedding_length(shape.width)
        writer.add_block_count(shape.layers)
        writer.add_feed_forward_length(shape.hidden)
        writer.add_head_count(shape.heads)
        writer.add_head_count_kv(shape.heads_kv)
        writer.add_rope_dimension_count(shape.head)
        writer.add_rope_freq_base(shape.rope_base)
        writer.add_layer_norm_rms_eps(shape.epsilon)
        texts, scores, types = zip(*vocabulary(), strict=True)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(texts)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(texts.index("<s>"))
        writer.add_eos_token_id(texts.index("</s>"))
        writer.add_unk_token_id(texts.index("<unk>"))
        writer.add_add_bos_token(True)  # noqa: FBT003 - the writer's own signature
        writer.add_add_eos_token(False)  # noqa: FBT003 - the writer's own signature
        for name, weight in model.weights.items():
            writer.add_tensor(name, weight.stored, raw_dtype=weight.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
