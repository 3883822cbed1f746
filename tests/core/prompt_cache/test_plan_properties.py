"""What holds for every plan, whatever the request."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache import CacheBlock, CachePlan, Traffic, plan_breakpoints
from frugal_chains.providers import CacheControls, cache_controls
from tests.core.prompt_cache.bodies import terms
from tests.servers import AnthropicPromptCache, ManualClock

Setting = tuple[CacheControls, dict[str, CacheTerms]]

SETTINGS: dict[str, Setting] = {
    "claude": (
        cache_controls("anthropic", "claude-sonnet-4-6"),
        {"5m": terms(3750), "1h": terms(6000)},
    ),
    "bedrock": (
        cache_controls("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        {"5m": terms(1250, fresh=1000, read=100, least=4096)},
    ),
    "gpt-5.6": (cache_controls("openai", "gpt-5.6-sol"), {"30m": terms(5000, fresh=4000)}),
    "gpt-6.1-terra": (
        cache_controls("openai", "gpt-6.1-terra"),
        {"30m": terms(1250, fresh=1000, read=50), "12h": terms(2500, fresh=1000, read=50)},
    ),
    "gpt-4o": (
        cache_controls("openai", "gpt-4o"),
        {"": terms(2500, fresh=2500, read=1250, step=128)},
    ),
    "deepseek": (cache_controls("deepseek", "x"), {"": terms(140, fresh=140, read=3, least=64)}),
}

ttls = st.sampled_from(["", "", "", "5m", "1h"])


def blocks_of(kind: str, most: int) -> st.SearchStrategy[list[CacheBlock]]:
    block = st.builds(
        CacheBlock,
        kind=st.just(kind),
        tokens=st.integers(0, 3000),
        volatile=st.sampled_from([False] * 7 + [True]),
        marker=ttls,
        kept=st.booleans(),
        segment=st.booleans(),
        markable=st.sampled_from([True] * 5 + [False]),
        run=st.sampled_from(["", "calls", "results"]),
        positions=st.integers(0, 12),
    )
    return st.lists(block, max_size=most)


requests = st.tuples(blocks_of("tools", 4), blocks_of("system", 4), blocks_of("message", 12)).map(
    lambda groups: [block for group in groups for block in group]
)
traffics = st.builds(
    Traffic,
    calls=st.sampled_from([0.0, 0.3, 1.0, 7.5, 100.0]),
    gaps_s=st.lists(
        st.sampled_from([5.0, 299.0, 300.0, 900.0, 4000.0]), min_size=1, max_size=6
    ).map(tuple),
    growth_tokens=st.sampled_from([0, 10, 900]),
)


def made(
    blocks: list[CacheBlock], name: str, ahead: Traffic, others: Traffic, reorder: bool = True
) -> CachePlan:
    controls, known = SETTINGS[name]
    return plan_breakpoints(
        blocks, controls=controls, terms=known, ahead=ahead, others=others, may_reorder=reorder
    )


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=70, deadline=None)
@given(blocks=requests, ahead=traffics, others=traffics, reorder=st.booleans())
def test_a_plan_is_one_that_the_provider_takes(
    name: str, blocks: list[CacheBlock], ahead: Traffic, others: Traffic, reorder: bool
) -> None:
    controls, known = SETTINGS[name]
    plan = made(blocks, name, ahead, others, reorder)
    assert plan == made(list(blocks), name, ahead, others, reorder)
    assert plan.saving_nanos >= 0
    marked = [marker.index for marker in plan.markers]
    most = controls.most_markers
    if controls.most_considered:
        most = max(most, sum(bool(block.marker) for block in blocks))
    assert len(marked) == len(set(marked)) <= most
    ours = [marker for marker in plan.markers if marker.reason != "callers"]
    # What the provider marks by itself takes one of its writes.
    assert not ours or len(marked) <= controls.most_markers - (plan.mode == "implicit")
    # The caller's: each is there or told to be taken off, and none comes from nowhere.
    own = {index for index, block in enumerate(blocks) if block.marker}
    if most:
        callers = {marker.index for marker in plan.markers if marker.reason == "callers"}
        assert callers | set(plan.dropped) == own
        assert not callers & set(plan.dropped)
    # The order of times to live, in the order in which blocks are read.
    order = sent_order(blocks, plan)
    assert [order.index(index) for index in marked] == sorted(order.index(i) for i in marked)
    longs = [marker.ttl == controls.ttls[-1][0] for marker in plan.markers]
    if len(controls.ttls) > 1:
        assert longs == sorted(longs, reverse=True)
    if controls.one_ttl:
        assert len({marker.ttl for marker in plan.markers}) <= 1
    # Ours stand where it counts.
    least = next(iter(known.values())).min_tokens
    for marker in ours:
        front = order[: order.index(marker.index) + 1]
        assert sum(blocks[index].tokens for index in front) >= least
        assert not any(blocks[index].volatile for index in front)
        assert blocks[marker.index].markable
        assert marker.ttl in known
        assert controls.marks_tools or blocks[marker.index].kind != "tools"


def sent_order(blocks: list[CacheBlock], plan: CachePlan) -> list[int]:
    system = [i for i, block in enumerate(blocks) if block.kind == "system"]
    assert not plan.order or sorted(plan.order) == system
    moved = iter(plan.order or system)
    return [next(moved) if i in system else i for i in range(len(blocks))]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(100, 3000), min_size=1, max_size=5),
    calls=st.integers(0, 3),
    gap_s=st.sampled_from([60.0, 600.0, 4000.0]),
)
def test_no_set_of_markers_is_cheaper(sizes: list[int], calls: int, gap_s: float) -> None:
    """The same request again and again: every set of markers and times to live is replayed at the
    simulated provider, and none costs less than the plan's."""
    controls, known = SETTINGS["claude"]
    texts = [{"type": "text", "text": chr(97 + n) * 4 * size} for n, size in enumerate(sizes)]
    tokens = [size + 9 for size in sizes]  # the JSON around a text, and the role
    blocks = [CacheBlock(kind="message", tokens=count) for count in tokens]
    ahead = Traffic(calls=calls, gaps_s=(gap_s,))
    plan = plan_breakpoints(blocks, controls=controls, terms=known, ahead=ahead)

    def bill(marks: dict[int, str]) -> float:
        clock = ManualClock()
        cache, nanos = AnthropicPromptCache(clock=clock), 0.0
        content = [
            text | ({"cache_control": {"type": "ephemeral", "ttl": marks[n]}} if n in marks else {})
            for n, text in enumerate(texts)
        ]
        for _ in range(calls + 1):
            got = cache.look_up({"model": "m", "messages": [{"role": "user", "content": content}]})
            nanos += got.fresh * 3000 + got.cache_read * 300
            nanos += got.cache_write_5m * 3750 + got.cache_write_1h * 6000
            clock.advance(gap_s)
        return nanos

    mine = bill({marker.index: marker.ttl for marker in plan.markers})
    choices = product(["", "5m", "1h"], repeat=len(sizes))
    sets = [{n: ttl for n, ttl in enumerate(choice) if ttl} for choice in choices]
    allowed = [
        marks
        for marks in sets
        if len(marks) <= 4 and list(marks.values()) == sorted(marks.values())  # "1h" < "5m"
    ]
    best = min(bill(marks) for marks in allowed)
    assert mine == pytest.approx(best, rel=1e-9)
    assert bill({}) - mine == pytest.approx(plan.saving_nanos, abs=2)
