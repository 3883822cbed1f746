"""What a replay says, against plain arithmetic with list prices."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from frugal_chains.errors import ReplayError
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import (
    Batch,
    Compression,
    Marks,
    Memory,
    RecordedCall,
    Routing,
    Setup,
    replay,
    what_if,
)
from frugal_chains.routing import Candidate, Keywords, RoutingPolicy, Rule
from frugal_chains.usage import Usage

BOOK = PriceBook()
START_US = 1_790_000_000_000_000  # 2026-09-21
HOUR_US = 3_600_000_000
MINI = ("openai", "gpt-4o-mini")


def sized(
    number: int, *, model: str = "gpt-4o", task: str = "faq", conversation: str = "", **counts: int
) -> RecordedCall:
    """A call without texts: 1,000 tokens in and 200 out, unless told otherwise."""
    usage = Usage(**({"input_tokens": 1_000, "output_tokens": 200} | counts))
    return RecordedCall(
        model=model, provider="openai", at_us=START_US + number * HOUR_US, task=task,
        conversation=conversation or f"c{number}", usage=usage,
    )  # fmt: skip


def told(texts: list[str], number: int = 0, *, model: str = "gpt-4o") -> RecordedCall:
    """A call with its texts, in turn of the person and the model."""
    roles = ("user", "assistant")
    messages = tuple(
        MessageFacts(role=roles[at % 2], text=text)  # type: ignore[arg-type]
        for at, text in enumerate(texts)
    )
    return RecordedCall(
        model=model, provider="openai", at_us=START_US + number * 10_000_000, conversation="c",
        request=RequestFacts(messages=messages),
        usage=Usage(output_tokens=10, source="estimated"),
    )  # fmt: skip


def test_calls_without_texts_are_priced_as_they_were() -> None:
    calls = [sized(0), sized(1, cache_read_tokens=512), sized(2, model="gpt-4o-mini")]
    found = replay(calls, [Setup()], prices=BOOK, now_us=0)
    # gpt-4o 2.50 in, 1.25 cached, 10 out; gpt-4o-mini .15 and .60 (2026-11)
    by_hand = (2_500 * 1_000 + 10_000 * 200) * 2 - 1_250 * 512 + 150 * 1_000 + 600 * 200
    assert found.recorded.nanos == found.bills[0].nanos == by_hand
    assert found.bills[0].usd == Decimal(by_hand) / 10**9
    assert found.recorded.cached_share == pytest.approx(512 / 3_000)
    assert dict(found.bills[0].by_model) == {
        "gpt-4o": by_hand - 270_000,
        "gpt-4o-mini": 270_000,
    }
    assert (found.calls, found.with_text, found.timeless) == (3, 0, 0)


def test_what_the_recording_says_it_cost_is_what_it_cost() -> None:
    """A negotiated price, say; the simulation has the book's, and the difference is told."""
    calls = [replace(sized(0), nanos=4_000_000), sized(1)]
    found = what_if(calls, Setup(), prices=BOOK, now_us=0)
    assert found.replayed.recorded.nanos == 4_000_000 + 4_500_000
    assert found.before.nanos == 2 * 4_500_000
    assert found.error_share == pytest.approx(500_000 / 8_500_000)


def test_another_model_and_the_batch_price_by_task() -> None:
    calls = [sized(0), sized(1, task="legal"), sized(2, task="")]
    routed = Setup(routing=Routing(by_task={"faq": MINI}))
    batched = Setup(batch=Batch(tasks=frozenset({"legal"})))
    all_wait = Setup(batch=Batch())
    found = replay(calls, [routed, batched, all_wait], prices=BOOK, now_us=0)
    dear, cheap = 2_500 * 1_000 + 10_000 * 200, 150 * 1_000 + 600 * 200
    assert [bill.nanos for bill in found.bills] == [
        cheap + 2 * dear,
        2 * dear + dear // 2,  # half the price (platform.openai.com, batch)
        3 * dear // 2,
    ]


def test_what_has_no_price_is_in_no_sum() -> None:
    calls = [sized(0), sized(1, model="house-model-7")]
    found = replay(calls, [Setup(), Setup(batch=Batch())], prices=BOOK, now_us=0)
    assert [bill.unpriced for bill in found.bills] == [1, 1]
    assert found.bills[0].nanos == 2_500 * 1_000 + 10_000 * 200


def test_work_of_levers_is_left_as_it_was() -> None:
    draft = RecordedCall(
        model="gpt-4o", provider="openai", at_us=START_US, purpose="draft", task="faq",
        usage=Usage(input_tokens=1_000, output_tokens=200),
    )  # fmt: skip
    found = replay([draft], [Setup(routing=Routing(by_task={"faq": MINI}))], prices=BOOK, now_us=0)
    assert found.bills[0].nanos == found.recorded.nanos


def test_a_call_that_failed_costs_nothing_in_any_setup() -> None:
    failed = replace(told(["Where is the river? " * 300]), status="error", usage=None)
    found = what_if([failed], Setup(batch=Batch()), prices=BOOK, now_us=0)
    assert (found.before.nanos, found.after.nanos, found.before.calls) == (0, 0, 1)


