"""LLMLingua-2, for its time alone: its weights come from a model hub, which is not asked here.

A stand-in of the same shape has random weights, so that it takes as long and keeps nothing of
value. The shape is that of the smaller published model, `microsoft/llmlingua-2-bert-base-
multilingual-cased-meetingbank`: BERT base, 12 layers of 768 (huggingface.co, its `config.json`);
only its vocabulary is smaller, which changes a look-up and not the layers.
"""

from __future__ import annotations

import importlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from compression.protocol import Contender, Count, Passage

NAME: Final = "LLMLingua-2, random weights of its shape"
_FOLDER: Final = "bert-base-multilingual-cased-random"
"""llmlingua looks for the first three words in a model's path to know how it joins words."""
_WORDS: Final = 20_000
_PROMPTS: Final = 3
_LABELS: Final = 2
"""Keep or drop."""


class LinguaAbsent(Exception):
    """It is not installed, or cannot be loaded."""


def contender(texts: Sequence[str], folder: Path) -> Contender:
    """LLMLingua-2 with a stand-in made in a folder, with a vocabulary of some texts.

    Raises:
        LinguaAbsent: llmlingua, torch or transformers are missing or do not work together.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    _find_ranks()
    try:
        torch, llmlingua = map(importlib.import_module, ("torch", "llmlingua"))
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model = _stand_in(texts, folder / _FOLDER)
        compressor = llmlingua.PromptCompressor(str(model), use_llmlingua2=True, device_map="cpu")
    except Exception as error:  # whatever its releases and those of transformers disagree on
        raise LinguaAbsent(
            f"llmlingua is left out ({type(error).__name__}: {error}): "
            "pip install llmlingua==0.2.2 with a torch for this machine brings it"
        ) from error

    def compress(
        query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> str:
        found: dict[str, Any] = compressor.compress_prompt_llmlingua2(
            [passage.label + passage.text for passage in passages],
            target_token=budget_tokens,
            use_context_level_filter=False,
        )
        text: str = found["compressed_prompt"]
        return text

    return Contender(
        name=NAME,
        compress=compress,
        sets=(),
        timed_prompts=_PROMPTS,
        note="time only: what random weights keep says nothing",
    )


def _find_ranks() -> None:
    """Its constructor loads tiktoken's cl100k; llama-index-core has the file."""
    spec = find_spec("llama_index")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        cached = Path(root) / "core" / "_static" / "tiktoken_cache"
        if cached.is_dir():
            os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(cached))


def _stand_in(texts: Sequence[str], folder: Path) -> Path:
    transformers = importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    words = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text))
    characters = sorted({character for word in words for character in word})
    vocabulary = [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *(f"[NEW{number}]" for number in range(100)),
        *dict.fromkeys(characters + [word for word, _ in words.most_common(_WORDS)]),
        *(f"##{character}" for character in characters),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(
        str(folder)
    )
    # Everything else is BERT base by default.
    config = transformers.BertConfig(vocab_size=len(vocabulary), num_labels=_LABELS)
    transformers.BertForTokenClassification(config).save_pretrained(str(folder))
    return folder
