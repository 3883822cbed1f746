"""The prompt caches keep to the providers' documents.

Expected numbers come from the documents' own examples and from counting the letters sent.
"""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from tests.servers import AnthropicPromptCache, ManualClock, OpenAIPromptCache, ScriptedServer
from tests.servers.prompt_cache import CacheRequestError

MINUTE_S = 60.0


def block(name: str, ttl: str | None = None) -> dict[str, Any]:
    """A text block of 1,100 tokens of four letters, and a few more for its JSON wrapping."""
    text = (name * 4400)[:4400]
    control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return {"type": "text", "text": text, **control}


def body(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": list(blocks)}], **more}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> AnthropicPromptCache:
    return AnthropicPromptCache(clock=clock)


def sizes(cache: AnthropicPromptCache, request: dict[str, Any]) -> tuple[int, int, int, int]:
    """Fresh, read, written for 5m, written for 1h: in blocks, rounded."""
    t = cache.look_up(request)
    counts = (t.fresh, t.cache_read, t.cache_write_5m, t.cache_write_1h)
    return tuple(round(n / 1100) for n in counts)  # type: ignore[return-value]


def test_a_prefix_is_written_at_its_breakpoint_then_read(cache: AnthropicPromptCache) -> None:
    first = body(block("a"), block("b", "5m"), block("c"))
    assert sizes(cache, first) == (1, 0, 2, 0)
    assert sizes(cache, first) == (1, 2, 0, 0)
    assert sizes(cache, body(block("a"), block("b", "5m"), block("d"))) == (1, 2, 0, 0)
    assert sizes(cache, body(block("a"), block("x", "5m"))) == (0, 0, 2, 0)
    assert sizes(cache, first | {"model": "another"}) == (1, 0, 2, 0)


def test_without_a_breakpoint_nothing_is_written_or_read(cache: AnthropicPromptCache) -> None:
    cache.look_up(body(block("a", "5m")))
    assert sizes(cache, body(block("a"))) == (1, 0, 0, 0)
    assert sizes(cache, body(block("a"), cache_control={"type": "ephemeral"})) == (0, 1, 0, 0)


def test_the_order_is_tools_system_messages(cache: AnthropicPromptCache) -> None:
    tool = {"name": "weigh", "input_schema": {"type": "object"}, "description": "t" * 4400}
    request = body(block("a"), tools=[tool], system=[block("s", "1h")])
    assert sizes(cache, request) == (1, 0, 0, 2)
    assert sizes(cache, request) == (1, 2, 0, 0)
    assert sizes(cache, request | {"tools": [tool | {"name": "roast"}]}) == (1, 0, 0, 2)


@pytest.mark.parametrize(("ttl", "minutes"), [("5m", 5), ("1h", 60)])
def test_entries_expire_unless_a_read_renews_them(
    cache: AnthropicPromptCache, clock: ManualClock, ttl: str, minutes: int
) -> None:
    request = body(block("a", ttl))
    cache.look_up(request)
    for _ in range(3):
        clock.advance(minutes * MINUTE_S - 1)
        assert sizes(cache, request) == (0, 1, 0, 0)
    clock.advance(minutes * MINUTE_S)
    assert sizes(cache, request)[1] == 0


def test_mixed_times_to_live_split_the_write(cache: AnthropicPromptCache) -> None:
    # "Mixing different TTLs": read A, write B - A for 1h and C - B for 5m.
    mixed = (block("a"), block("b", "1h"), block("c"), block("d"), block("e", "5m"), block("f"))
    assert sizes(cache, body(*mixed)) == (1, 0, 3, 2)
    assert sizes(cache, body(*mixed[:5], block("g", "5m"))) == (0, 5, 1, 0)
    assert sizes(cache, body(*mixed[:2], block("z", "1h"), block("y", "5m"))) == (0, 2, 1, 1)


def test_the_minimum_is_silent(clock: ManualClock) -> None:
    cache = AnthropicPromptCache(clock=clock, min_tokens=2048)
    short = body(block("a", "5m"))
    assert [sizes(cache, short) for _ in range(2)] == [(1, 0, 0, 0)] * 2
    long = body(block("a", "5m"), block("b", "5m"))
    assert [sizes(cache, long) for _ in range(2)] == [(0, 0, 2, 0), (0, 2, 0, 0)]


def test_the_lookback_is_twenty_positions(cache: AnthropicPromptCache) -> None:
    # The page's growing conversation: an entry at block 15 is one position outside the window of
    # a breakpoint on block 35; a second breakpoint at block 15 finds it.
    names = [f"{n:02}" for n in range(36)]
    turn_2 = [block(name) for name in names[:14]] + [block(names[14], "5m")]
    cache.look_up(body(*turn_2))
    plain = [block(name) for name in names[:34]]
    assert sizes(cache, body(*plain, block(names[34], "5m")))[1] == 0
    cache = AnthropicPromptCache(clock=cache.clock)
    cache.look_up(body(*turn_2))
    with_second = [*turn_2, *plain[15:], block(names[34], "5m")]
    assert cache.look_up(body(*with_second)).cache_read // 1100 == 15
    cache = AnthropicPromptCache(clock=cache.clock)
    cache.look_up(body(*turn_2))
    assert cache.look_up(body(*plain[:33], block(names[33], "5m"))).cache_read // 1100 == 15


def test_parallel_tool_calls_are_one_position(cache: AnthropicPromptCache) -> None:
    calls = [{"type": "tool_use", "id": str(n), "name": "t", "input": {}} for n in range(30)]
    results = [{"type": "tool_result", "tool_use_id": str(n), "content": ""} for n in range(30)]
    first = {"role": "user", "content": [block("a", "5m")]}
    cache.look_up({"model": "m", "messages": [first]})
    messages = [
        {"role": "user", "content": [block("a")]},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": [*results, block("b", "5m")]},
    ]
    assert cache.look_up({"model": "m", "messages": messages}).cache_read // 1100 == 1


def test_too_many_or_misordered_breakpoints_are_refused(cache: AnthropicPromptCache) -> None:
    with pytest.raises(CacheRequestError, match=r"maximum of 4 .* Found 5"):
        cache.look_up(body(*(block(name, "5m") for name in "abcde")))
    with pytest.raises(CacheRequestError, match="1h"):
        cache.look_up(body(block("a", "5m"), block("b", "1h")))


def test_openai_counts_cached_prefixes_in_steps_of_128(clock: ManualClock) -> None:
    # openai.com/index/api-prompt-caching: prompt_tokens 2006, cached_tokens 1920.
    cache = OpenAIPromptCache(clock=clock)
    head = '[]\n""\n'
    text = "b" * (2006 * 4 - len(f"m\n{head}" + '{"content": "", "role": "user"}'))
    request = {"model": "m", "messages": [{"role": "user", "content": text}]}
    first, second = cache.look_up(request), cache.look_up(request)
    assert (first.input, first.cache_read) == (2006, 0)
    assert (second.input, second.cache_read) == (2006, 1920)


def test_openai_caches_nothing_below_1024_tokens_and_forgets(clock: ManualClock) -> None:
    cache = OpenAIPromptCache(clock=clock)

    def read(text: str) -> int:
        return cache.look_up(
            {"model": "m", "messages": [{"role": "user", "content": text}]}
        ).cache_read

    assert [read("a" * 1000 * 4) for _ in range(2)] == [0, 0]
    assert [read("b" * 1100 * 4) for _ in range(2)] == [0, 1024]
    clock.advance(5 * MINUTE_S - 1)
    assert read("b" * 1100 * 4) == 1024
    clock.advance(5 * MINUTE_S)
    assert read("b" * 1100 * 4) == 0


def test_the_server_reports_the_cache_in_each_providers_words(clock: ManualClock) -> None:
    with ScriptedServer(cache=AnthropicPromptCache(clock=clock)) as server:
        claude = anthropic.Anthropic(base_url=server.anthropic_base_url, api_key="t", max_retries=0)
        request: Any = body(block("a", "1h"), block("b", "5m")) | {"max_tokens": 9}
        written, read = (claude.messages.create(**request).usage for _ in range(2))
        assert written.cache_creation is not None
        split = written.cache_creation
        total = split.ephemeral_1h_input_tokens + split.ephemeral_5m_input_tokens
        assert written.cache_creation_input_tokens == read.cache_read_input_tokens == total > 2200
        assert (written.input_tokens, written.cache_read_input_tokens) == (0, 0)
        with pytest.raises(anthropic.BadRequestError, match="maximum of 4"):
            claude.messages.create(**body(*(block(n, "5m") for n in "abcde")), max_tokens=9)
    with ScriptedServer(cache=OpenAIPromptCache(clock=clock)) as server:
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="t", max_retries=0)
        chat: Any = body(block("a"))
        usages = [client.chat.completions.create(**chat).usage for _ in range(2)]
        cached = [usage.prompt_tokens_details.cached_tokens for usage in usages if usage]
        assert cached == [0, 1024]
