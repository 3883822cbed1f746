"""The task inventory: groups, sums, shares and classes, held against sums done by hand."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.facts import MessageFacts, RequestFacts, ToolFacts
from frugal_chains.ledger import Attempt
from frugal_chains.pricing import PriceBook, Priced, Unpriced
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.inventory import MAX_GROUPS, Inventory, Sums, inventory
from frugal_chains.replay.inventory import _grouping as grouping
from frugal_chains.usage import Usage

BOOK = PriceBook()
KEY = b"a key for the tests, 32 bytes..."
AT_US = 1_763_640_000_000_000  # 2025-11-20T12:00:00Z
AT = datetime(2025, 11, 20, tzinfo=UTC)


def call(
    task: str = "",
    *,
    tokens: tuple[int, int] | None = (1_000, 100),
    system: str = "",
    said: str = "",
    **fields: Any,
) -> RecordedCall:
    request = None
    if system or said:
        request = RequestFacts(
            messages=(
                MessageFacts(role="system", text=system),
                MessageFacts(role="user", text=said),
            )
        )
    usage = None if tokens is None else Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    given = {"model": "gpt-4o", "at_us": AT_US, "request": request, "usage": usage, **fields}
    return RecordedCall(task=task, **given)


def made(*calls: RecordedCall | Attempt, **options: Any) -> Inventory:
    return inventory(calls, BOOK, key=KEY, **{"at": AT, **options})


def by_name(facts: Inventory) -> dict[str, Sums]:
    return {group.name: group.sums for group in facts.groups}


def test_calls_are_grouped_by_their_task_and_priced() -> None:
    # gpt-4o: $2.50 in, $1.25 cached, $10 out a million (openai.com/api/pricing, 2025-11).
    cached = Usage(input_tokens=1_000, output_tokens=100, cache_read_tokens=400)
    facts = made(
        call("sort", tokens=(100, 2)),
        call("sort", tokens=(300, 2)),
        call("write", usage=cached),
        call("write", nanos=7),  # the recording's own word
        call("write", model="never-heard-of"),
    )
    assert by_name(facts) == {
        "write": Sums(
            calls=3, unpriced=1, input_tokens=3_000, cache_read_tokens=400, output_tokens=300,
            nanos=600 * 2_500 + 400 * 1_250 + 100 * 10_000 + 7,
        ),
        "sort": Sums(
            calls=2, input_tokens=400, output_tokens=4, nanos=400 * 2_500 + 4 * 10_000
        ),
    }  # fmt: skip
    assert facts.total == facts.groups[0].sums + facts.groups[1].sums
    write = facts.groups[0]  # the dearest first
    assert write.shares.calls == 3 / 5
    assert write.shares.tokens == 3_300 / 3_704
    assert write.shares.money == 3_000_007 / 4_040_007
    assert write.models == (("gpt-4o", 2), ("never-heard-of", 1))
    assert facts.untagged == 0


def test_medians_and_ninetieth_percentiles_are_those_of_the_sorted_list() -> None:
    lengths = [5, 7, 7, 9, 11, 12, 13, 14, 15, 4_000]
    facts = made(*(call("t", tokens=(length, 1)) for length in lengths))
    (group,) = facts.groups
    assert group.median("input_tokens") == 11  # half of ten is five
    assert group.input_p90 == 15  # nine of ten
    assert group.output_p90 == 1


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=200), st.sampled_from([50, 90]))
def test_a_quantile_is_right_to_one_in_sixteen(numbers: list[int], percent: int) -> None:
    from frugal_chains.replay.inventory._histogram import Histogram

    seen, halves = Histogram(), (Histogram(), Histogram())
    for at, number in enumerate(numbers):
        seen.add(number)
        halves[at % 2].add(number)
    exact = sorted(numbers)[-(-len(numbers) * percent // 100) - 1]
    found = seen.quantile(percent)
    assert found is not None
    assert abs(found - exact) <= exact / 16
    halves[0].merge(halves[1])
    assert halves[0].quantile(percent) == found
    assert Histogram().quantile(percent) is None


def test_without_tags_prompts_are_grouped_by_what_they_begin_with() -> None:
    sort = "Sort this mail into one of four folders."
    calls = [
        *(call(system=sort, said=f"Mail {n}", line=n) for n in range(1, 5)),
        # Numbers differ from day to day, and say nothing of the task.
        call(system="Today is 20 November. Answer.", said="What now?", line=5),
        call(system="Today is 21 November. Answer.", said="And then?", line=6),
        *(call(said=f"Translate into French: {n}", line=10 + n) for n in range(3)),
        *(call(said=f"{word} is it?", line=20 + n) for n, word in enumerate(("Who", "Why"))),
    ]
    facts = made(*calls)
    assert {group.name: group.sums.calls for group in facts.groups} == {
        "like line 1": 4,
        "like line 5": 2,
        "like line 10": 3,
        "like line 20": 2,
    }
    assert {group.kind for group in facts.groups} == {"prompt"}
    assert facts.untagged == len(calls)
    assert "mail" not in repr(facts).lower()  # nothing of a prompt is in it


def test_tools_and_answer_schemas_tell_prompts_apart_too() -> None:
    asked = RequestFacts(messages=(MessageFacts(role="user", text="go"),))
    tools = replace(asked, tools=(ToolFacts(name="find"),))
    schema = replace(asked, output_schema='{"type":"object"}')
    made_of = [call(request=request, line=n) for n, request in enumerate((asked, tools, schema), 1)]
    facts = made(*made_of, *made_of)
    assert Counter(group.sums.calls for group in facts.groups) == {2: 3}


def test_purposes_of_their_own_are_tasks_of_their_own() -> None:
    facts = made(
        call("chat"), call("chat", purpose="retry"), call("chat", purpose="summary"),
        call("chat", purpose="embed"), call("chat", status="cached"),
    )  # fmt: skip
    counted = {group.name: group.sums.calls for group in facts.groups}
    assert counted == {"chat": 2, "chat (summary)": 1}
    assert facts.left_out == 2


def test_what_is_not_known_is_counted_apart() -> None:
    failed = call("t", tokens=None, status="error")
    texts = call("t", tokens=None, said="Count these words.", model="gpt-4o")
    bare = call("t", tokens=None)
    sums = made(failed, texts, bare).total
    assert (sums.calls, sums.failed, sums.unsized, sums.estimated) == (3, 1, 2, 1)
    assert sums.unpriced == 1  # the bare one; what failed was not counted by anyone
    assert sums.input_tokens > 4


def test_nothing_priced_is_not_free() -> None:
    facts = made(call("t", model="never-heard-of"))
    assert facts.total.cost_usd is None
    assert facts.groups[0].shares.money is None
    assert made(call("t", tokens=(0, 0))).total.cost_usd == 0
    empty = made()
    assert (empty.total, empty.groups) == (Sums(), ())
    assert [line.shares.calls for line in empty.classes] == [None] * 3


def attempt(**fields: Any) -> Attempt:
    given: dict[str, Any] = {
        "id": "a1", "operation_id": "o", "at_us": AT_US, "framework": "langchain",
        "provider": "openai", "model": "gpt-4o", "price": Priced(nanos=5),
        "usage": Usage(input_tokens=10, output_tokens=2),
    }  # fmt: skip
    return Attempt(**{**given, **fields})


def test_attempts_of_a_ledger_are_grouped_by_tag_and_by_fingerprint() -> None:
    facts = made(
        attempt(tags={"feature": "search"}),
        attempt(tags={"feature": "search", "task": "rank"}),
        attempt(id="b1", prints={"v": 1, "t": "xyz"}),
        attempt(id="b0", prints={"v": 1, "t": "xyz"}, price=Unpriced(reason="?")),
        attempt(usage=Usage(input_tokens=10, source="estimated")),
        call("rank", tokens=(1, 1), nanos=1),  # a recording and a ledger together
    )
    assert by_name(facts) == {
        "search": Sums(calls=1, input_tokens=10, output_tokens=2, nanos=5),
        "rank": Sums(calls=2, input_tokens=11, output_tokens=3, nanos=6),
        "like attempt b0": Sums(calls=2, unpriced=1, input_tokens=20, output_tokens=4, nanos=5),
        "no task named": Sums(calls=1, estimated=1, input_tokens=10, nanos=5),
    }
    own = made(attempt(tags={"team": "x"}), tags=("team",))
    assert [group.name for group in own.groups] == ["x"]


def test_at_most_two_hundred_groups_the_largest_and_all_others() -> None:
    calls = [call(f"task {n}", tokens=(n, 0)) for n in range(300) for _ in range(1 + n % 7)]
    facts = made(*calls)
    assert len(facts.groups) == MAX_GROUPS == 200
    (other,) = [group for group in facts.groups if group.kind == "other"]
    assert facts.in_other == 300 - 199
    assert not facts.more_groups
    # 300 = 42 x 7 + 6: of the sizes 1 to 6 there are 43 groups each, of 7 there are 42.
    sizes = sorted((1 + n % 7 for n in range(300)), reverse=True)
    assert other.sums.calls == sum(sizes[199:])
    assert sum(group.sums.calls for group in facts.groups) == len(calls)


def test_with_more_places_than_are_remembered_nothing_is_lost_whatever_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, limit in (("_MAX_TASKS", 12), ("_MAX_LEADS", 9), ("_MAX_HEADS", 5)):
        monkeypatch.setattr(grouping, name, limit)
    calls = [call(f"task {n % 40}", tokens=(n, 1)) for n in range(120)]
    calls += [
        call(system=f"System {'abcdefgh'[n % 8]}", said=f"word{chr(97 + n % 13)} x", line=n + 1)
        for n in range(200)
    ]
    facts = made(*calls)
    assert facts.more_groups
    assert sum((group.sums for group in facts.groups), Sums()) == facts.total
    assert facts.total.calls == len(calls)
    for seed in range(3):
        shuffled = random.Random(seed).sample(calls, len(calls))
        assert made(*shuffled) == facts


CALLS = st.builds(
    call,
    st.sampled_from(["", "a", "b", "c"]),
    tokens=st.tuples(st.integers(0, 50_000), st.integers(0, 5_000)) | st.none(),
    system=st.sampled_from(["", "Sort.", "Write a long text."]),
    said=st.sampled_from(["one two three four", "one two four", "why", ""]),
    model=st.sampled_from(["gpt-4o", "gpt-4o-mini", "never-heard-of"]),
    status=st.sampled_from(["ok", "ok", "error", "cached"]),
    purpose=st.sampled_from(["answer", "summary", "embed"]),
    line=st.integers(1, 9),
)


@given(st.lists(CALLS, max_size=30).flatmap(lambda c: st.tuples(st.just(c), st.permutations(c))))
def test_the_order_changes_nothing_and_shares_add_up(
    both: tuple[list[RecordedCall], list[RecordedCall]],
) -> None:
    facts = made(*both[0])
    assert made(*both[1]) == facts
    for parts in (facts.groups, facts.classes):
        assert sum((part.sums for part in parts), Sums()) == facts.total
        for name in ("calls", "tokens", "money"):
            shares = [getattr(part.shares, name) for part in parts]
            if parts and None not in shares:
                assert sum(shares) == pytest.approx(1)
    assert sum(line.groups for line in facts.classes) == len(facts.groups)
    assert facts.total.calls + facts.left_out == len(both[0])
