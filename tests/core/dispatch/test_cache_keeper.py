"""`CacheKeeper` and `MissWatch`: what is known from earlier requests, and what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains import Ledger
from frugal_chains.dispatch import CacheKeeper, PromptBlock
from frugal_chains.dispatch.prompt_cache import CacheMiss, MissWatch
from frugal_chains.prompt_cache import CachePlan
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker
from frugal_chains.usage import Usage
from tests.own_time import own_seconds
from tests.servers import ManualClock

SONNET = {"model": "claude-sonnet-4-5", "provider": "anthropic"}
GPT = {"model": "gpt-5.6-sol", "provider": "openai"}
START_S = 1_760_000_000.0


def words(tokens: int, name: str = "") -> str:
    return f"{name} " + "word " * tokens


def system(name: str = "s", tokens: int = 1500, **more: Any) -> PromptBlock:
    return PromptBlock(kind="system", text=words(tokens, name), **more)


def message(name: str, tokens: int = 200, **more: Any) -> PromptBlock:
    return PromptBlock(kind="message", text=words(tokens, name), name=name, **more)


def tool(name: str, tokens: int = 100) -> PromptBlock:
    return PromptBlock(kind="tools", text=words(tokens, name), name=name)


def keeper(clock: ManualClock | None = None, **more: Any) -> CacheKeeper:
    return CacheKeeper(clock=clock or ManualClock(START_S), **more)


def talk(turns: int, head: Sequence[PromptBlock] = ()) -> list[PromptBlock]:
    first = head or [tool("a"), system()]
    return [*first, *(message(f"m{number}") for number in range(2 * turns - 1))]


def indices(plan: CachePlan) -> list[int]:
    return [marker.index for marker in plan.markers]


# -- what earlier requests have left ---------------------------------------------------------------


def test_what_was_marked_is_expected_until_it_expires() -> None:
    clock = ManualClock(START_S)
    made = keeper(clock)
    first = made.plan(talk(1), conversation="one", **SONNET)
    assert first.read_tokens == 0
    clock.advance(299)
    second = made.plan(talk(2), conversation="one", **SONNET)
    assert second.read_tokens == first.write_tokens > 1500
    clock.advance(301)
    assert made.plan(talk(3), conversation="one", **SONNET).read_tokens == 0


@pytest.mark.parametrize("jump_s", [3600.0, 86_400.0 * 365])
def test_what_was_marked_in_the_future_is_not_there(jump_s: float) -> None:
    """A clock that was an hour or a year ahead for one call."""
    clock = ManualClock(START_S + jump_s)
    made = keeper(clock)
    made.plan(talk(2), conversation="one", **SONNET)
    clock.advance(-jump_s)
    assert made.plan(talk(3), conversation="one", **SONNET).read_tokens == 0
    clock.advance(9)
    assert made.plan(talk(4), conversation="one", **SONNET).read_tokens > 0
    clock.advance(-2)
    assert made.plan(talk(5), conversation="one", **SONNET).read_tokens > 0


def test_an_hour_begins_anew_with_every_use() -> None:
    """ "Refreshed for no additional cost each time the cached content is used": at the end of each
    fourth part of an hour what was written for an hour is read by a request of five minutes."""
    clock = ManualClock(START_S)
    made, head = keeper(clock), [tool("a", 1000), system("s", 1000)]
    asked = [*head[:-1], replace(head[-1], marker="1h"), message("m")]
    made.plan(asked, conversation="one", **SONNET)
    for number in range(6):
        clock.advance(900)
        plan = made.plan([*head, message(f"n{number}")], conversation=f"{number}", **SONNET)
        assert plan.read_tokens > 0


def test_another_conversation_reads_the_head_that_they_share() -> None:
    made = keeper()
    made.plan(talk(1), conversation="one", **SONNET)
    other = [tool("a"), system(), message("something else")]
    plan = made.plan(other, conversation="two", **SONNET)
    assert plan.read_tokens == sum_of(made, other[:2])
    assert made.plan(other, conversation="two", model="claude-sonnet-4-6").read_tokens == 0


def sum_of(made: CacheKeeper, blocks: Sequence[PromptBlock], who: dict[str, str] = SONNET) -> int:
    return made._reader.read(blocks, kept=set(), **who).tokens


def test_the_end_that_openai_marks_by_itself_is_known_too() -> None:
    made = keeper()
    first = made.plan(talk(1), conversation="one", **GPT)
    assert first.mode == "implicit"
    second = made.plan(talk(2), conversation="one", **GPT)
    assert second.read_tokens == sum_of(made, talk(1), GPT)


def test_another_tool_choice_reads_no_message_but_all_in_front_of_them() -> None:
    made = keeper()
    made.plan(talk(2), conversation="one", settings={"tool_choice": "auto"}, **SONNET)
    same = keeper()
    same.plan(talk(2), conversation="one", settings={"tool_choice": "auto"}, **SONNET)
    plan = made.plan(talk(3), conversation="one", settings={"tool_choice": "any"}, **SONNET)
    other = same.plan(talk(3), conversation="one", settings={"tool_choice": "auto"}, **SONNET)
    assert plan.read_tokens == sum_of(made, talk(3)[:2])
    assert other.read_tokens == sum_of(made, talk(2))


def test_images_count_by_their_bytes_and_not_as_text() -> None:
    made = keeper()
    image = message("picture", 1, hidden="a" * 100_000, media_tokens=1_000)
    plan = made.plan([*talk(1), image], conversation="one", **SONNET)
    assert plan.write_tokens < 4_000
    other = replace(image, hidden="b" * 100_000)
    assert made.plan([*talk(1), other], conversation="two", **SONNET).read_tokens < (
        plan.write_tokens - 1_000
    )


# -- what changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["one", ""])
def test_a_block_of_the_system_prompt_that_changes_goes_behind_and_is_not_written(
    named: str,
) -> None:
    made = keeper()
    plans = [
        made.plan(
            [system(f"at {number}", 20), system(), message("q0"), *talk(number + 1)[3:]],
            conversation=named,
            **SONNET,
        )
        for number in range(4)
    ]
    assert plans[0].order == ()
    for plan in plans[1:]:
        assert plan.order == (1, 0)
        assert indices(plan) == [1]
    assert [plan.read_tokens > 1400 for plan in plans] == [False, False, True, True]


@pytest.mark.parametrize("named", ["one", ""])
def test_one_change_is_forgotten_when_nothing_else_changes(named: str) -> None:
    made = keeper()
    heads = [[tool("a"), system()]] * 3 + [[tool("a"), system("new")]] * 3
    plans = [
        made.plan(talk(number + 1, head), conversation=named, **SONNET)
        for number, head in enumerate(heads)
    ]
    assert [max(indices(plan)) for plan in plans] == [2, 4, 6, 8, 10, 12]
    assert plans[4].read_tokens == plans[3].read_tokens + plans[3].write_tokens


def test_a_window_that_slides_is_written_no_further_than_its_head() -> None:
    made = keeper()
    head = [tool("a"), system()]
    plans = [
        made.plan(
            [*head, *(message(f"m{n}") for n in range(number, number + 5))],
            conversation="one",
            **SONNET,
        )
        for number in range(0, 12, 2)
    ]
    assert indices(plans[0])[-1] == 6
    assert [indices(plan)[-1] for plan in plans[1:]] == [1] * 5
    assert [plan.write_tokens for plan in plans[2:]] == [0] * 4


def test_conversations_without_a_name_that_begin_alike_are_no_change() -> None:
    made = keeper()
    for name in ("x", "y", "z", "x", "y"):
        blocks = [tool("a"), system(), message("hello"), message(name), message(name + "?")]
        plan = made.plan(blocks, **SONNET)
        assert indices(plan)[-1] == 4


def test_messages_that_are_volatile_may_go_and_come() -> None:
    made = keeper()
    for number in range(1, 5):
        blocks = [*talk(number), message(f"recalled {number}", volatile=True)]
        plan = made.plan(blocks, conversation="one", **SONNET)
        assert indices(plan)[-1] == len(blocks) - 2


# -- requests that nobody goes on from -------------------------------------------------------------


@pytest.mark.parametrize("who", [SONNET, GPT], ids=["anthropic", "openai"])
def test_a_request_for_a_summary_is_marked_where_the_last_one_was(who: dict[str, str]) -> None:
    made = keeper()
    last = made.plan(talk(3), conversation="one", **who)
    asks = [*talk(3), message("Summarize all this.", 40)]
    plan = made.plan(asks, conversation="one", reads_only=True, **who)
    assert indices(plan) == [len(talk(3)) - 1]
    assert plan.read_tokens == sum_of(made, talk(3), who)
    assert plan.write_tokens == 0
    assert plan.mode == ("explicit" if who is GPT else "")
    assert plan.cache_key == last.cache_key


def test_a_request_for_a_summary_has_the_order_of_the_conversation() -> None:
    made = keeper()
    for number in range(3):
        head = [system(f"at {number}", 20), system()]
        made.plan(talk(number + 1, head), conversation="one", **SONNET)
    asks = [*talk(3, [system("at 3", 20), system()]), message("Summarize all this.", 40)]
    plan = made.plan(asks, conversation="one", reads_only=True, **SONNET)
    assert (plan.order, indices(plan)) == ((1, 0), [1])
    assert plan.read_tokens > 1400


def test_a_request_for_a_summary_with_nothing_to_read_is_not_marked() -> None:
    made = keeper()
    plan = made.plan([message("Summarize: ...", 3000)], reads_only=True, **SONNET)
    assert plan.markers == ()
    own = replace(message("mine", 3000), marker="5m")
    kept = made.plan([own, message("Summarize it.")], reads_only=True, **SONNET)
    assert [(m.index, m.reason) for m in kept.markers] == [(0, "callers")]


def test_a_request_for_a_summary_is_no_call_of_the_conversation() -> None:
    one, other = keeper(), keeper()
    for number in (1, 2, 3):
        one.plan(talk(number), conversation="one", **SONNET)
        other.plan(talk(number), conversation="one", **SONNET)
        asks = [*talk(number), message("Summarize all this.", 4000)]
        other.plan(asks, conversation="one", reads_only=True, **SONNET)
    assert one.plan(talk(4), conversation="one", **SONNET) == other.plan(
        talk(4), conversation="one", **SONNET
    )


# -- options and faults ----------------------------------------------------------------------------


def test_a_time_to_live_can_be_asked_for_and_a_provider_without_it_is_not_concerned() -> None:
    plan = keeper(ttl="1h").plan(talk(1), conversation="one", **SONNET)
    assert {marker.ttl for marker in plan.markers} == {"1h"}
    plan = keeper(ttl="1h").plan(talk(1), conversation="one", **GPT)
    assert plan.mode == "implicit"
    plan = keeper(ttl="1h").plan(talk(1), model="claude-nobody-knows-9", provider="anthropic")
    assert {marker.ttl for marker in plan.markers} == {"1h"}


class Failing(TokenCounter):
    def count_text(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no ranks")


def test_whatever_fails_nothing_is_marked_and_nothing_raised() -> None:
    plan = keeper(counter=Failing()).plan(talk(1), **SONNET)
    assert plan == CachePlan(reasons=("failed",))
    assert keeper().plan([], **SONNET).markers == ()


def test_the_first_effect_is_the_surcharge_and_the_next_the_saving() -> None:
    """$3.75 a million to write and $0.30 to read, against $3 (anthropic.com/pricing)."""
    with Ledger.open("memory://") as books:
        tracker, made = Tracker(books), keeper()
        for number in (1, 2):
            plan = made.plan(talk(number), conversation="one", trackers=[tracker], **SONNET)
        first, second = books.effects()
    assert first.net_nanos == -second.detail["read_tokens"] * 750
    assert second.net_nanos == plan.read_tokens * 2700 - plan.write_tokens * 750
    assert plan.read_tokens > 0


def test_what_is_written_for_an_hour_costs_twice_the_input() -> None:
    """The head for an hour at $6 a million, what stands behind it for five minutes at $3.75."""
    head = [tool("a", 1000), replace(system("s", 1000), marker="1h")]
    with Ledger.open("memory://") as books:
        plan = keeper().plan(talk(2, head), conversation="one", trackers=[Tracker(books)], **SONNET)
        (effect,) = books.effects()
    assert 0 < plan.write_long_tokens < plan.write_tokens
    short = plan.write_tokens - plan.write_long_tokens
    assert effect.net_nanos == -plan.write_long_tokens * 3000 - short * 750


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["tools", "system", "message"]),
            st.integers(0, 2000),
            st.booleans(),
            st.sampled_from(["", "5m", "1h"]),
            st.booleans(),
        ),
        max_size=25,
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_never_more_than_four_markers_and_never_one_of_ours_on_what_changes(
    drawn: list[tuple[Any, int, bool, str, bool]], reads_only: bool
) -> None:
    ranked = sorted(drawn, key=lambda each: ("tools", "system", "message").index(each[0]))
    blocks = [
        PromptBlock(kind=kind, text=words(tokens), volatile=volatile, marker=own, markable=can)
        for kind, tokens, volatile, own, can in ranked
    ]
    made = keeper()
    for _ in range(2):
        plan = made.plan(blocks, conversation="one", reads_only=reads_only, **SONNET)
        assert "failed" not in plan.reasons
        assert len(plan.markers) <= 4
        assert not {m.index for m in plan.markers} & {*plan.dropped}
        for marker in plan.markers:
            block = blocks[marker.index]
            if marker.reason != "callers":
                assert block.markable
                assert not block.volatile
            else:
                assert block.marker


def test_threads_do_not_harm_one_another() -> None:
    made, plans = keeper(), []

    def work(name: str) -> None:
        for number in range(1, 15):
            plans.append(made.plan(talk(number), conversation=name, **SONNET))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(plans) == 56
    assert not [plan for plan in plans if "failed" in plan.reasons]


def test_a_thousand_messages_are_planned_in_milliseconds() -> None:
    made, blocks = keeper(), talk(500)
    made.plan(blocks, conversation="one", **SONNET)
    assert own_seconds(lambda: made.plan(blocks, conversation="one", **SONNET)) < 0.1


WORDS = "sk-secret: my prompt"


class Broken:
    """Fails with a key and a prompt in its words."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(WORDS)

    def __call__(self, *given: Any) -> Any:
        raise RuntimeError(WORDS)


