"""Plans put into real requests and replayed through a provider's cache: what is read and written is
what the plan says, call by call, and the bill is the one that was expected."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import prod

import pytest

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache import CachePlan, Traffic, plan_breakpoints
from frugal_chains.providers import cache_controls
from tests.core.prompt_cache.bodies import (
    HAIKU,
    SONNET,
    Body,
    cache_blocks,
    marked,
    parts,
    text_block,
    tool,
)
from tests.servers import AnthropicPromptCache, ManualClock
from tests.servers.reply import Tokens

CLAUDE = cache_controls("anthropic", "claude-sonnet-4-6")
TTL_S = {"5m": 300.0, "1h": 3600.0}


@dataclass
class Conversation:
    """Asks for a plan before each call, and remembers where markers stood, as an adapter does."""

    terms: dict[str, CacheTerms]
    cache: AnthropicPromptCache
    clock: ManualClock
    traffic: Traffic
    until_s: dict[int, float] = field(default_factory=dict)
    """By block: until when its entry should live."""
    nanos: float = 0.0

    def send(self, body: Body, *, volatile: Sequence[int] = ()) -> tuple[CachePlan, Tokens]:
        now = self.clock.now_s
        kept = [index for index, until in self.until_s.items() if until > now]
        blocks = cache_blocks(body, kept=kept, volatile=volatile)
        plan = plan_breakpoints(blocks, controls=CLAUDE, terms=self.terms, ahead=self.traffic)
        got = self.cache.look_up(marked(body, plan))
        self._remember(plan, [block.tokens for block in blocks], got, now)
        prices, long = self.terms["5m"].prices, self.terms["1h"].prices
        self.nanos += got.fresh * prices.fresh + got.cache_read * prices.cache_read
        self.nanos += got.cache_write_5m * prices.cache_write
        self.nanos += got.cache_write_1h * long.cache_write
        return plan, got

    def _remember(self, plan: CachePlan, tokens: list[int], got: Tokens, now: float) -> None:
        for marker in plan.markers:
            end = sum(tokens[: marker.index + 1])
            if end > got.cache_read:
                self.until_s[marker.index] = now + TTL_S[marker.ttl]
        for index in self.until_s:
            if sum(tokens[: index + 1]) == got.cache_read:
                ttl = next((m.ttl for m in plan.markers if m.index == index), "5m")
                self.until_s[index] = max(self.until_s[index], now + TTL_S[ttl])


def conversation(
    traffic: Traffic, terms: dict[str, CacheTerms] | None = None, least: int = 1024
) -> Conversation:
    clock = ManualClock()
    cache = AnthropicPromptCache(clock=clock, min_tokens=least)
    return Conversation(terms or SONNET, cache, clock, traffic)


def growing(turns: int, *, blocks: int = 2, tokens: int = 200) -> Iterator[Body]:
    """Requests of a chat: tools, instructions, and some more blocks on every turn."""
    body: Body = {
        "model": "m",
        "tools": [tool("weigh", 600), tool("roast", 700)],
        "system": [text_block("s", 1500)],
        "messages": [{"role": "user", "content": [text_block("q", tokens)]}],
    }
    for turn in range(turns):
        yield body
        more = [text_block(f"{turn:03}{n:03}", tokens) for n in range(blocks - 1)]
        body["messages"] += [
            {"role": "assistant", "content": more},
            {"role": "user", "content": [text_block(f"u{turn:03}", tokens)]},
        ]


def as_planned(plan: CachePlan, got: Tokens) -> bool:
    return (plan.read_tokens, plan.write_tokens) == (got.cache_read, got.cache_write)


@pytest.mark.parametrize("blocks", [2, 19, 20, 21, 45])
def test_every_call_reads_all_that_the_one_before_marked(blocks: int) -> None:
    """Also where a turn adds more blocks than the look-back has positions."""
    chat = conversation(Traffic(calls=5, growth_tokens=200 * blocks))
    before = 0
    for turn, body in enumerate(growing(6, blocks=blocks)):
        plan, got = chat.send(body)
        assert as_planned(plan, got), (turn, plan, got)
        assert got.fresh == 0
        assert got.cache_read == before
        before = got.input
        chat.clock.advance(60)


def test_parallel_calls_are_one_position_and_need_no_further_marker() -> None:
    body = next(growing(1))
    chat = conversation(Traffic(calls=5))
    chat.send(body)
    calls = [{"type": "tool_use", "id": str(n), "name": "weigh", "input": {}} for n in range(30)]
    results = [{"type": "tool_result", "tool_use_id": str(n), "content": "1"} for n in range(30)]
    body["messages"] += [
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
    ]
    plan, got = chat.send(body)
    assert as_planned(plan, got)
    assert got.cache_read > 2800
    assert "look-back" not in {marker.reason for marker in plan.markers}


@pytest.mark.parametrize("more", [19, 20, 25, 39])
def test_nothing_known_of_earlier_requests_a_step_doubles_the_reach(more: int) -> None:
    """An adapter without a memory: 20 blocks in one turn are one too many for the end alone; its
    window and that of the step are 40 positions in a row."""
    requests = [dict(body, messages=[*body["messages"]]) for body in growing(2, blocks=more)]
    controls, clock = CLAUDE, ManualClock()
    cache = AnthropicPromptCache(clock=clock)
    reads = []
    for body in requests:
        blocks = cache_blocks(body)[2:]  # without tools, so that there is a slot
        body = {key: body[key] for key in ("model", "system", "messages")}
        plan = plan_breakpoints(blocks, controls=controls, terms=SONNET, ahead=Traffic(calls=5))
        reads.append(cache.look_up(marked(body, plan)).cache_read)
    assert reads[1] == sum(block.tokens for block in cache_blocks(requests[0])[2:4])


def test_a_changing_tail_is_never_written() -> None:
    """The page's "common mistake": a timestamp behind the static part."""
    chat = conversation(Traffic(calls=5, growth_tokens=400))
    before = 0
    for turn, body in enumerate(growing(5)):
        stable = len(parts(body))
        tail = text_block(f"time {turn}", 300)
        sent = dict(body, messages=[*body["messages"], {"role": "user", "content": [tail]}])
        plan, got = chat.send(sent, volatile=[stable])
        assert as_planned(plan, got)
        assert got.cache_read == before
        assert got.fresh == cache_blocks(sent)[-1].tokens
        before = got.input - got.fresh


