"""The bounds of a diagnosis: what is just in time, just in reach, just kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from frugal_chains.prompt_cache import BlockText, SentRequest, diagnose, fingerprints
from frugal_chains.providers import cache_controls
from frugal_chains.usage import Usage
from tests.core.prompt_cache.bodies import SONNET, terms

CLAUDE = cache_controls("anthropic", "claude-sonnet-4-6")
KEY = b"0123456789abcdef"
START_S = 1_000_000.0
"""A clock does not begin at 0."""


def sent(*texts: str, tokens: int = 500, **more: Any) -> SentRequest:
    """1,500 tokens, all of them written."""
    blocks = [BlockText(kind="message", text=text, tokens=tokens) for text in texts or ("a", "b")]
    given = {
        "print": fingerprints(blocks, key=KEY),
        "usage": Usage(input_tokens=1500, cache_write_5m_tokens=1500),
        "at_s": START_S,
        "marked": (2,),
        **more,
    }
    return SentRequest(**given)


def missed(**more: Any) -> SentRequest:
    """A later request that has read nothing."""
    return sent(**{"at_s": START_S + 9, **more})


def cause(before: SentRequest, after: SentRequest, provider: str = "", model: str = "") -> str:
    """At Claude unless told."""
    if not (provider or model):
        return diagnose(before, after, controls=CLAUDE, terms=SONNET).cause
    controls = cache_controls(provider, model)
    names = [name for name, _ in controls.ttls] or [""]
    return diagnose(before, after, controls=controls, terms={names[0]: terms(3000)}).cause


@pytest.mark.parametrize(
    ("gap_s", "expected"),
    [(299.9, "evicted"), (300.0, "expired"), (-3600.0, "evicted")],
    ids=["just-in-time", "too-late", "clock-set-back"],
)
def test_an_entry_lasts_for_less_than_its_time(gap_s: float, expected: str) -> None:
    assert cause(sent(), missed(at_s=START_S + gap_s)) == expected


@pytest.mark.parametrize(
    ("answered_s", "expected"), [(9.0, "evicted"), (9.5, "parallel")], ids=["after", "before"]
)
def test_an_entry_is_there_once_the_answer_has_begun(answered_s: float, expected: str) -> None:
    """ "A cache entry only becomes available after the first response begins." """
    assert cause(sent(answered_s=START_S + answered_s), missed()) == expected


@pytest.mark.parametrize(
    ("marked", "expected"),
    [((21,), "evicted"), ((22,), "look-back"), ((1,), "look-back"), ((2, 60), "evicted"),
     ((), "unmarked"), (None, "evicted")],
    ids=["20th", "21st", "in-front", "one-is-near", "none", "not-known"],
)  # fmt: skip
def test_twenty_positions_are_searched_counting_the_markers_own(
    marked: tuple[int, ...] | None, expected: str
) -> None:
    assert cause(sent(), missed(marked=marked)) == expected


def test_without_markers_in_the_request_before_there_is_nothing_to_be_out_of_reach() -> None:
    for marked in ((), None):
        assert cause(sent(marked=marked), missed(marked=(60,))) == "evicted"


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-5.6-sol"), ("openai", "gpt-4o"), ("deepseek", "deepseek-v4-flash"),
     ("house", "zeta-9000")],
    ids=["gpt-5.6", "gpt-4o", "deepseek", "unknown"],
)  # fmt: skip
def test_who_writes_unasked_needs_no_marker(provider: str, model: str) -> None:
    """And of who is not known no time to live is known either."""
    assert cause(sent(marked=()), missed(marked=()), provider, model) == "evicted"


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1023, "below-minimum"), (1024, "unmarked")], ids=["1023", "1024"]
)
def test_a_prompt_of_the_minimum_is_long_enough(tokens: int, expected: str) -> None:
    usage = Usage(input_tokens=tokens)
    assert cause(sent(usage=usage), missed(usage=usage)) == expected


def test_what_another_conversation_has_left_is_read_as_well() -> None:
    """The request before left nothing, and yet this one has read."""
    read = Usage(input_tokens=1500, cache_read_tokens=1200)
    assert cause(sent(usage=Usage(input_tokens=1500)), missed(usage=read)) == "hit"


def test_blocks_that_were_not_counted_are_compared_all_the_same() -> None:
    after = replace(missed(), print=sent("x", "b", tokens=0).print)
    assert cause(sent("a", "b", tokens=0), after) == "message-changed"


def test_deepseek_reads_up_to_63_tokens_less() -> None:
    """ "64 tokens as a storage unit" (api-docs.deepseek.com/news/news0802)."""
    for read, expected in ((1437, "hit"), (1436, "evicted")):
        after = missed(usage=Usage(input_tokens=1600, cache_read_tokens=read))
        assert cause(sent(), after, "deepseek", "deepseek-v4-flash") == expected
