"""LLMLingua-2: what the model says of each piece is found at the words it was said of.

The published weights are not here. The stand-ins are made by hand: without layers, so that a piece
is kept or dropped by its vector alone, whatever stands around it.
"""

from __future__ import annotations

import importlib
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from frugal_chains.compression.words import WordScore, drop_words
from frugal_chains.errors import LocalModelError
from frugal_chains.local import LLMLingua2
from frugal_chains.local import _lingua as lingua

present = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None,
    reason="needs the extra llmlingua",
)

KEPT = ["tower", "bridge", "1894", "un", "##able"]
DROPPED = ["the", "was", "built", "in", "##believ", ".", ",", "北", "京"]
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HIGH, LOW = 0.9820, 0.0180
"""softmax of 2 and -2, by hand: 1 / (1 + e^-4)."""


def _weights(model: Any, kept: list[int], embeddings: Any) -> None:
    """Makes vectors (1, -1) of kept pieces and (-1, 1) of others, of which labels are read."""
    torch = importlib.import_module("torch")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        embeddings.LayerNorm.weight.fill_(1)
        table = embeddings.word_embeddings.weight
        table[:] = torch.tensor([-1.0, 1.0])
        table[kept] = torch.tensor([1.0, -1.0])
        model.classifier.weight[:] = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as the smaller published model, that reads 16 tokens at once."""
    transformers = importlib.import_module("transformers")
    folder = tmp_path_factory.mktemp("bert")
    words = MARKS + KEPT + DROPPED
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(
        str(folder / "vocab.txt"), do_lower_case=True, model_max_length=16
    ).save_pretrained(str(folder))
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=2,
        num_attention_heads=1,
        num_hidden_layers=0,
        max_position_embeddings=16,
        num_labels=2,
    )
    model = transformers.BertForTokenClassification(config)
    _weights(model, [words.index(word) for word in KEPT], model.bert.embeddings)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-RoBERTa as the larger published model, with pieces of SentencePiece."""
    tokenizers, transformers = map(importlib.import_module, ("tokenizers", "transformers"))
    folder = tmp_path_factory.mktemp("roberta")
    words = ["<s>", "<pad>", "</s>", "<unk>", "▁tower", "▁the", "▁Lon", "don", ",", "▁", "塔", "は"]
    fast = tokenizers.Tokenizer(
        tokenizers.models.Unigram([(word, -1.0) for word in words], unk_id=3)
    )
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast,
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=512,
    ).save_pretrained(str(folder))
    config = transformers.XLMRobertaConfig(
        vocab_size=len(words),
        hidden_size=2,
        num_attention_heads=1,
        num_hidden_layers=0,
        max_position_embeddings=514,
        pad_token_id=1,
        num_labels=2,
    )
    model = transformers.XLMRobertaForTokenClassification(config)
    kept = [words.index(word) for word in ("▁tower", "▁Lon", "塔")]
    _weights(model, kept, model.roberta.embeddings)
    model.save_pretrained(str(folder))
    return folder


def spoken(text: str, scores: list[WordScore]) -> list[tuple[str, float]]:
    return [(text[start:end], round(keep, 3)) for start, end, keep in scores]


@present
def test_each_word_has_the_mean_of_its_pieces(bert: Path) -> None:
    text = "The Tower,  was\nunbelievable."
    assert spoken(text, LLMLingua2(bert)(text)) == [
        ("The", pytest.approx(LOW, abs=1e-3)),
        ("Tower", pytest.approx(HIGH, abs=1e-3)),
        (",", pytest.approx(LOW, abs=1e-3)),
        ("was", pytest.approx(LOW, abs=1e-3)),
        ("unbelievable", pytest.approx((2 * HIGH + LOW) / 3, abs=1e-3)),
        (".", pytest.approx(LOW, abs=1e-3)),
    ]


@present
def test_pieces_of_sentencepiece_are_words_too(roberta: Path) -> None:
    text = "the London, tower 塔は"
    found = spoken(text, LLMLingua2(roberta)(text))
    assert [word for word, _ in found] == ["the", "London", ",", "tower", "塔", "は"]
    assert [keep > 0.4 for _, keep in found] == [False, True, False, True, True, False]


