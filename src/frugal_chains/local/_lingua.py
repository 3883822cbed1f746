"""LLMLingua-2 inside this process: which words of a text a small model would keep.

The model is a token classifier, trained to tell which words GPT-4 kept when it was asked to
compress (Pan et al., LLMLingua-2, arXiv 2403.12968; code: github.com/microsoft/LLMLingua, MIT).
Published weights: `microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank` and
`microsoft/llmlingua-2-xlm-roberta-large-meetingbank`. The package llmlingua is not needed: it reads
a text back from pieces of words, and so loses white space, URLs and the exact budget; here the
model says how much it wants each word, and `compression.words` chooses.
"""

from __future__ import annotations

import importlib
import re
import threading
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from frugal_chains.compression.words import UNSPACED, WordScore
from frugal_chains.errors import LocalModelError
from frugal_chains.text import sentences

_WAY_OUT: Final = "pip install 'frugal-chains[llmlingua]' brings torch and transformers"
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*")
_WINDOW_TOKENS: Final = 512
"""As the published models were trained and are used, with both marks (llmlingua 0.2.2)."""
_KEEP: Final = 1
"""The label of what stays; 0 is what goes (llmlingua 0.2.2)."""
_BATCH: Final = 8
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class LLMLingua2:
    """A text to the probability of each of its words to be kept. Safe for threads.

    Nothing is loaded before the first use, and nothing is ever downloaded: give a folder, or the
    id of a model that is in the cache of the Hugging Face hub (`hf download <id>` puts it there).

        words = LLMLingua2("microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank")
        drop_words(text, words(text), budget_tokens=500, count=count)

    Args:
        model: A folder with weights and tokenizer, or an id on the hub.
        device: Of torch, such as "cpu" or "cuda".

    Raises:
        LocalModelError: the extra `llmlingua` is not installed, or there is no such folder; on
            first use, when the model cannot be loaded or is of another kind.
    """

    def __init__(self, model: str | Path, *, device: str = "cpu") -> None:
        missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
        if missing:
            raise LocalModelError(f"{' and '.join(missing)} not found: {_WAY_OUT}")
        if not Path(model).is_dir() and not _HUB_ID.fullmatch(str(model)):
            raise LocalModelError(f"{model} is no folder: give one with weights, or an id of a hub")
        self._model, self._device = str(model), device
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def __call__(self, text: str) -> list[WordScore]:
        """The scores of a text's words, ascending, none overlapping."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _Loaded(self._model, self._device)
        return self._loaded.scores(text)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self._model, "device": self._device}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # weights are not pickled: it loads anew


class _Loaded:
    """The model with its tokenizer."""

    def __init__(self, model: str, device: str) -> None:
        try:
            self._torch, transformers = map(importlib.import_module, ("torch", "transformers"))
        except ImportError as error:
            raise LocalModelError(f"{error}: {_WAY_OUT}") from None
        folder = _folder(model)
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, use_fast=True
            )
            self._model: Any = transformers.AutoModelForTokenClassification.from_pretrained(
                folder, local_files_only=True
            )
        except Exception as error:  # many kinds, by what is missing or damaged
            why = str(error).partition("\n")[0]
            raise LocalModelError(
                f"{model} cannot be loaded ({type(error).__name__}: {why}); give a folder with "
                "weights, config.json and the tokenizer's files"
            ) from error
        config, marks = self._model.config, (
            self._tokenizer.cls_token_id,
            self._tokenizer.sep_token_id,
        )  # fmt: skip
        if config.num_labels != 2 or None in marks or not self._tokenizer.is_fast:
            raise LocalModelError(
                f"{model} is not a model of the kind of LLMLingua-2: it has {config.num_labels} "
                f"labels instead of 2, no marks of begin and end, or no fast tokenizer"
            )
        self._marks = marks
        self._window = min(_WINDOW_TOKENS, self._tokenizer.model_max_length) - len(marks)
        self._device = device
        self._model.to(device).eval()

    def scores(self, text: str) -> list[WordScore]:
        # Of the same length, so that places stay: the tokenizer takes no lone surrogates.
        text = _SURROGATE.sub("\ufffd", text)
        given = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids, offsets = given["input_ids"], given["offset_mapping"]
        if not ids:
            return []
        begins = list(_begins(text, given.tokens(0), given.word_ids(0), offsets))
        keep = self._keep(ids, _windows(text, offsets, begins, self._window))
        return list(_words(text, offsets, begins, keep))

    def _keep(self, ids: Sequence[int], windows: Sequence[tuple[int, int]]) -> list[float]:
        """The probability of each piece to be kept."""
        torch, found = self._torch, []
        first, last = self._marks
        for at in range(0, len(windows), _BATCH):
            rows = [
                torch.tensor([first, *ids[start:end], last])
                for start, end in windows[at : at + _BATCH]
            ]
            padded = torch.nn.utils.rnn.pad_sequence(
                rows, batch_first=True, padding_value=self._tokenizer.pad_token_id or 0
            )
            lengths = torch.tensor([len(row) for row in rows])
            mask = (torch.arange(padded.shape[1])[None, :] < lengths[:, None]).long()
            with torch.inference_mode():
                logits = self._model(
                    input_ids=padded.to(self._device), attention_mask=mask.to(self._device)
                ).logits
            likely = logits.float().softmax(dim=-1)[:, :, _KEEP].cpu()
            for row, length in zip(likely, lengths.tolist(), strict=True):
                found += row[1 : length - 1].tolist()
        return found


def _folder(model: str) -> str:
    """Where the files of a model are. An id is looked up here, without a question to the hub:
    huggingface_hub 2.4 asks it for other things even where only local files are wanted."""
    if Path(model).is_dir():
        return model
    hub = importlib.import_module("huggingface_hub")
    found = hub.try_to_load_from_cache(model, "config.json")
    if not isinstance(found, str):
        raise LocalModelError(
            f"{model} is not in the cache of the hub, and nothing is downloaded here: run "
            f"`hf download {model}`, or give a folder"
        )
    return str(Path(found).parent)


def _begins(
    text: str,
    tokens: Sequence[str],
    words: Sequence[int | None],
    offsets: Sequence[tuple[int, int]],
) -> Iterator[bool]:
    """Whether each piece begins a word; punctuation is a word of its own, as in llmlingua."""
    before, alone_before = -1, True
    for token, word, (start, end) in zip(tokens, words, offsets, strict=True):
        piece = text[start:end].strip()
        alone = bool(piece) and unicodedata.category(piece[0])[0] in "PS"
        # Without spaces between words a SentencePiece tokenizer takes a sentence for one.
        unspaced = UNSPACED.match(piece) is not None and not token.startswith("##")
        yield word != before or alone or alone_before or unspaced
        before, alone_before = -1 if word is None else word, alone


def _windows(
    text: str, offsets: Sequence[tuple[int, int]], begins: Sequence[bool], most: int
) -> list[tuple[int, int]]:
    """Stretches of pieces, each as long as the model can read: up to the end of a sentence, or else
    of a word."""
    starts = [start for start, _ in sentences(text)]
    of_sentence = [bisect_right(starts, max(start, end - 1)) for start, end in offsets]
    found, at = [], 0
    while at < len(offsets):
        end = min(at + most, len(offsets))
        if end < len(offsets):
            places = range(end, at, -1)
            by_sentence = (n for n in places if of_sentence[n] != of_sentence[n - 1] and begins[n])
            by_word = (n for n in places if begins[n])
            end = next(by_sentence, None) or next(by_word, end)
        found.append((at, end))
        at = end
    return found


def _words(
    text: str,
    offsets: Sequence[tuple[int, int]],
    begins: Sequence[bool],
    keep: Sequence[float],
) -> Iterator[WordScore]:
    """Words with the mean of their pieces (`token_to_word="mean"`, the way of llmlingua)."""
    edges = [at for at, begin in enumerate(begins) if begin] + [len(begins)]
    reached = 0
    for first, last in pairwise(edges):
        span = text[offsets[first][0] : offsets[last - 1][1]]
        start = max(reached, offsets[first][0] + len(span) - len(span.lstrip()))
        end = offsets[first][0] + len(span.rstrip())
        if start < end:
            yield WordScore(start, end, sum(keep[first:last]) / (last - first))
            reached = end
