"""What a plan says of tokens and money at its bounds, added up here call by call."""

from __future__ import annotations

import pytest

from frugal_chains.prompt_cache import CacheBlock, Traffic, prompt_cache_key
from frugal_chains.providers import cache_controls
from tests.core.prompt_cache.bodies import terms
from tests.core.prompt_cache.test_plan import (
    FOUR_O,
    GPT_4O,
    GPT_5_6,
    SOL,
    message,
    plan,
    shown,
    system,
    tools,
)


@pytest.mark.parametrize("gap_s", [30.0, 600.0], ids=["in-time", "too-late"])
def test_a_better_order_saves_others_too(gap_s: float) -> None:
    """Five others have the same instructions: as they are given they read none of them, behind the
    time. Too late they write for an hour, or for five minutes each time."""
    blocks = [system(100, volatile=True), system(3000), message(300)]
    others = Traffic(calls=5, gaps_s=(gap_s,))
    alone = plan(*blocks, ahead=Traffic(calls=1))
    made = plan(*blocks, ahead=Traffic(calls=1), others=others)
    assert alone.saving_nanos == 3000 * 3000 * (1 * 0.9 - 0.25)
    reads = 3000 * 3000 * (6 * 0.9 - (0.25 if gap_s == 30 else 1.0))
    assert made.saving_nanos == reads


def test_a_better_order_saves_others_who_write_unasked() -> None:
    """Of 3,100 tokens each would write all: now 3,000 are read, and the time is fresh."""
    blocks = [system(100, volatile=True), system(3000), message(300)]
    given = {"controls": GPT_5_6, "terms": SOL, "ahead": Traffic(calls=1)}
    alone = plan(*blocks, **given)  # type: ignore[arg-type]
    made = plan(*blocks, others=Traffic(calls=5), **given)  # type: ignore[arg-type]
    assert made.saving_nanos - alone.saving_nanos == 5 * (3100 * 5000 - 3000 * 400 - 100 * 4000)


def test_a_better_order_saves_others_where_nothing_is_marked() -> None:
    """Of 3,100 tokens of tools and rules 3,072 are read, in whole steps of 128."""
    blocks = [tools(1100), system(100, volatile=True), system(2000), message(300)]
    given = {"controls": GPT_4O, "terms": FOUR_O}
    made = plan(*blocks, ahead=Traffic(calls=0), others=Traffic(calls=5), **given)
    # As they were given 1,024 of the tools' were read already.
    assert made.saving_nanos == 5 * (3072 - 1024) * 1250
    assert plan(*blocks, may_reorder=False, others=Traffic(calls=5), **given).saving_nanos == 0


@pytest.mark.parametrize("step", [1, 128])
def test_what_grows_is_read_as_far_as_the_call_before_went(step: int) -> None:
    """Of each read half a step is lost on average."""
    blocks = [system(100, volatile=True), system(2100), message(300, volatile=True)]
    made = plan(
        *blocks,
        controls=GPT_4O,
        terms={"": terms(2500, read=1250, fresh=2500, step=step)},
        ahead=Traffic(calls=10, growth_tokens=100),
    )
    reads = sum(2100 + 100 * call - (step - 1) / 2 for call in range(10))
    assert made.saving_nanos == 1250 * reads
    # The two that change stand behind all that does not.
    assert made.reasons == ("automatic", "static-first")


def test_a_growing_prompt_with_a_tail_that_changes_is_written_unasked_each_time() -> None:
    """GPT-5.6 writes all of every prompt; told not to, what is new of the conversation alone."""
    blocks = [system(), message(), message(800, volatile=True)]
    ahead = Traffic(calls=10, growth_tokens=100)
    made = plan(*blocks, controls=GPT_5_6, terms=SOL, ahead=ahead)
    given = sum((3100 + 100 * call) * 5000 for call in range(11))
    ours = 2300 * 5000 + 800 * 4000
    for call in range(1, 11):
        ours += (2200 + 100 * call) * 400 + 100 * 5000 + 800 * 4000
    assert made.saving_nanos == given - ours


def test_others_that_come_too_late_now_and_then_write_the_head_again() -> None:
    """One of twenty: not enough for an hour, at 2.0 + 4 * 0.1 instead of 1.25 + 0.63."""
    others = Traffic(calls=4, gaps_s=(60.0,) * 19 + (600.0,))
    made = plan(system(3200), message(), ahead=Traffic(), others=others)
    assert shown(made) == [(0, "5m", "system-end")]
    ours = 1.25 + 4 * (0.95 * 0.1 + 0.05 * 1.25)
    assert made.saving_nanos == pytest.approx(3200 * 3000 * (5 - ours), abs=1)


