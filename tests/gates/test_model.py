from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, dequantize

from pipeline.gates.model import SEED, ModelFacts, write_tiny_model
from pipeline.gates.tiny_llama import TinyLlama, generate, vocabulary

MODEL = TinyLlama.from_seed(SEED)
PROMPT = [1, *range(300, 310)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelFacts]:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    return path, write_tiny_model(path)


def test_the_same_bytes_every_time(written: tuple[Path, ModelFacts], tmp_path: Path) -> None:
    path, facts = written
    again = tmp_path / "again.gguf"
    assert write_tiny_model(again) == facts
    assert again.read_bytes() == path.read_bytes()


def test_another_seed_gives_another_model(written: tuple[Path, ModelFacts], tmp_path: Path) -> None:
    facts = write_tiny_model(tmp_path / "other.gguf", seed=SEED + 1)
    assert facts.sha256 != written[1].sha256
    assert facts.expected != written[1].expected


def test_it_is_small(written: tuple[Path, ModelFacts]) -> None:
    path, facts = written
    assert facts.size == path.stat().st_size < 2_000_000


def test_the_text_can_tell_right_from_wrong(written: tuple[Path, ModelFacts]) -> None:
    facts = written[1]
    assert len(facts.expected) == 16
    assert len(set(facts.expected)) >= 12, "a text that repeats itself proves little"
    assert facts.margin > 0.15, "other processors round differently; the winner must lead clearly"
    words = {text[1:] for text, _, _ in vocabulary()[-100:]}
    assert set(facts.expected) | set(facts.prompt.split()) <= words


def test_every_word_is_one_token_reached_by_merges() -> None:
    texts = [text for text, _, _ in vocabulary()]
    assert len(set(texts)) == len(texts)
    space = texts[-1][0]
    for word in texts[-100:]:
        assert len(word) == 3
        assert word[0] == space
        assert word[:2] in texts


@pytest.mark.parametrize("name", sorted(MODEL.weights))
def test_every_tensor_decides_what_is_generated(name: str) -> None:
    weight = MODEL.weights[name]
    wrong = dataclasses.replace(weight, values=np.roll(weight.values, 1, axis=0))
    broken = dataclasses.replace(MODEL, weights={**MODEL.weights, name: wrong})
    assert generate(broken, PROMPT, 8)[0] != generate(MODEL, PROMPT, 8)[0]


def test_positions_decide_what_is_generated() -> None:
    flat = dataclasses.replace(MODEL, shape=dataclasses.replace(MODEL.shape, rope_base=1e30))
    assert generate(flat, PROMPT, 8)[0] != generate(MODEL, PROMPT, 8)[0]


def test_the_reference_knows_the_weights_of_the_file(written: tuple[Path, ModelFacts]) -> None:
    reader = GGUFReader(written[0])
    kinds = set()
    for tensor in reader.tensors:
        values = dequantize(np.array(tensor.data), tensor.tensor_type)
        reference = MODEL.weights[tensor.name].values
        assert np.array_equal(values.reshape(reference.shape).astype(np.float64), reference), tensor.name
        kinds.add(tensor.tensor_type)
    assert len(reader.tensors) == len(MODEL.weights)
    assert kinds == {
        GGMLQuantizationType.F32,
        GGMLQuantizationType.F16,
        GGMLQuantizationType.Q8_0,
        GGMLQuantizationType.Q4_0,
    }
    del reader