def test_the_expected_saving_is_what_the_bill_shows() -> None:
    """Added up at the simulated provider, call by call, against the same calls without a cache."""
    bodies = [cache_blocks(body) for body in growing(12, tokens=200)]
    sizes = [sum(block.tokens for block in blocks) for blocks in bodies]
    growth = sizes[1] - sizes[0]
    assert all(after - before == growth for before, after in pairwise(sizes))
    chat = conversation(Traffic(calls=11, growth_tokens=growth))
    expected = plan_breakpoints(
        bodies[0], controls=CLAUDE, terms=SONNET, ahead=chat.traffic
    ).saving_nanos
    for body in growing(12, tokens=200):
        chat.send(body)
        chat.clock.advance(60)
    assert sum(sizes) * 3000 - chat.nanos == expected


@pytest.mark.parametrize(
    ("head_tokens", "blocks", "calls", "gaps_s", "markers"),
    [
        (9_000, 12, 2, (60.0, 60.0, 600.0), ("1h", "5m")),
        (9_000, 12, 2, (60.0, 60.0, 5000.0), ("5m", "5m")),
        (9_000, 12, 2, (60.0, 600.0, 5000.0), ("5m", "")),
        (9_000, 12, 2, (60.0, 600.0), ("1h", "")),
        (4_000, 2, 3, (*[600.0] * 39, 5000.0), ("1h", "1h")),
        (2_000, 2, 2, (600.0, 5000.0), ("", "")),
    ],
)
def test_with_pauses_it_is_the_mean_of_all_that_may_happen(
    head_tokens: int,
    blocks: int,
    calls: int,
    gaps_s: tuple[float, ...],
    markers: tuple[str, str],
) -> None:
    """Further calls with any of the gaps before each: every sequence is replayed at the
    simulated provider, with every choice of markers at the end of the instructions and of the
    conversation. The plan's is the cheapest on average, and saves what it says."""
    bodies = []
    for body in growing(calls + 1, blocks=blocks, tokens=100):
        body = dict(body, system=[text_block("s", head_tokens)], tools=[])
        bodies.append(dict(body, messages=[*body["messages"]]))
    sizes = [sum(block.tokens for block in cache_blocks(body)) for body in bodies]
    ahead = Traffic(calls=calls, gaps_s=gaps_s, growth_tokens=sizes[1] - sizes[0])
    plan = plan_breakpoints(cache_blocks(bodies[0]), controls=CLAUDE, terms=SONNET, ahead=ahead)
    ttls = {marker.reason: marker.ttl for marker in plan.markers}
    assert (ttls.get("system-end", ""), ttls.get("conversation-end", "")) == markers
    choices = [(a, b) for a in ("", "5m", "1h") for b in ("", "5m", "1h") if (a, b) != ("5m", "1h")]
    means = {choice: mean_bill(bodies, choice, gaps_s) for choice in choices}
    assert means[markers] == pytest.approx(min(means.values()))
    assert means["", ""] - means[markers] == pytest.approx(plan.saving_nanos, abs=2)