def test_of_several_entries_the_longest_is_read() -> None:
    blocks = [message(1280, kept=True), message(1664, kept=True), message(500)]
    assert plan(*blocks, controls=GPT_4O, terms=FOUR_O).read_tokens == 2944


def test_the_minimum_itself_is_long_enough() -> None:
    """Anthropic: at least 1,024 tokens."""
    made = plan(message(1024))
    assert shown(made) == [(0, "5m", "conversation-end")]
    assert (made.write_tokens, made.reasons) == (1024, ())
    assert plan(message(1023)).reasons == ("below-minimum",)


def test_calls_and_results_that_alternate_are_a_position_each() -> None:
    """A run ends where the other kind begins: the entry is the 21st position from the end."""
    calls: list[CacheBlock] = []
    for _ in range(9):
        calls += [message(100, run="calls"), message(100, run="results")]
    near = plan(message(2000, kept=True), *calls, message())
    assert "look-back" not in [marker.reason for marker in near.markers]
    far = plan(message(2000, kept=True), *calls, message(100, run="calls"), message())
    assert (0, "5m", "look-back") in shown(far)


def test_the_latest_entry_is_the_one_that_is_looked_for() -> None:
    """An older one is out of reach, this one is not."""
    made = plan(*(message(1100, kept=n in (0, 20)) for n in range(35)))
    assert (20, "5m", "earlier-end") in shown(made)


def test_a_time_to_live_of_the_request_is_told_where_there_is_one() -> None:
    """Claude's markers have one each; a request that is left as it was keeps its own."""
    assert plan(system(), message()).ttl == ""
    assert plan(system(), message(), controls=GPT_5_6, terms=SOL).ttl == ""


def test_nothing_is_expected_of_who_is_not_known() -> None:
    made = plan(system(), controls=cache_controls("house", "zeta"), terms={})
    told = (made.read_tokens, made.write_tokens, made.write_long_tokens, made.saving_nanos)
    assert told == (0, 0, 0, 0)


def test_a_key_needs_no_salt() -> None:
    made = plan(system(), controls=GPT_4O, terms=FOUR_O, prefix="00ff")
    assert made.cache_key == prompt_cache_key("", "00ff")


def test_what_is_there_is_read_by_who_marks_it() -> None:
    """For 0.1, where without a marker it is fresh."""
    made = plan(message(3000, kept=True), ahead=Traffic())
    assert (made.read_tokens, made.saving_nanos) == (3000, 3000 * (3000 - 300))


def test_an_entry_behind_the_last_marker_is_not_read() -> None:
    """Four of the caller's are all that are allowed."""
    blocks = [message(2000, marker="5m") for _ in range(4)]
    made = plan(*blocks, message(1000, kept=True), ahead=Traffic())
    assert (made.read_tokens, made.write_tokens) == (0, 8000)


def test_a_marker_of_the_callers_on_what_changes_is_written_in_vain() -> None:
    made = plan(system(3000), message(500, volatile=True, marker="5m"), ahead=Traffic(calls=10))
    given = 11 * 3500 * 3750
    assert made.saving_nanos == given - 3500 * 3750 - 10 * (3000 * 300 + 500 * 3750)


def test_an_entry_behind_what_changes_is_read_once_it_stands_in_front() -> None:
    blocks = [system(1100, volatile=True, kept=True), system(2100, kept=True), message()]
    made = plan(*blocks, controls=GPT_4O, terms=FOUR_O, ahead=Traffic())
    assert (made.read_tokens, made.saving_nanos) == (2048, 2048 * 1250)


def test_providers_that_cache_by_themselves_keep_the_minimum_itself() -> None:
    """OpenAI: prompts of 1,024 tokens or more."""
    made = plan(message(1024, volatile=True), controls=GPT_5_6, terms=SOL, ahead=Traffic(calls=10))
    assert (made.mode, made.saving_nanos) == ("explicit", 11 * 1024 * 1000)
    blocks = [system(100, volatile=True), system(1024), message()]
    made = plan(*blocks, controls=GPT_4O, terms=FOUR_O, ahead=Traffic(calls=10))
    assert made.saving_nanos == 10 * 1024 * 1250
