"""The simulated cache against the servers' own, which share no code with it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.replay import CacheSplit, PromptPart, SimulatedCache
from tests.servers import AnthropicPromptCache, ManualClock, OpenAIPromptCache
from tests.servers.prompt_cache import count_tokens

SONNET = "claude-sonnet-4-5"


def text(number: int, chars: int) -> str:
    return f"{number:07d}" + "x" * max(0, chars - 7)


def anthropic_body(texts: list[str], marks: dict[int, str]) -> dict[str, Any]:
    """Each text is a message of the user's with one block."""
    blocks = [{"type": "text", "text": each} for each in texts]
    for at, ttl in marks.items():
        blocks[at]["cache_control"] = {"type": "ephemeral", "ttl": ttl}  # type: ignore[assignment]
    return {"model": SONNET, "messages": [{"role": "user", "content": [b]} for b in blocks]}


def anthropic_parts(texts: list[str]) -> list[PromptPart]:
    """Sizes as the server counts them: of a block's JSON with the role in front."""
    around = len('user:{"text": "", "type": "text"}')
    return [PromptPart(hash(each), -(-(len(each) + around) // 4)) for each in texts]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_a_cache_of_breakpoints_bills(data: st.DataObject) -> None:
    """Conversations that grow, branch and pause, with markers of both times to live anywhere."""
    clock = ManualClock()
    server = AnthropicPromptCache(clock=clock)
    cache = SimulatedCache(SONNET, "anthropic")
    texts = [text(0, 4_800)]
    for number in range(1, data.draw(st.integers(2, 14), "calls")):
        if data.draw(st.integers(0, 5), "edit") == 0:
            texts = texts[: data.draw(st.integers(1, len(texts)), "kept")]
        more = data.draw(st.integers(1, 9), "more")
        texts = [*texts, *(text(number * 100 + at, 40 + 97 * at) for at in range(more))]
        places = data.draw(st.sets(st.integers(0, len(texts) - 1), max_size=4), "marks")
        long = data.draw(st.integers(0, 4), "long")
        marks = {at: ("1h" if rank < long else "5m") for rank, at in enumerate(sorted(places))}
        clock.advance(data.draw(st.sampled_from([1.0, 200.0, 299.0, 400.0, 3_500.0]), "gap"))
        told = server.look_up(anthropic_body(texts, marks))
        found = cache.send(anthropic_parts(texts), clock(), marks=sorted(marks.items()))
        assert found == CacheSplit(
            told.fresh, told.cache_read, told.cache_write_5m, told.cache_write_1h
        )


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_a_cache_of_prefixes_bills(data: st.DataObject) -> None:
    """The server compares characters: within the block that differs it may find a step more."""
    clock = ManualClock()
    server, cache = OpenAIPromptCache(clock=clock), SimulatedCache("gpt-4o", "openai")
    texts = [text(0, 5_200)]
    for number in range(1, 12):
        if data.draw(st.integers(0, 4)) == 0:
            texts = texts[: data.draw(st.integers(1, len(texts)))]
        more = data.draw(st.integers(1, 4))
        texts = [*texts, *(text(number * 1_000 + at * 31, 60 + 97 * at) for at in range(more))]
        clock.advance(data.draw(st.sampled_from([1.0, 250.0, 400.0])))
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": t} for t in texts]}
        told = server.look_up(body)
        around = len('\n{"content": "", "role": "user"}')
        parts = [PromptPart(hash(each), count_tokens(each + "x" * around)) for each in texts]
        found = cache.send(parts, clock())
        assert abs(found.read - told.cache_read) <= 128
        assert found.read % 128 == 0
        assert found.write_short == found.write_long == 0


@pytest.mark.parametrize(
    ("model", "provider"),
    [(SONNET, "anthropic"), ("gpt-4o", "openai"), ("gpt-6-sol", "openai"), ("mistral-large", "")],
)
@given(sizes=st.lists(st.integers(0, 3_000), max_size=9), again=st.integers(0, 9))
def test_every_token_is_billed_once(
    model: str, provider: str, sizes: list[int], again: int
) -> None:
    cache = SimulatedCache(model, provider)
    parts = [PromptPart(at, size) for at, size in enumerate(sizes)]
    for upto in (len(parts), again, len(parts)):
        found = cache.send(parts[:upto], 10.0)
        assert found.tokens == sum(sizes[:upto])
        assert min(found.fresh, found.read, found.write_short, found.write_long) >= 0


def test_gpt_6_bills_what_it_marks_by_itself() -> None:
    """From GPT-5.6 on: writes are billed, what ends at a breakpoint is read, for 30 minutes."""
    cache = SimulatedCache("gpt-6-sol", "openai")
    first = [PromptPart(1, 2_000)]
    longer = [*first, PromptPart(2, 500)]
    assert cache.send(first, 0.0) == CacheSplit(0, 0, 2_000)
    assert cache.send(longer, 1_700.0) == CacheSplit(0, 2_000, 500)
    assert cache.send(longer, 1_701.0, implicit=False) == CacheSplit(2_500)
    assert cache.send([*longer, PromptPart(3, 10)], 3_600.0) == CacheSplit(0, 0, 2_510)