def test_of_what_fails_the_log_has_no_words(caplog: pytest.LogCaptureFixture) -> None:
    """An exception's words may hold a prompt or a key."""
    broken: Any = Broken()
    keeper(counter=broken).plan(talk(2), **SONNET)
    MissWatch(counter=broken).answered(
        talk(2), CachePlan(), usage=used(0, 1800), at_s=START_S, **SONNET
    )
    watch = MissWatch(broken)
    for name in ("a", "b"):
        blocks = [tool(name), system(), message("m")]
        watch.answered(blocks, CachePlan(), usage=used(0, 1800), at_s=START_S, **SONNET)
    assert "secret" not in caplog.text
    kinds = [record.exc_info and record.exc_info[0] for record in caplog.records]
    assert [kind and kind.__name__ for kind in kinds] == ["RuntimeError"] * 3


# -- what was missed -------------------------------------------------------------------------------


def used(read: int, written: int) -> Usage:
    return Usage(input_tokens=read + written, cache_read_tokens=read, cache_write_5m_tokens=written)


def test_a_change_that_stays_is_dated_and_added_up() -> None:
    """A system prompt with the time in it: every call but the first misses what was written."""
    told: list[CacheMiss] = []
    watch = MissWatch(told.append, clock=ManualClock(START_S))
    for number in range(4):
        blocks = [tool("a"), system(f"at {number}"), message("m")]
        watch.answered(
            blocks, CachePlan(), usage=used(0, 1800), at_s=START_S + 10 * number,
            conversation="one", **SONNET,
        )  # fmt: skip
    assert [miss.block for miss in told] == ["system prompt"] * 3
    last = told[-1].diagnosis
    assert (last.requests, last.since_s, last.missed_tokens) == (3, START_S + 10, 1800)
    # Three times 1,800 tokens at $3.75 instead of $0.30 a million.
    assert last.total_nanos == 3 * 1800 * 3450
    assert "at 1" not in repr(told)
    assert "system-changed (system prompt), 3 times in a row, $0.018630" in str(told[-1])