@present
def test_a_text_longer_than_the_model_reads_has_the_same_scores(bert: Path) -> None:
    """Without layers no score depends on the window; each word has one, at its place."""
    one = "the tower was built in 1894, the bridge was unbelievable."
    words, short = LLMLingua2(bert), LLMLingua2(bert)(one)
    text = " ".join([one] * 40)
    step = len(one) + 1
    wanted = [(s + n * step, e + n * step) for n in range(40) for s, e, _ in short]
    found = words(text)
    assert [(start, end) for start, end, _ in found] == wanted
    assert [keep for _, _, keep in found] == pytest.approx([k for _, _, k in short] * 40)


@present
def test_windows_of_one_batch_do_not_touch_each_other(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With layers, where what a shorter window is filled up with could be read as text."""
    torch, transformers = map(importlib.import_module, ("torch", "transformers"))
    transformers.AutoTokenizer.from_pretrained(str(bert)).save_pretrained(str(tmp_path))
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    config = transformers.AutoConfig.from_pretrained(str(bert), num_hidden_layers=2, **sizes)
    torch.manual_seed(0)
    transformers.BertForTokenClassification(config).save_pretrained(str(tmp_path))
    text = "the tower was built. in 1894, the bridge. was. " * 6 + "bridge"
    together = LLMLingua2(tmp_path)(text)
    monkeypatch.setattr(lingua, "_BATCH", 1)
    alone = LLMLingua2(tmp_path)(text)
    assert [score.keep for score in together] == pytest.approx([score.keep for score in alone])


@present
def test_it_drops_to_a_budget(bert: Path) -> None:
    text = "The tower was built in the bridge, in 1894."
    found = drop_words(
        text, LLMLingua2(bert)(text), budget_tokens=3, count=lambda t: len(t.split())
    )
    assert found.text == "tower bridge, 1894."


@present
@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "\ud800 tower", "x" * 5000, "🙂🙂 tower"])
def test_any_string_has_scores_within_it(bert: Path, text: str) -> None:
    found = LLMLingua2(bert)(text)
    drop_words(text, found, budget_tokens=1, count=len)  # which checks them
    if "tower" in text:
        assert spoken(text, found)[-1][0] == "tower"


@present
def test_every_thread_and_a_pickled_one_say_the_same(bert: Path) -> None:
    words, text = LLMLingua2(bert), "the tower was built."
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(words, [text] * 8))
    copy: LLMLingua2 = pickle.loads(pickle.dumps(words))
    assert all(each == copy(text) for each in found)


@present
def test_a_model_of_another_kind_is_refused(bert: Path, tmp_path: Path) -> None:
    transformers = importlib.import_module("transformers")
    transformers.AutoTokenizer.from_pretrained(str(bert)).save_pretrained(str(tmp_path))
    config = transformers.AutoConfig.from_pretrained(str(bert), num_labels=5)
    transformers.BertForTokenClassification(config).save_pretrained(str(tmp_path))
    with pytest.raises(LocalModelError, match="5 labels instead of 2"):
        LLMLingua2(tmp_path)("text")


@present
def test_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no_network(*given: Any, **_: Any) -> None:
        asked.append(given)
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("socket.socket.connect", no_network)
    absent = LLMLingua2("nobody/no-such-model")
    with pytest.raises(LocalModelError, match=re.escape("hf download nobody/no-such-model")):
        absent("text")
    with pytest.raises(LocalModelError, match="cannot be loaded"):
        LLMLingua2(tmp_path)("text")
    assert not asked


def test_the_error_names_the_extra_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingua, "find_spec", lambda name: None)
    with pytest.raises(LocalModelError, match=re.escape("'frugal-chains[llmlingua]'")):
        LLMLingua2("some/model")


def test_a_folder_that_is_not_there_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingua, "find_spec", lambda name: object())
    with pytest.raises(LocalModelError, match="is no folder"):
        LLMLingua2(tmp_path / "absent")


def test_the_room_imports_nothing_heavy() -> None:
    source = Path(lingua.__file__).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) (torch|transformers)", source, re.MULTILINE)