def mean_bill(bodies: list[Body], ttls: tuple[str, str], gaps_s: tuple[float, ...]) -> float:
    counted, mean = Counter(gaps_s), 0.0
    for gaps in product(counted, repeat=len(bodies) - 1):
        clock = ManualClock()
        cache, nanos = AnthropicPromptCache(clock=clock), 0.0
        for body, gap_s in zip(bodies, (*gaps, 0.0), strict=True):
            sent = copy.deepcopy(body)
            for index, ttl in zip((0, -1), ttls, strict=True):
                if ttl:
                    control = {"type": "ephemeral", "ttl": ttl}
                    parts(sent)[index][1]["cache_control"] = control
            got = cache.look_up(sent)
            nanos += got.fresh * 3000 + got.cache_read * 300
            nanos += got.cache_write_5m * 3750 + got.cache_write_1h * 6000
            clock.advance(gap_s)
        mean += nanos * prod(counted[gap_s] / len(gaps_s) for gap_s in gaps)
    return mean


@pytest.mark.parametrize(("pause_s", "ttl"), [(60.0, "5m"), (600.0, "1h")])
def test_pauses_that_are_expected_do_not_lose_the_cache(pause_s: float, ttl: str) -> None:
    chat = conversation(Traffic(calls=10, gaps_s=(pause_s,), growth_tokens=400))
    before = 0
    for body in growing(6):
        plan, got = chat.send(body)
        assert as_planned(plan, got)
        assert got.cache_read == before
        assert {marker.ttl for marker in plan.markers} == {ttl}
        before = got.input
        chat.clock.advance(pause_s)


def test_pauses_of_a_day_are_not_written_for() -> None:
    chat = conversation(Traffic(calls=10, gaps_s=(86_400.0,)))
    for body in growing(3):
        plan, got = chat.send(body)
        assert (plan.markers, got.cache_write, got.cache_read) == ((), 0, 0)
        chat.clock.advance(86_400)


def test_nothing_is_marked_below_the_minimum_of_the_model() -> None:
    """Haiku 4.5 keeps 4,096 tokens or more: the head alone is too short, the chat grows into it."""
    chat = conversation(Traffic(calls=20, growth_tokens=400), HAIKU, least=4096)
    marks = []
    for body in growing(8):
        plan, got = chat.send(body)
        assert as_planned(plan, got)
        marks.append(len(plan.markers))
        if plan.markers:
            assert got.cache_write + got.cache_read >= 4096
        else:
            assert "below-minimum" in plan.reasons
    assert marks[0] == 0
    assert marks[-1] >= 1


def test_the_last_call_reads_and_writes_nothing() -> None:
    """A summary of the conversation with its own tools and messages: the instruction behind them
    is read by nobody."""
    chat = conversation(Traffic(calls=5, growth_tokens=400))
    body: Body = {}
    for each in growing(3):
        body = each
        _, before = chat.send(body)
    chat.traffic = Traffic(calls=0)
    asked = dict(
        body,
        messages=[*body["messages"][:-2], {"role": "user", "content": [text_block("Sum up.", 50)]}],
    )
    plan, got = chat.send(asked)
    assert as_planned(plan, got)
    assert got.cache_write == 0
    assert got.cache_read == before.input
    assert [m.reason for m in plan.markers if m.reason in ("earlier-end", "look-back")]