def test_a_policy_decides_by_the_question() -> None:
    candidates = (
        Candidate(name="small", tier="gatekeeper", model="gpt-4o-mini", provider="openai"),
        Candidate(name="large", tier="specialist", model="gpt-4o", provider="openai"),
    )
    policy = RoutingPolicy(
        rules=(Rule(name="proof", when=Keywords("theorem"), to="specialist"),),
        default_tier="gatekeeper",
    )
    setup = Setup(routing=Routing(policy=policy, candidates=candidates))
    calls = [told(["Where is the theorem?"]), told(["Where is the river?"], 1)]
    found = replay(calls, [setup], prices=BOOK, now_us=0)
    assert set(found.bills[0].by_model) == {"gpt-4o", "gpt-4o-mini"}


def long_talk(calls: int) -> Iterator[RecordedCall]:
    texts: list[str] = []
    for number in range(calls):
        texts.append(f"Question {number}. " + "The parcel is on its way to the river. " * 40)
        yield told(list(texts), number)
        texts.append(f"Answer {number}. " + "It will be there tomorrow, as was said. " * 50)


def test_a_long_conversation_costs_less_with_a_memory() -> None:
    setups = [Setup(), Setup(memory=Memory())]
    found = replay(long_talk(60), setups, prices=BOOK, now_us=0)
    plain, short = found.bills
    assert short.nanos < 0.5 * plain.nanos
    assert short.usage.input_tokens < 0.3 * plain.usage.input_tokens
    assert plain.cached_share == pytest.approx(0.97, abs=0.02)


def test_what_levers_save_together_is_not_what_they_save_alone() -> None:
    """Routing to a dearer model loses; it is in the steps, signed, and in no recommendation."""
    dearer = Routing(by_task={"faq": ("openai", "gpt-4-turbo")})  # 10 and 30 (2026-11)
    setup = Setup(routing=dearer, batch=Batch())
    found = what_if([sized(n) for n in range(20)], setup, prices=BOOK, now_us=0)
    routing, batch = found.levers
    assert routing.alone_nanos == 20 * (4_500_000 - 16_000_000)
    assert batch.alone_nanos == 20 * 4_500_000 // 2
    assert sum(each.step_nanos for each in found.levers) == found.saved_nanos
    assert found.best.on == ("batch",)
    assert found.best_bill.nanos == 20 * 4_500_000 // 2
    assert [each.lever for each in found.ranked] == ["batch", "routing"]


def test_a_month_is_told_from_the_pace() -> None:
    eleven = [sized(n) for n in range(11)]  # one an hour
    setup = Setup(batch=Batch())
    found = what_if(eleven, setup, prices=BOOK, now_us=0)
    assert found.month_factor == pytest.approx(365.25 / 12 * 24 / 11)
    asked = what_if(eleven, setup, prices=BOOK, now_us=0, calls_a_month=22_000)
    assert asked.month_factor == 2_000
    timeless = [RecordedCall(model="gpt-4o", usage=Usage(input_tokens=10)) for _ in range(5)]
    assert what_if(timeless, setup, prices=BOOK, now_us=START_US).month_factor is None


def test_intervals_hold_what_other_traffic_would_save() -> None:
    """40 samples of one kind of traffic: 95 % intervals hold its mean about as often."""
    mean = 0.5 * (2_500 * 20_500 / 2 + 10_000 * 200)
    held = 0
    for seed in range(40):
        rng = random.Random(seed)
        calls = [sized(n, input_tokens=rng.randint(500, 20_000)) for n in range(150)]
        found = what_if(calls, Setup(batch=Batch()), prices=BOOK, now_us=0)
        assert found.spread_nanos is not None
        held += abs(found.saved_nanos - 150 * mean) <= found.spread_nanos
    assert 34 <= held <= 40


def test_few_conversations_have_no_interval() -> None:
    one = [sized(n, conversation="same") for n in range(50)]
    found = what_if(one, Setup(batch=Batch()), prices=BOOK, now_us=0)
    assert found.spread_nanos is None
    assert found.levers[0].alone_spread_nanos is None
    assert found.levers[0].is_sure


def test_nothing_recorded_is_nothing_saved() -> None:
    found = what_if([], Setup(memory=Memory(), batch=Batch()), prices=BOOK, now_us=0)
    assert (found.before.nanos, found.saved_nanos, found.month_factor) == (0, 0, None)
    assert found.best.on == ()


def test_every_lever_on_texts_and_sizes_mixed() -> None:
    setup = Setup(
        memory=Memory(), compression=Compression(budget_tokens=200), prompt_cache=Marks(),
        routing=Routing(by_task={"faq": MINI}), batch=Batch(tasks=frozenset({"faq"})),
    )  # fmt: skip
    calls = [*long_talk(10), sized(1), sized(2, model="claude-sonnet-4-5")]
    found = what_if(calls, setup, prices=BOOK, now_us=0)
    assert found.replayed.with_text == 10
    assert sum(each.step_nanos for each in found.levers) == found.saved_nanos
    assert found.best_bill.nanos <= min(found.before.nanos, found.after.nanos)


def test_settings_that_say_nothing_are_refused() -> None:
    nothing: Mapping[str, tuple[str, str]] = {}
    with pytest.raises(ReplayError, match="without a policy"):
        Routing(by_task=nothing)
    with pytest.raises(ReplayError, match="candidates"):
        Routing(policy=RoutingPolicy())


def test_tasks_that_no_call_has_are_told() -> None:
    setup = Setup(
        routing=Routing(by_task={"faq": MINI, "fqa": MINI}),
        batch=Batch(tasks=frozenset({"faq", "night"})),
    )
    found = replay([sized(0)], [setup], prices=BOOK, now_us=0)
    assert found.unseen_tasks == ("fqa", "night")
