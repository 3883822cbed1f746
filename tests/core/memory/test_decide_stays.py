"""What stays when a conversation is compacted, and what is cut where the window is too small."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frugal_chains.memory import (
    HeldMessage,
    MemoryState,
    RentEqualsBuy,
    WaterMark,
    group_messages,
    view,
    with_segment,
)
from frugal_chains.memory._keep import Split, merged, split
from tests.core.memory.conversations import (
    answers,
    asks,
    refused,
    said,
    tool_run,
)
from tests.core.memory.deciding import EAGER, decided, gone_on, shown


def test_a_system_message_inside_the_history_stays_where_it_is() -> None:
    messages = [said("user", 300, "u0"), said("system", 90, "rule"), said("assistant", 400, "a0")]
    state = MemoryState()
    for n in range(1, 40):
        messages += [said("user", 300, f"u{n}")]
        state = gone_on(messages, state)
        assert "rule" in shown(state, messages)
        messages += [said("assistant", 400, f"a{n}")]
    assert len(state.segments) >= 1
    assert shown(state, messages)[0] == "rule"


def test_a_question_stays_however_many_tools_are_called() -> None:
    everything, state = tool_run(200), MemoryState()
    merges, largest = 0, 0
    for n in range(200):
        messages = everything[: 3 + 2 * n]
        decision = decided(messages, state)
        merges += decision.plan is not None and decision.plan.merge
        state = gone_on(messages, state)
        sent = [
            messages[one.position] for one in view(state, len(messages)) if one.position is not None
        ]
        assert refused(sent) == ""
        assert sent[0].key == "q"
        largest = max(largest, state.account.sent_tokens)
    assert merges > 5
    assert largest < 100 + 300 + 800 + 500 + 600  # head, question, segments, newest and dropped


def test_a_question_that_is_answered_leaves_when_segments_are_merged() -> None:
    state, messages = MemoryState(), tool_run(20)
    for n in range(4, len(messages) + 1, 2):
        state = gone_on(messages[: n - 1], state)
    assert "q" in shown(state, messages)
    messages.append(said("user", 300, "next"))
    for n in range(60):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        state = gone_on(messages, state)
    assert "q" not in shown(state, messages)
    assert "next" not in shown(state, messages)


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_pinned_stays_with_its_whole_group(which: int) -> None:
    group = [asks(50, "c", "a", "b"), answers(60, "r1", "a"), answers(70, "r2", "b")]
    group[which] = replace(group[which], pinned=True)
    messages, state = [said("user", 300, "q"), *group], MemoryState()
    for n in range(80):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        state = gone_on(messages, state)
        assert {"c", "r1", "r2"} <= set(shown(state, messages))
        sent = [
            messages[one.position] for one in view(state, len(messages)) if one.position is not None
        ]
        assert refused(sent) == ""
    assert shown(state, messages)[:3] == ["c", "r1", "r2"]  # they have been merged over


LIMITED = replace(EAGER, limit_tokens=3_000)


def fits(messages: list[HeldMessage], state: MemoryState, *, head: int = 100) -> bool:
    cut = dict(state.shortened)
    sizes = [
        one.segment.tokens
        if one.segment is not None
        else min(
            messages[one.position or 0].tokens, cut.get(messages[one.position or 0].key, 10**9)
        )
        for one in view(state, len(messages))
    ]
    return head + sum(sizes) <= LIMITED.limit_tokens  # type: ignore[operator]


def test_a_question_that_is_larger_than_the_window_is_cut() -> None:
    for tokens, cut in ((50_000, (("q", 2_900),)), (2_901, (("q", 2_900),)), (2_900, ())):
        decision = decided([said("user", tokens, "q")], policy=LIMITED)
        assert decision.plan is None
        assert decision.state.shortened == cut
        assert decision.state.account.sent_tokens == 3_000


def test_a_result_that_is_larger_than_the_window_is_cut_and_the_question_is_not() -> None:
    messages = [said("user", 400, "q"), asks(40, "c", "a"), answers(50_000, "r", "a")]
    decision = decided(messages, policy=LIMITED)
    assert decision.state.shortened == (("r", 3_000 - 100 - 440),)
    both = [
        *messages[:1],
        asks(40, "c", "a", "b"),
        answers(5_000, "r", "a"),
        answers(9_000, "s", "b"),
    ]
    cut = dict(decided(both, policy=LIMITED).state.shortened)
    assert cut == {"r": 3_000 - 100 - 440 - 64, "s": 64}  # the largest first, to what it must keep


def test_results_are_cut_before_what_a_person_has_said() -> None:
    messages = [said("user", 2_500, "q"), asks(40, "c", "a"), answers(1_500, "r", "a")]
    assert decided(messages, policy=LIMITED).state.shortened == (("r", 3_000 - 100 - 2_540),)


def test_where_a_summary_would_be_longer_than_what_it_is_of_messages_are_cut() -> None:
    messages = [said("user", 10, "u0"), said("user", 2_950, "u1")]
    decision = decided(messages, policy=LIMITED)
    assert (decision.plan, decision.reason) == (None, "little_to_drop")
    assert decision.state.shortened == (("u1", 2_890),)


def test_a_message_in_the_middle_that_is_larger_than_the_window_leaves_it() -> None:
    messages = [said("user", 300, "u0"), said("assistant", 50_000, "huge"), said("user", 300, "u1")]
    state = gone_on(messages, policy=LIMITED)
    assert shown(state, messages) == ["segment", "u1"]
    assert state.shortened == ()
    assert fits(messages, state)


def test_a_pinned_message_is_never_cut() -> None:
    messages = [said("user", 50_000, "p", pinned=True), said("user", 1_000, "q")]
    decision = decided(messages, policy=LIMITED)
    assert decision.state.shortened == (("q", 64),)
    assert not fits(messages, decision.state)


def test_an_old_question_makes_room_for_a_new_one() -> None:
    state, messages = MemoryState(), [said("user", 2_000, "old")]
    for n in range(6):
        messages += [asks(40, f"c{n}", "a"), answers(600, f"r{n}", "a")]
        state = gone_on(messages, state, policy=LIMITED)
        assert fits(messages, state)
    assert shown(state, messages)[0] == "old"
    messages += [said("assistant", 300, "done"), said("user", 2_000, "new")]
    state = gone_on(messages, state, policy=LIMITED)
    assert fits(messages, state)
    assert "old" not in shown(state, messages)
    assert "new" not in dict(state.shortened)


def test_what_is_cut_is_remembered_as_long_as_it_is_sent() -> None:
    state, messages = MemoryState(), [said("user", 300, "q")]
    for n in range(60):
        messages += [asks(40, f"c{n}", "a"), answers(9_000, f"r{n}", "a")]
        state = gone_on(messages, state, policy=LIMITED)
        assert fits(messages, state)
        cut = [key for key, _ in state.shortened]
        assert set(cut) <= set(shown(state, messages))
    assert len(state.shortened) == 1


def test_what_is_cut_stays_cut_while_nothing_is_compacted() -> None:
    messages = [said("user", 400, "q"), asks(40, "c", "a"), answers(50_000, "r", "a")]
    state = decided(messages, policy=LIMITED).state
    messages += [said("assistant", 600, "a"), said("user", 600, "u")]
    wider = replace(LIMITED, limit_tokens=9_000, trigger=WaterMark(high_tokens=10**9))
    decision = decided(messages, state, wider)
    assert decision.reason == "too_early"
    assert decision.state.shortened == state.shortened == (("r", 2_460),)
    assert decision.state.account.sent_tokens == 100 + 440 + 2_460 + 1_200
    after = gone_on(messages, decision.state, policy=replace(EAGER, limit_tokens=9_000))
    assert "r" not in shown(after, messages)
    assert after.shortened == ()


def test_what_is_pinned_takes_its_part_of_the_window() -> None:
    messages = [
        said("user", 300, "u0"), said("assistant", 1_500, "p", pinned=True),
        said("user", 600, "u1"), said("assistant", 600, "a1"), said("user", 600, "u2"),
        said("assistant", 600, "a2"), said("user", 300, "u3"),
    ]  # fmt: skip
    state = gone_on(messages, policy=replace(LIMITED, keep_tokens=2_000))
    assert shown(state, messages) == ["p", "segment", "a2", "u3"]
    assert state.shortened == ()  # older ones leave before the newest are cut
    assert fits(messages, state)


@pytest.mark.parametrize(
    ("question", "limit", "merge"),
    [(600, None, False), (600, 3_000, True), (300, 3_000, False), (600, 9_000, False)],
)
def test_an_old_question_leaves_early_only_where_that_makes_room(
    question: int, limit: int | None, merge: bool
) -> None:
    """A merged segment may have 400 tokens: what is freed has to be more."""
    messages = tool_run(8, question=question)
    state = gone_on(messages)
    assert shown(state, messages)[:2] == ["q", "segment"]
    for n in range(4):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
    plan = decided(messages, state, replace(EAGER, limit_tokens=limit)).plan
    assert plan is not None
    assert plan.merge == merge
    assert (0 in plan.summarize) == merge


def test_an_old_question_leaves_early_where_recalled_text_needs_the_room() -> None:
    messages = tool_run(8, question=600)
    state = gone_on(messages)
    for n in range(4):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
    plan = decided(messages, state).plan
    assert plan is not None
    policy = replace(EAGER, limit_tokens=plan.before_tokens + 50)
    plans = [decided(messages, state, policy, tail=tail).plan for tail in (50, 51)]
    assert [one.merge for one in plans if one is not None] == [False, True]


def test_what_stays_is_as_much_as_the_window_has_room_for() -> None:
    """Whole groups: of the next older one there would be too much."""
    messages = tool_run(8, question=600)
    state = gone_on(messages)
    for n in range(6):
        messages += [said("assistant", 350, f"a{n}"), said("user", 250, f"u{n}")]
    policy = replace(EAGER, limit_tokens=3_000, keep_tokens=9_000)
    for tail in (0, 50, 260, 500, 900):
        for before in (MemoryState(), state):
            decision = decided(messages, before, policy, tail=tail)
            plan = decision.plan
            assert plan is not None
            assert plan.merge == bool(before.segments)
            next_older = messages[plan.end - 1].tokens
            assert plan.after_tokens + tail <= 3_000 < plan.after_tokens + tail + next_older
            assert decision.compacted is not None
            assert decision.compacted.shortened == ()


def test_what_merged_segments_have_kept_stays_or_leaves_with_the_rest() -> None:
    messages = [said("user", tokens, f"m{tokens}") for tokens in (1, 20, 300, 4_000, 50_000)]
    cut = Split(
        end=4, kept=(2,), dropped=(3,), kept_tokens=300, dropped_tokens=4_000, newest_tokens=50_000
    )
    assert merged(messages, cut, stays=(1,), leaves=(0,)) == replace(
        cut, kept=(1, 2), dropped=(0, 3), kept_tokens=320, dropped_tokens=4_001
    )


@pytest.mark.parametrize(("room", "end"), [(300, 2), (299, 3), (99, 4)])
def test_as_much_stays_as_there_is_room_for(room: int, end: int) -> None:
    messages = [said("user", 100, f"u{n}") for n in range(5)]
    groups = group_messages(messages)
    cut = split(messages, groups, start=0, keep_tokens=10_000, room_tokens=room)
    assert (cut.end, cut.newest_tokens) == (end, 500 - 100 * end)


def test_groups_may_begin_before_what_has_left() -> None:
    messages = tool_run(4)
    for start in (1, 3, 5):
        cuts = [
            split(messages, groups, start=start, keep_tokens=300, room_tokens=None)
            for groups in (group_messages(messages), group_messages(messages, start))
        ]
        assert cuts[0] == cuts[1]


def test_recalled_text_counts_for_the_window() -> None:
    messages = [said("user", 1_000, "u0"), said("assistant", 1_000, "a0"), said("user", 500, "u1")]
    policy = replace(LIMITED, trigger=RentEqualsBuy())
    assert decided(messages, policy=policy, tail=400).reason != "limit"
    assert decided(messages, policy=policy, tail=401).reason == "limit"


def test_the_state_stays_small_and_the_pinned_message_where_it_is() -> None:
    messages, state, merges = [said("user", 300, "p", pinned=True)], MemoryState(), 0
    for n in range(1_000):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        decision = decided(messages, state)
        plan = decision.plan
        merges += plan is not None and plan.merge
        state = decision.state
        if plan is not None:
            state = with_segment(decision, f"text {n}", plan.segment_tokens)
        assert next(view(state, len(messages))).position == 0
        assert sum(one.tokens for one in state.segments) <= 800
    assert merges > 50
    assert len(str(state.to_json())) < 4_000
