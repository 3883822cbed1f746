"""Calls without texts: memory and markers by the sizes of conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import BlockText, fingerprints, to_json
from frugal_chains.replay import (
    Batch,
    Compression,
    Marks,
    Memory,
    RecordedCall,
    Routing,
    Setup,
    replay,
)
from frugal_chains.replay._outline import Outlines
from frugal_chains.usage import Usage

BOOK = PriceBook()
START_US = 1_790_000_000_000_000
CLAUDE = "claude-sonnet-4-5"
KEY = b"0123456789abcdef"


def call(
    input_tokens: int, output_tokens: int = 100, *, number: int = 0, conversation: str = "c",
    model: str = CLAUDE, operation: str = "", texts: Sequence[str] = (), **counts: int,
) -> RecordedCall:  # fmt: skip
    """Ten seconds after the one before; with fingerprints of texts, where there are any: the first
    one is the system prompt."""
    usage = Usage()._replace(input_tokens=input_tokens, output_tokens=output_tokens, **counts)
    blocks = [
        BlockText(kind="message" if at else "system", text=text, tokens=len(text))
        for at, text in enumerate(texts)
    ]
    return RecordedCall(
        model=model, provider="openai" if model.startswith("gpt") else "anthropic",
        at_us=START_US + number * 10_000_000, conversation=conversation, operation=operation,
        usage=usage, prints=to_json(fingerprints(blocks, key=KEY)) if blocks else None,
    )  # fmt: skip


def shapes(calls: Sequence[RecordedCall]) -> list[tuple[int, list[tuple[str, int]]]]:
    """Of each: its strand, and its pieces."""
    outlines = Outlines()
    found = [outlines.of(each) for each in calls]
    assert all(found)
    return [
        (one.strand, [(piece.kind, piece.tokens) for piece in one.pieces]) for one in found if one
    ]


def test_a_conversation_is_known_by_the_differences_of_its_requests() -> None:
    found = shapes([call(1_000, 80), call(1_200, 50), call(1_250, 40)])
    assert found[0] == (1, [("system", 1_000)])
    assert found[1] == (1, [("system", 1_000), ("assistant", 80), ("user", 120)])
    assert found[2] == (1, [*found[1][1], ("assistant", 50)])


def test_thoughts_are_not_sent_again() -> None:
    found = shapes([call(1_000, 500, reasoning_tokens=420), call(1_200)])
    assert found[1][1][1:] == [("assistant", 80), ("user", 120)]


def test_within_one_operation_a_tool_has_answered() -> None:
    found = shapes([call(1_000, 80, operation="o"), call(1_200, 50, operation="o")])
    assert found[1][1][1:] == [("assistant", 80), ("tool", 120)]


def test_a_request_made_again_is_the_same() -> None:
    found = shapes([call(1_000), call(1_000)])
    assert found[0] == found[1]


def test_what_has_no_room_for_the_answer_is_something_else() -> None:
    """Of two agents that take turns in one conversation each goes on with its own."""
    found = shapes([call(5_000), call(800), call(5_300), call(1_000), call(600)])
    assert [strand for strand, _ in found] == [1, 2, 1, 2, 3]
    assert found[3][1] == [("system", 800), ("assistant", 100), ("user", 100)]


def test_other_tasks_and_models_are_other_strands() -> None:
    other = replace(call(1_500), task="plan")
    found = shapes([call(1_000), other, call(1_500, model="gpt-4o"), call(1_600)])
    assert [strand for strand, _ in found] == [1, 2, 3, 1]


def test_fingerprints_say_what_continues_what() -> None:
    one = ["s" * 600, "a" * 400]
    longer = [*one, "b" * 100, "c" * 100]
    other = ["s" * 600, "x" * 900]
    found = shapes(
        [
            call(2_000, texts=one),
            call(3_000, texts=other, conversation=""),
            call(2_400, 100, texts=longer),
            call(2_600, 100, texts=other),
        ]
    )
    # The provider has counted twice as many tokens as were counted here.
    assert found[0] == (1, [("system", 1_200), ("user", 800)])
    assert found[1] == (2, [("system", 1_200), ("user", 1_800)])
    assert found[2] == (1, [*found[0][1], ("assistant", 100), ("user", 300)])
    assert found[3][0] == 3, "large enough, and yet another"


def test_without_a_name_fingerprints_are_a_conversation() -> None:
    one = ["s" * 600, "a" * 400]
    calls = [
        call(1_000, texts=one, conversation=""),
        call(1_200, texts=[*one, "b" * 100, "c" * 100], conversation=""),
    ]
    assert [strand for strand, _ in shapes(calls)] == [1, 1]


@pytest.mark.parametrize(
    "unknown",
    [
        replace(call(1_000), conversation=""),
        replace(call(1_000), usage=None),
        call(0),
        call(1_000, input_audio_tokens=10),
        replace(call(1_000), conversation="", prints={"v": 99}),
    ],
    ids=["no conversation", "no usage", "no tokens", "audio", "prints of another version"],
)
def test_of_some_calls_nothing_is_known(unknown: RecordedCall) -> None:
    assert Outlines().of(unknown) is None


@given(
    st.lists(
        st.tuples(st.integers(1, 4_000), st.integers(0, 500), st.sampled_from(("c", "d"))),
        max_size=20,
    )
)
def test_pieces_are_all_of_the_request(steps: list[tuple[int, int, str]]) -> None:
    calls = [call(size, said, conversation=name) for size, said, name in steps]
    for each, (_, pieces) in zip(calls, shapes(calls), strict=True):
        assert each.usage is not None
        assert sum(tokens for _, tokens in pieces) == each.usage.input_tokens
        assert all(tokens >= 0 for _, tokens in pieces)


def test_markers_by_sizes_as_by_hand() -> None:
    """Claude Sonnet 4.5: 3.00 a million in, 3.75 written for five minutes, .30 read, 15.00 out."""
    calls = [call(2_000, number=0), call(2_300, number=1), call(2_600, number=2)]
    bare, marked = replay(
        calls, [Setup(), Setup(prompt_cache=Marks())], prices=BOOK, now_us=0
    ).bills
    assert bare.nanos == 3_000 * 6_900 + 15_000 * 300
    written = 2_000 + 300 + 300
    assert marked.nanos == 3_750 * written + 300 * (2_000 + 2_300) + 15_000 * 300
    assert marked.usage.input_tokens == bare.usage.input_tokens


def test_recorded_markers_stay_where_they_were() -> None:
    """The system prompt of 1,500 tokens alone was marked."""
    calls = [
        call(2_000, number=0, cache_write_5m_tokens=1_500),
        call(2_300, number=1, cache_read_tokens=1_500),
        call(2_600, number=2, cache_read_tokens=1_500),
    ]
    setups = [Setup(), Setup(memory=Memory())]
    bare, _ = replay(calls, setups, prices=BOOK, now_us=0).bills
    recorded = replay(calls, [Setup()], prices=BOOK, now_us=0).recorded
    assert bare.usage.cache_read_tokens == 3_000
    assert bare.nanos == recorded.nanos


def test_a_memory_by_sizes_as_by_hand() -> None:
    """A mark at 1,000 tokens of messages, 500 of them stay, a summary has 80: uncached."""
    policy = CompactionPolicy(
        trigger=WaterMark(high_tokens=1_000), keep_tokens=500, summary_tokens=80,
        segments_tokens=160, least_dropped_tokens=100,
    )  # fmt: skip
    calls = [call(500 + 300 * at, 100, number=at, model=CLAUDE) for at in range(6)]
    bare, short = replay(
        calls, [Setup(), Setup(memory=Memory(policy=policy))], prices=BOOK, now_us=0
    ).bills
    assert bare.usage.input_tokens == sum(500 + 300 * at for at in range(6))
    # Answers of 100 and questions of 200: 300, 600, 900 tokens, then 1,200, of which the newest
    # three messages stay: 500, and 80 for the others. With the next turn 880.
    assert short.usage.input_tokens == 500 * 6 + 0 + 300 + 600 + 900 + 580 + 880
    assert short.nanos == 3_000 * short.usage.input_tokens + 15_000 * 600


def test_memory_and_markers_change_nothing_that_is_not_known() -> None:
    unnamed = [replace(call(1_000, number=at), conversation="") for at in range(4)]
    setup = Setup(memory=Memory(), compression=Compression(), prompt_cache=Marks())
    found = replay(unnamed, [Setup(), setup], prices=BOOK, now_us=0)
    assert found.bills[0].nanos == found.bills[1].nanos
    assert found.by_size == 0


def test_policies_that_look_at_costs_alone_leave_the_cache_as_it_was_recorded() -> None:
    calls = [call(2_000, number=at, cache_read_tokens=1_000, model="gpt-4o") for at in range(3)]
    setups = [Setup(), Setup(batch=Batch())]
    found = replay(calls, setups, prices=BOOK, now_us=0)
    assert found.bills[0].nanos == found.recorded.nanos
    assert found.by_size == 0


def test_each_model_has_its_own_cache() -> None:
    """What one has read another has to be sent anew: routed calls do not take their reads along."""
    calls = [
        replace(call(2_000 + 300 * at, number=at, model="gpt-4o", cache_read_tokens=1_920),
                task="faq" if at % 2 else "")
        for at in range(1, 5)
    ]  # fmt: skip
    routed = Setup(
        routing=Routing(by_task={"faq": ("openai", "gpt-4o-mini")}), prompt_cache=Marks()
    )
    found = replay(calls, [routed], prices=BOOK, now_us=0).bills[0]
    assert set(found.by_model) == {"gpt-4o", "gpt-4o-mini"}
    assert found.usage.cache_read_tokens < 4 * 1_920


def test_work_of_levers_is_left_as_it_was() -> None:
    calls = [replace(call(2_000, number=at), purpose="summary") for at in range(3)]
    found = replay(calls, [Setup(), Setup(prompt_cache=Marks())], prices=BOOK, now_us=0)
    assert found.bills[0].nanos == found.bills[1].nanos == found.recorded.nanos
    assert found.by_size == 0