def test_blocks_that_were_put_in_another_order_are_compared_as_they_were_sent() -> None:
    """The time stands first and is sent behind: what stands in front of it is the same."""
    told: list[CacheMiss] = []
    watch = MissWatch(told.append, clock=ManualClock(START_S))
    for name in ("a", "b"):
        blocks = [system(f"at {name}", 20), system("s", 1000), message("m", 500)]
        watch.answered(
            blocks, CachePlan(order=(1, 0)), usage=used(0, 1800), at_s=START_S,
            conversation="one", **SONNET,
        )  # fmt: skip
    (miss,) = told
    assert miss.block == "system prompt, block 2"
    assert miss.diagnosis.difference is not None
    assert miss.diagnosis.difference.same_tokens > 900


def test_a_model_without_a_price_costs_nothing_that_could_be_told() -> None:
    told: list[CacheMiss] = []
    watch = MissWatch(told.append, clock=ManualClock(START_S))
    for name in ("a", "b"):
        watch.answered(
            [tool(name), system()], CachePlan(), usage=used(0, 1800), at_s=START_S,
            conversation="one", model="claude-nobody-knows-9", provider="anthropic",
        )  # fmt: skip
    (miss,) = told
    assert (miss.block, miss.diagnosis.cost_nanos) == ("tool b", 0)


def test_conversations_without_a_name_that_begin_alike_miss_nothing_of_one_another() -> None:
    """Two people greet; what the other one said next was not changed by anybody."""
    for named, count in (("", 0), ("one", 2)):
        told: list[CacheMiss] = []
        watch = MissWatch(told.append, clock=ManualClock(START_S))
        for text in ("x", "y", "z"):
            blocks = [tool("a"), system(), message("hello"), message(text)]
            watch.answered(
                blocks, CachePlan(), usage=used(0, 1800), at_s=START_S, conversation=named,
                **SONNET,
            )  # fmt: skip
        assert len(told) == count
