"""Which tools are offered: the bill, what has to be there, and conversations that stick to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frugal_chains.compression.tools import (
    CacheFacts,
    Forecast,
    Offered,
    ToolIndex,
    ToolPlan,
    ToolPlanError,
    ToolPolicy,
    ToolRequest,
    expected_nanos,
    plan_tools,
)
from frugal_chains.facts import ToolFacts
from frugal_chains.pricing import TokenPrices

WORDS = "weather flight hotel song movie stock email file calendar taxi recipe news".split()  # noqa: SIM905
SONNET = TokenPrices(fresh=3_000, cache_read=300, cache_write=3_750, output=15_000)


def tool(name: str, description: str = "") -> ToolFacts:
    schema = {"type": "object", "properties": {"value": {"type": "string", "title": "Value"}}}
    return ToolFacts(name=name, description=description, parameters=json.dumps(schema))


def hundred(each: ToolFacts) -> int:
    """Tokens: 100 a tool, 80 in its slim form, 30 for `find_tool`."""
    if each.name.startswith("find_tool"):
        return 30
    return 100 if "title" in each.parameters else 80


def index_of(count: int = 40) -> ToolIndex:
    names = [f"{WORDS[n % 12]}_{n}" for n in range(count)]
    return ToolIndex([tool(name, f"About {name.split('_')[0]}") for name in names], hundred)


INDEX = index_of()


def plan(query: str = "weather", *, index: ToolIndex = INDEX, **more: Any) -> ToolPlan:
    asked = {key: more.pop(key) for key in list(more) if key in ToolRequest.__dataclass_fields__}
    return plan_tools(index, ToolRequest(query=query, **asked), **{"prices": SONNET, **more})


def names(made: ToolPlan, index: ToolIndex = INDEX) -> list[str]:
    return [index.tools[number].name for number in made.kept]


# ---- the first request


def test_only_what_fits_is_offered() -> None:
    made = plan("what will the weather be?")
    assert (made.action, made.reason, made.find_tool, made.slim) == (
        "prune",
        "cheapest",
        True,
        True,
    )
    assert names(made) == ["weather_0", "weather_12", "weather_24", "weather_36"]
    assert made.tokens == 4 * 80 + 30
    assert made.tokens_saved == 4_000 - 350
    assert len(made.dropped) == 36
    assert {each.reason for each in made.dropped} == {"fits_badly"}


def test_no_more_than_most() -> None:
    made = plan("weather flight hotel", policy=ToolPolicy(most=6))
    assert len(made.kept) == 6
    assert sorted(each.reason for each in made.dropped).count("no_room") == 6  # of twelve
    assert list(made.kept) == sorted(made.kept)


def test_nothing_known_keeps_the_first() -> None:
    assert plan("天气").kept == tuple(range(10))
    assert plan("天气", policy=ToolPolicy(find_tool=False)).action == "slim"


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"forced": ("taxi_9",)}, "taxi_9"),
        ({"used": ("news_11",)}, "news_11"),
        ({"found": ("news_23", "unknown")}, "news_23"),
        ({"instructions": "First call email_6."}, "email_6"),
        ({"query": "weather by movie_4"}, "movie_4"),
    ],
)
def test_what_has_to_be_there_is_there(more: dict[str, Any], name: str) -> None:
    more = dict(more)
    made = plan(more.pop("query", "weather"), policy=ToolPolicy(most=2, limit=2), **more)
    assert name in names(made)
    assert len(made.kept) <= 3


def test_what_has_to_be_there_may_pass_the_limit() -> None:
    used = tuple(each.name for each in INDEX.tools[:20])
    made = plan("weather", used=used, policy=ToolPolicy(most=2, limit=3))
    assert set(used) == set(names(made))


@pytest.mark.parametrize(
    ("policy", "reason", "action"),
    [
        (ToolPolicy(prune=False), "switched_off", "slim"),
        (ToolPolicy(prune=False, slim=False), "switched_off", "leave"),
        (ToolPolicy(most=40, limit=40), "few_tools", "slim"),
        (ToolPolicy(least_saving=1.0), "not_worth_it", "slim"),
        (ToolPolicy(slim=False), "cheapest", "prune"),
    ],
)
def test_switches(policy: ToolPolicy, reason: str, action: str) -> None:
    made = plan(policy=policy)
    assert (made.reason, made.action) == (reason, action)
    assert made.slim == policy.slim


def test_all_needed_leaves_nothing_to_drop() -> None:
    made = plan(used=tuple(each.name for each in INDEX.tools))
    assert (made.reason, made.action) == ("nothing_to_drop", "slim")


def test_no_tools() -> None:
    made = plan(index=ToolIndex([], hundred))
    assert (made.action, made.kept, made.tokens, made.saved_nanos) == ("leave", (), 0, 0)


# ---- the bill


def test_the_bill_by_hand() -> None:
    """Without a cache, two calls more, 1,000 tokens after the tools and 100 more each time."""
    made = plan(after_tokens=1_000, forecast=Forecast(calls=2, growth_tokens=100, additions=0))
    nanos = {each.action: each.nanos for each in made.alternatives}
    assert nanos["leave"] == (5_000 + 5_100 + 5_200) * 3_000
    assert nanos["slim"] == (4_200 + 4_300 + 4_400) * 3_000
    assert nanos["prune"] == (1_350 + 1_450 + 1_550) * 3_000
    assert made.saved_nanos == nanos["leave"] - nanos["prune"]


def test_the_bill_of_a_cache_by_hand() -> None:
    """All is written once; then 100 more each time. The pruned prompt is too short to be kept until
    its third call (1,350, 1,450, then 1,550 of 1,500 tokens), which writes all of it."""
    made = plan(
        after_tokens=1_000,
        cache=CacheFacts(caches=True, min_tokens=1_500),
        forecast=Forecast(calls=3, growth_tokens=100, additions=0),
    )
    nanos = {each.action: each.nanos for each in made.alternatives}
    assert nanos["leave"] == 5_000 * 3_750 + (5_000 + 5_100 + 5_200) * 300 + 300 * 3_750
    assert nanos["prune"] == (1_350 + 1_450) * 3_000 + 1_550 * 3_750 + 1_550 * 300 + 100 * 3_750


def test_a_cached_block_is_left_where_pruning_would_break_more_than_it_saves() -> None:
    """4,000 tokens of tools before 30,000 of instructions that all conversations share: reading
    them costs 10.2 million nanos, writing 30,350 anew 113.8."""
    key = INDEX.block_key(range(40), slim=False, find_tool=False)
    warm = CacheFacts(caches=True, warm={key: 34_000})
    short = Forecast(calls=3, additions=0)
    made = plan(after_tokens=30_000, cache=warm, forecast=short)
    assert (made.action, made.reason) == ("leave", "not_worth_it")
    assert made.tokens_saved == 0
    # The same block, cold: pruned.
    cold = replace(warm, warm={})
    assert plan(after_tokens=30_000, cache=cold, forecast=short).action == "prune"
    # And not if tools will be missed: each time all 30,000 are written anew.
    often = replace(short, additions=1)
    assert plan(after_tokens=30_000, cache=cold, forecast=often).action == "slim"
    # So long a conversation that the smaller prompt pays for the writing.
    long = Forecast(calls=400, additions=0)
    assert plan(after_tokens=30_000, cache=warm, forecast=long).action == "prune"


def test_a_short_prompt_loses_the_cache() -> None:
    """Left, 5,000 tokens are read at a tenth; pruned, 1,000 are too few to be kept."""
    made = plan(
        after_tokens=650,
        cache=CacheFacts(caches=True, min_tokens=1_024),
        forecast=Forecast(calls=100, additions=0),
    )
    assert made.action != "prune"


def test_less_than_the_least_is_never_read() -> None:
    few = CacheFacts(caches=True, min_tokens=1_024)
    for warm, nanos in ((1_023, 2_000 * 3_750), (1_024, 1_024 * 300 + 976 * 3_750)):
        found = expected_nanos(
            1_500, 500, warm_tokens=warm, prices=SONNET, cache=few, forecast=Forecast(additions=0)
        )
        assert found == nanos


def test_a_free_model_is_left_alone() -> None:
    free = TokenPrices(fresh=0, cache_read=0, cache_write=0)
    assert plan(prices=free).action == "leave"


def test_facts_of_a_providers_cache() -> None:
    assert not CacheFacts.of("anthropic").caches
    assert CacheFacts.of("anthropic", ttl="1h").caches
    assert CacheFacts.of("openai", warm={"k": 5}).warm == {"k": 5}
    assert CacheFacts.of("openai").caches
    haiku = CacheFacts.of("anthropic", model="claude-haiku-4-5", ttl="5m")
    assert (haiku.min_tokens, haiku.step_tokens) == (4_096, 1)
    assert CacheFacts.of("openai", model="gpt-5.1").step_tokens == 128


@pytest.mark.parametrize(
    "make",
    [
        lambda: ToolPolicy(most=0),
        lambda: ToolPolicy(most=5, limit=4),
        lambda: ToolPolicy(least_fit=1.5),
        lambda: ToolPolicy(least_saving=float("nan")),
        lambda: Forecast(calls=-1),
        lambda: Forecast(additions=float("inf")),
        lambda: ToolRequest(after_tokens=-1),
    ],
)
def test_numbers_that_cannot_be(make: Any) -> None:
    with pytest.raises(ToolPlanError, match="expected"):
        make()


class Provider:
    """A prompt cache, call by call: what it has seen from the beginning on is read, in whole
    steps, the rest is written, and a prompt that is too short is neither. Prompts are lists of
    (text, tokens); a piece that differs ends what is shared."""

    def __init__(
        self, prices: TokenPrices, *, caches: bool, min_tokens: int, step: int = 1
    ) -> None:
        self.prices, self.caches, self.min_tokens, self.step = prices, caches, min_tokens, step
        self.seen: list[list[tuple[str, int]]] = []
        self.nanos = 0.0

    def shared(self, prompt: Sequence[tuple[str, int]]) -> int:
        longest = 0
        for old in self.seen:
            tokens = 0
            for mine, its in zip(prompt, old, strict=False):
                if mine != its:
                    break
                tokens += mine[1]
            longest = max(longest, tokens)
        return longest if longest >= self.min_tokens else 0

    def call(self, prompt: Sequence[tuple[str, int]]) -> None:
        size = sum(tokens for _, tokens in prompt)
        if not self.caches or size < self.min_tokens:
            self.nanos += size * self.prices.fresh
            return
        read = self.shared(prompt)
        read -= read % self.step
        self.nanos += read * self.prices.cache_read + (size - read) * self.prices.cache_write
        self.seen.append(list(prompt))


def converse(
    provider: Provider, request: ToolRequest, forecast: Forecast, policy: ToolPolicy
) -> list[ToolPlan]:
    """A conversation as forecast, each call planned with what the provider has in its cache."""
    plans: list[ToolPlan] = []
    for call in range(forecast.calls + 1):
        after = [("instructions", request.after_tokens)]
        after += [(f"message {n}", forecast.growth_tokens) for n in range(call)]
        warm: dict[str, int] = {}
        for old in provider.seen:
            warm[old[0][0]] = max(warm.get(old[0][0], 0), provider.shared([old[0], *after]))
        made = plan_tools(
            INDEX,
            replace(
                request,
                after_tokens=sum(tokens for _, tokens in after),
                offered=plans[-1].offered if plans else None,
            ),
            prices=provider.prices,
            cache=CacheFacts(
                caches=provider.caches,
                min_tokens=provider.min_tokens,
                step_tokens=provider.step,
                warm=warm,
            ),
            forecast=replace(forecast, calls=forecast.calls - call),
            policy=policy,
        )
        plans.append(made)
        provider.call([(made.block_key, made.tokens), *after])
    return plans


QUERIES = st.lists(
    st.sampled_from([*WORDS, "weather_0", "email_6", "hello", "天气"]), max_size=4
).map(" ".join)
PRICES = st.builds(
    TokenPrices,
    fresh=st.integers(0, 5_000),
    cache_read=st.integers(0, 5_000),
    cache_write=st.integers(0, 10_000),
    output=st.integers(0, 20_000),
)
POLICIES = st.builds(
    ToolPolicy,
    most=st.integers(1, 12),
    limit=st.integers(12, 40),
    least_fit=st.sampled_from([0.0, 0.25, 1.0]),
    least_saving=st.sampled_from([0.0, 0.05]),
    prune=st.booleans() | st.just(True),
    slim=st.booleans(),
    find_tool=st.booleans(),
    follow=st.booleans(),
)


@settings(max_examples=150)
@given(
    query=QUERIES,
    prices=PRICES,
    caches=st.booleans() | st.just(True),
    min_tokens=st.sampled_from([0, 512, 1_024, 4_096]),
    step=st.sampled_from([1, 1, 128]),
    after=st.integers(0, 40_000) | st.integers(0, 900),
    growth=st.integers(0, 700),
    calls=st.integers(0, 12),
    warmed=st.sampled_from(["", "leave", "slim"]),
    policy=POLICIES,
)
def test_a_replay_of_the_cache_never_costs_more_than_leaving(
    query: str,
    prices: TokenPrices,
    caches: bool,
    min_tokens: int,
    step: int,
    after: int,
    growth: int,
    calls: int,
    warmed: str,
    policy: ToolPolicy,
) -> None:
    """And it costs what the plan said, whatever other conversations have left in the cache."""
    forecast = Forecast(calls=calls, growth_tokens=growth, additions=0)
    ours = Provider(prices, caches=caches, min_tokens=min_tokens, step=step)
    theirs = Provider(prices, caches=caches, min_tokens=min_tokens, step=step)
    leave = (INDEX.block_key(range(40), slim=False, find_tool=False), 4_000)
    slim = (INDEX.block_key(range(40), slim=True, find_tool=False), 3_200)
    if warmed:
        for provider in (ours, theirs):
            provider.call([leave if warmed == "leave" else slim, ("instructions", after)])
            provider.nanos = 0.0
    plans = converse(ours, ToolRequest(query=query, after_tokens=after), forecast, policy)
    for call in range(calls + 1):
        theirs.call(
            [leave, ("instructions", after), *((f"message {n}", growth) for n in range(call))]
        )
    first = plans[0]
    nanos = {each.action: each.nanos for each in first.alternatives}
    assert nanos[first.action] <= nanos["leave"]
    assert nanos["leave"] == pytest.approx(theirs.nanos)
    if all(each.kept == first.kept for each in plans):
        assert ours.nanos == pytest.approx(nanos[first.action])
    assert ours.nanos <= theirs.nanos * (1 + 1e-9)


@example(
    prices=TokenPrices(fresh=0, cache_read=0, cache_write=1, output=0),
    caches=True, min_tokens=1_024, after=0, growth=141, calls=4,
)  # fmt: skip
@settings(max_examples=100)
@given(
    prices=PRICES.filter(lambda each: each.cache_read <= each.fresh <= each.cache_write),
    caches=st.booleans(),
    min_tokens=st.sampled_from([0, 1_024, 3_000]),
    after=st.integers(0, 10_000),
    growth=st.integers(0, 700),
    calls=st.integers(0, 8),
)
def test_an_addition_costs_no_more_than_was_expected_of_it(
    prices: TokenPrices, caches: bool, min_tokens: int, after: int, growth: int, calls: int
) -> None:
    """The model asks for a tool in one of the calls, and that call is made once more with it. The
    mean over all calls is what was expected, or less where prompts get long enough to be kept."""
    made = plan(
        prices=prices,
        cache=CacheFacts(caches=caches, min_tokens=min_tokens),
        forecast=Forecast(calls=calls, growth_tokens=growth, additions=1),
        after_tokens=after,
    )
    said = next(each.nanos for each in made.alternatives if each.action == "prune")
    total = 0.0
    for when in range(calls + 1):
        provider = Provider(prices, caches=caches, min_tokens=min_tokens)
        block, history = ("few", 350), [("instructions", after)]
        for call in range(calls + 1):
            history += [(f"message {call}", growth)] if call else []
            provider.call([block, *history])
            if call == when:
                block = ("more", 430)
                history.append(("asked", 60))
                provider.nanos += 60 * prices.output
                provider.call([block, *history])
        total += provider.nanos
    assert total / (calls + 1) <= said * (1 + 1e-9)
    if not caches or min_tokens == 0:
        assert total / (calls + 1) == pytest.approx(said)


# ---- a conversation


def test_what_was_offered_stays_and_the_new_is_appended() -> None:
    first = plan("weather")
    second = plan("a song", offered=first.offered)
    assert second.kept[: len(first.kept)] == first.kept
    assert names(second)[len(first.kept) :] == ["song_3", "song_15", "song_27", "song_39"]
    assert second.reason == "sticky"
    third = plan("thanks!", offered=second.offered)
    assert (third.kept, third.block_key) == (second.kept, second.block_key)


def test_a_warm_prefix_is_broken_for_a_new_subject_only() -> None:
    first = plan("weather")
    warm = CacheFacts(caches=True, min_tokens=0, warm={first.block_key: 1_000})
    same = plan("weather or song", offered=first.offered, cache=warm)
    assert same.kept == first.kept
    assert plan("a song", offered=first.offered, cache=warm).kept != first.kept
    asleep = ToolPolicy(follow=False)
    assert plan("a song", offered=first.offered, cache=warm, policy=asleep).kept == first.kept
    found = plan("a song", offered=first.offered, cache=warm, policy=asleep, found=("song_39",))
    assert names(found)[len(first.kept)] == "song_39"


def test_new_tools_of_the_application_are_appended_to_all() -> None:
    first = plan(policy=ToolPolicy(prune=False))
    more = ToolIndex([tool("new_first"), *INDEX.tools, tool("new_last")], hundred)
    second = plan(index=more, offered=first.offered)
    assert names(second, more)[-2:] == ["new_first", "new_last"]
    assert names(second, more)[:-2] == names(first)


def test_tools_that_are_gone_are_gone() -> None:
    first = plan("weather")
    fewer = ToolIndex(INDEX.tools[1:], hundred)
    assert names(plan(index=fewer, offered=first.offered), fewer) == names(first)[1:]


def test_two_tools_of_one_name() -> None:
    index = ToolIndex([tool("weather", str(n)) for n in range(30)], hundred)
    first = plan(index=index, policy=ToolPolicy(most=3))
    assert plan(index=index, offered=first.offered, policy=ToolPolicy(most=3, limit=3)).kept == (
        0,
        1,
        2,
    )


@given(
    steps=st.lists(
        st.tuples(
            QUERIES,
            st.lists(st.sampled_from([each.name for each in INDEX.tools]), max_size=2),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
    policy=POLICIES,
    caches=st.booleans(),
)
def test_conversations_only_append(
    steps: list[tuple[str, list[str], bool]], policy: ToolPolicy, caches: bool
) -> None:
    offered: Offered | None = None
    before: ToolPlan | None = None
    used: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    needed: set[int] = set()
    for query, found, warm in steps:
        used += tuple(found)
        key = before.block_key if before and warm else ""
        asked = {
            "used": used,
            "before": queries,
            "offered": offered,
            "after_tokens": 500,
            "cache": CacheFacts(caches=caches, min_tokens=0, warm={key: 2_000}),
            "policy": policy,
        }
        made = plan(query, **asked)
        assert made == plan(query, **asked)
        needed |= set(INDEX.named_in(query)) | {
            n for n, each in enumerate(INDEX.tools) if each.name in used
        }
        assert set(needed) <= set(made.kept)
        assert len(set(made.kept)) == len(made.kept)
        assert sorted([*made.kept, *(each.number for each in made.dropped)]) == list(range(40))
        if before is None:
            assert list(made.kept) == sorted(made.kept)
            if made.action == "prune":
                assert len(set(made.kept) - needed) <= policy.most
        else:
            assert made.kept[: len(before.kept)] == before.kept
            assert (made.slim, made.find_tool) == (before.slim, before.find_tool)
            assert made.action == before.action
            if made.kept == before.kept:
                assert made.block_key == before.block_key
        if made.action == "prune":
            optional = len(set(made.kept) - needed)
            assert len(made.kept) <= policy.limit or optional <= policy.limit
            assert made.find_tool == policy.find_tool
        else:
            assert len(made.kept) == 40
        counts = INDEX.slim_tokens if made.slim else INDEX.tokens
        assert made.tokens == sum(counts[n] for n in made.kept) + 30 * made.find_tool
        offered, before, queries = made.offered, made, (*queries, query)
