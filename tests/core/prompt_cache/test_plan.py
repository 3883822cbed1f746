"""Which markers a plan sets, by the documents' rules and by arithmetic done here a second time."""

from __future__ import annotations

import pytest

from frugal_chains.prompt_cache import (
    CacheBlock,
    CacheMarker,
    CachePlan,
    CachePlanError,
    Traffic,
    plan_breakpoints,
    prompt_cache_key,
)
from frugal_chains.providers import cache_controls
from tests.core.prompt_cache.bodies import SONNET, terms
from tests.own_time import own_seconds

CLAUDE = cache_controls("anthropic", "claude-sonnet-4-6")
BEDROCK = cache_controls("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
NOVA = cache_controls("bedrock", "amazon.nova-pro-v1:0")
GPT_5_6 = cache_controls("openai", "gpt-5.6-sol")
GPT_4O = cache_controls("openai", "gpt-4o")
SOL = {"30m": terms(5000, read=400, fresh=4000)}
"""developers.openai.com/api/docs/pricing, read 2026-11-22: gpt-5.6-sol 4.00, 0.40 and 5.00."""
FOUR_O = {"": terms(2500, read=1250, fresh=2500, step=128)}
CHAT = Traffic(calls=20, growth_tokens=700)


def tools(tokens: int = 1200, **more: object) -> CacheBlock:
    return CacheBlock(kind="tools", tokens=tokens, **more)  # type: ignore[arg-type]


def system(tokens: int = 2000, **more: object) -> CacheBlock:
    return CacheBlock(kind="system", tokens=tokens, **more)  # type: ignore[arg-type]


def message(tokens: int = 300, **more: object) -> CacheBlock:
    return CacheBlock(kind="message", tokens=tokens, **more)  # type: ignore[arg-type]


def plan(*blocks: CacheBlock, ahead: Traffic = CHAT, **more: object) -> CachePlan:
    given = {"controls": CLAUDE, "terms": SONNET, **more}
    return plan_breakpoints(blocks, ahead=ahead, **given)  # type: ignore[arg-type]


def shown(plan: CachePlan) -> list[tuple[int, str, str]]:
    return [(marker.index, marker.ttl, marker.reason) for marker in plan.markers]


def test_the_end_of_each_part_is_marked() -> None:
    made = plan(tools(600), tools(600), system(), message(900, segment=True), message(), message())
    assert shown(made) == [
        (1, "5m", "tools-end"),
        (2, "5m", "system-end"),
        (3, "5m", "segment-end"),
        (5, "5m", "conversation-end"),
    ]
    assert made.write_tokens == 4700
    assert made.reasons == ()


@pytest.mark.parametrize(("calls", "pays"), [(0.0, False), (0.27, False), (0.28, True), (5, True)])
def test_a_write_pays_from_its_break_even_on(calls: float, pays: bool) -> None:
    """To write costs 0.25 more, to read saves 0.9: equal at 0.278 further calls."""
    made = plan(system(), message(), ahead=Traffic(calls=calls))
    assert bool(made.markers) == pays
    assert made.saving_nanos == max(0, round(2300 * 3000 * (calls * 0.9 - 0.25)))
    assert ("does-not-pay" in made.reasons) == (not pays)


@pytest.mark.parametrize(
    ("first_tokens", "calls", "pauses", "ttl"),
    [
        # A chat that is compacted again and again, 5,600 tokens long on average.
        (1400, 13, 8, "5m"),
        (1400, 13, 9, "5m"),
        (1400, 13, 10, "1h"),
        (1400, 13, 40, "1h"),
        # A chat of 100 turns that is not: 36,650 tokens on average.
        (2000, 99, 1, "5m"),
        (2000, 99, 2, "1h"),
    ],
)
def test_the_long_time_to_live_pays_by_the_share_of_pauses(
    first_tokens: int, calls: int, pauses: int, ttl: str
) -> None:
    """Of 100 gaps so many are pauses of ten minutes. The short time to live writes all again after
    a pause, for 1.25 - 0.1; the long one writes every token once, for 2 - 1.25 more. With 700
    tokens a turn they are equal at 9.4 % and 1.3 %; for the first, had it begun long ago,
    at 700 * 0.75 / (5,600 * 1.15) = 8.2 %."""
    read = sum(first_tokens + 700 * turn for turn in range(calls))
    equal = 0.75 * (first_tokens + 700 * calls) / (1.15 * read)
    assert (pauses / 100 > equal) == (ttl == "1h")
    gaps = (600.0,) * pauses + (60.0,) * (100 - pauses)
    made = plan(message(first_tokens), ahead=Traffic(calls=calls, gaps_s=gaps, growth_tokens=700))
    assert shown(made) == [(0, ttl, "conversation-end")]
    assert ("long-ttl" in made.reasons) == (ttl == "1h")


def test_a_large_head_may_live_longer_than_the_conversation_behind_it() -> None:
    """One pause in twenty: 50,000 tokens of instructions are worth it, the chat is not."""
    gaps = (60.0,) * 19 + (600.0,)
    made = plan(
        system(50_000),
        message(500),
        ahead=Traffic(calls=20, gaps_s=gaps, growth_tokens=8_000),
    )
    assert [(m.reason, m.ttl) for m in made.markers] == [
        ("system-end", "1h"),
        ("conversation-end", "5m"),
    ]


def test_others_that_share_the_head_pay_for_its_marker() -> None:
    made = plan(
        tools(), system(), message(), ahead=Traffic(calls=0), others=Traffic(calls=3, gaps_s=(30,))
    )
    assert shown(made) == [(0, "5m", "tools-end"), (1, "5m", "system-end")]
    # 3,200 tokens: written once for 0.25 more, read three times for 0.9 less.
    assert made.saving_nanos == 3200 * 3000 * (3 * 0.9 - 0.25)


def test_an_entry_out_of_reach_gets_a_marker_of_its_own() -> None:
    """The page's growing conversation: 15 blocks, then 35; the entry at block 15 is one position
    outside the window of block 35."""
    blocks = [message(200, kept=n == 14) for n in range(35)]
    made = plan(*blocks)
    assert shown(made) == [(14, "5m", "look-back"), (34, "5m", "conversation-end")]
    assert made.read_tokens == 15 * 200
    made = plan(*blocks[:34])
    assert shown(made)[-1] == (33, "5m", "conversation-end")
    assert made.read_tokens == 15 * 200


def test_runs_of_tool_calls_count_once_at_anthropic_and_each_elsewhere() -> None:
    run = [message(100, run="calls") for _ in range(30)]
    blocks = [message(2000, kept=True), *run, message()]
    assert "look-back" not in [m.reason for m in plan(*blocks).markers]
    assert "look-back" in [m.reason for m in plan(*blocks, controls=BEDROCK).markers]


def test_slots_go_first_to_what_is_read_next() -> None:
    blocks = [tools(), system(), message(900, segment=True), message(kept=True)]
    blocks += [message(50) for _ in range(30)]
    made = plan(*blocks)
    reasons = [marker.reason for marker in made.markers]
    assert reasons == ["system-end", "segment-end", "look-back", "conversation-end"]
    assert "slots" in made.reasons


def test_what_is_too_short_gets_no_marker_of_its_own() -> None:
    """Tools and instructions of 900 tokens, of 1,024 that are needed."""
    assert shown(plan(tools(400), system(500), message(600))) == [(2, "5m", "conversation-end")]


def test_a_block_that_ends_two_things_is_named_by_the_first() -> None:
    assert shown(plan(message(2000, segment=True))) == [(0, "5m", "conversation-end")]


def test_an_end_behind_which_something_differs_is_no_end_of_the_conversation() -> None:
    made = plan(system(), message(2000), message(volatile=True), message())
    assert shown(made)[-1] == (1, "5m", "stable-end")


def test_who_does_not_look_back_gets_no_steps() -> None:
    nova = {"controls": NOVA, "terms": {"5m": terms(3000)}}
    made = plan(system(), *(message() for _ in range(40)), **nova)
    assert [m.reason for m in made.markers] == ["system-end", "conversation-end"]


def test_what_cannot_carry_a_marker_gets_none() -> None:
    made = plan(system(), message(), message(600, markable=False))
    assert shown(made)[-1] == (1, "5m", "conversation-end")


def test_only_the_long_time_to_live_is_used_where_it_alone_has_terms() -> None:
    made = plan(tools(), system(), message(), terms={"1h": SONNET["1h"]})
    assert [m.ttl for m in made.markers] == ["1h"] * 3
    behind = plan(system(marker="5m"), message(2000), terms={"1h": SONNET["1h"]})
    assert [m.reason for m in behind.markers] == ["callers"]


def test_an_entry_comes_too_late_when_its_time_is_up() -> None:
    """As the provider's clock has it: 300 seconds later it is gone."""
    assert Traffic(gaps_s=(299.0, 300.0, 301.0)).alive(300) == pytest.approx(1 / 3)


def test_what_is_too_short_is_never_there_to_be_read() -> None:
    made = plan(system(500, kept=True), message(3000))
    assert (made.read_tokens, made.write_tokens) == (0, 3500)


def test_what_stands_behind_a_block_that_differs_is_never_read() -> None:
    """Growth counts as fresh: 2,000 of 2,600 are read, and 700 more are billed on every call."""
    made = plan(
        system(),
        message(100, volatile=True),
        message(500),
        ahead=Traffic(calls=2, growth_tokens=700),
    )
    assert shown(made) == [(0, "5m", "system-end")]
    assert made.reasons == ("volatile-in-front",)
    assert made.saving_nanos == 2000 * 3000 * (2 * 0.9 - 0.25)


# Callers' own markers.


def test_callers_markers_stay_and_count() -> None:
    made = plan(
        tools(marker="5m"),
        system(marker="5m"),
        message(marker="5m"),
        message(),
        message(600, segment=True),
        message(),
    )
    assert [m.index for m in made.markers if m.reason == "callers"] == [0, 1, 2]
    assert shown(made)[-1] == (5, "5m", "conversation-end")
    assert len(made.markers) == 4
    assert made.dropped == ()


def test_more_than_four_of_the_callers_are_brought_down_to_four() -> None:
    """A framework that marks every message: the request would be refused."""
    blocks = [tools(marker="5m"), system(1000, marker="5m"), system(1000, marker="5m")]
    blocks += [message(marker="5m") for _ in range(5)]
    made = plan(*blocks)
    assert [m.index for m in made.markers] == [0, 2, 6, 7]
    assert made.dropped == (1, 3, 4, 5)
    assert "callers-too-many" in made.reasons


def test_a_long_one_of_the_callers_behind_a_short_one_becomes_short() -> None:
    made = plan(system(marker="5m"), message(marker="1h"), ahead=Traffic())
    assert shown(made) == [(0, "5m", "callers"), (1, "5m", "callers")]
    assert "callers-ttl-order" in made.reasons


def test_callers_markers_that_are_in_order_stay_as_they_are() -> None:
    ttls = ["1h", "1h", "5m", "5m"]
    made = plan(*(message(2000, marker=ttl) for ttl in ttls), ahead=Traffic())
    assert [marker.ttl for marker in made.markers] == ttls
    assert made.reasons == ("does-not-pay",)


def test_behind_a_long_one_of_the_callers_ours_may_be_short() -> None:
    """Of an hour no price is known: that is the caller's business."""
    blocks = [tools(), system(marker="1h"), message(3000)]
    made = plan(*blocks, terms={"5m": SONNET["5m"]})
    assert shown(made)[-2:] == [(1, "1h", "callers"), (2, "5m", "conversation-end")]


def test_callers_markers_of_a_request_that_has_one_time_to_live_have_the_first_ones() -> None:
    terra = cache_controls("openai", "gpt-6.1-terra")
    given = {"controls": terra, "terms": {"30m": terms(1250), "12h": terms(2500)}}
    for first, then in (("12h", "30m"), ("30m", "12h")):
        made = plan(system(marker=first), message(marker=then), ahead=Traffic(), **given)
        assert {m.ttl for m in made.markers} == {first}
        assert made.dropped == ()


def test_more_than_four_of_the_callers_are_looked_at_by_openai() -> None:
    """Up to 52 are, of which four are written."""
    made = plan(*(message(marker="30m") for _ in range(9)), controls=GPT_5_6, terms=SOL)
    assert [m.index for m in made.markers if m.reason == "callers"] == [*range(9)]
    many = plan(*(message(marker="30m") for _ in range(60)), controls=GPT_5_6, terms=SOL)
    assert [m.index for m in many.markers] == [*range(8, 60)]
    assert many.dropped == (*range(8),)


def test_ours_keep_to_the_order_that_callers_have_set() -> None:
    """Before a long one of theirs ours is long; behind a short one it is short."""
    gaps = (600.0,) * 50 + (60.0,) * 50
    long = plan(tools(), system(), message(marker="1h"), ahead=CHAT)
    assert {m.ttl for m in long.markers} == {"1h"}
    short = plan(
        system(marker="5m"),
        message(5000),
        ahead=Traffic(calls=9, gaps_s=gaps, growth_tokens=100),
    )
    assert {m.ttl for m in short.markers} == {"5m"}


# Order.


def test_static_instructions_stand_before_those_that_change() -> None:
    blocks = [tools(), system(100, volatile=True), system(3000), message()]
    made = plan(*blocks)
    assert made.order == (2, 1)
    assert shown(made)[-1] == (2, "5m", "system-end")
    assert {"static-first", "volatile-in-front"} <= set(made.reasons)
    left = plan(*blocks, may_reorder=False)
    assert (left.order, shown(left)) == ((), [(0, "5m", "tools-end")])
    assert left.saving_nanos < made.saving_nanos


def test_an_order_that_saves_a_marker_of_the_callers_counts() -> None:
    """Their marker behind the time is written on every call; behind the rules it is read."""
    blocks = [system(100, volatile=True), system(3000, marker="5m"), message(300)]
    made = plan(*blocks, ahead=Traffic(calls=10))
    given = 11 * (3100 * 3750 + 300 * 3000)
    ours = 3000 * 3750 + 10 * 3000 * 300 + 11 * 400 * 3000
    assert made.order == (1, 0)
    assert shown(made) == [(1, "5m", "callers")]
    assert made.saving_nanos == given - ours


def test_the_order_does_not_depend_on_what_is_expected() -> None:
    """Else the prefix would change in mid-conversation."""
    blocks = [system(100, volatile=True), system(3000), message()]
    orders = {plan(*blocks, ahead=Traffic(calls=n)).order for n in (0, 0.1, 3, 100)}
    assert orders == {(1, 0)}


def test_a_tail_that_changes_does_not_stand_in_front_of_anything() -> None:
    made = plan(system(), message(), message(500, volatile=True))
    assert shown(made) == [(0, "5m", "system-end"), (1, "5m", "conversation-end")]
    assert made.reasons == ()


# Other providers.


def test_bedrock_is_marked_as_claude_is() -> None:
    assert [m.reason for m in plan(tools(), system(), message(), controls=BEDROCK).markers] == [
        "tools-end",
        "system-end",
        "conversation-end",
    ]


def test_nova_takes_no_cache_point_among_tools() -> None:
    made = plan(tools(), system(), message(), controls=NOVA, terms={"5m": terms(800, read=200)})
    assert [m.reason for m in made.markers] == ["system-end", "conversation-end"]


def test_gpt_5_6_marks_by_itself_what_only_grows() -> None:
    """Its own marker at the end is as good as ours."""
    made = plan(tools(), system(), message(), controls=GPT_5_6, terms=SOL)
    assert (made.mode, made.markers, made.saving_nanos) == ("implicit", (), 0)
    assert made.reasons == ("unasked",)
    assert made.write_tokens == 3500


def test_gpt_5_6_marks_the_only_block_there_is() -> None:
    made = plan(message(2000, kept=True), controls=GPT_5_6, terms=SOL)
    assert (made.mode, made.markers, made.read_tokens) == ("implicit", (), 2000)


def test_gpt_may_keep_for_12_hours_what_it_marks_by_itself() -> None:
    """A question every two hours: read at $0.05 a million, or written each time at $1.25."""
    terra = cache_controls("openai", "gpt-6.1-terra")
    prices = {
        "30m": terms(1250, fresh=1000, read=50),
        "12h": terms(2500, fresh=1000, read=50),
    }
    ahead = Traffic(calls=20, gaps_s=(7200.0,), growth_tokens=100)
    made = plan(message(3000), controls=terra, terms=prices, ahead=ahead)
    assert (made.mode, made.markers, made.ttl) == ("implicit", (), "12h")
    assert "long-ttl" in made.reasons
    assert made.write_long_tokens == made.write_tokens == 3000


def test_gpt_5_6_is_told_to_write_nothing_where_no_call_follows() -> None:
    """`mode: explicit` without a breakpoint: no prompt caching, and no write for 1.25."""
    made = plan(system(), message(), controls=GPT_5_6, terms=SOL, ahead=Traffic(calls=0))
    assert (made.mode, made.markers, made.write_tokens) == ("explicit", (), 0)
    assert made.saving_nanos == 2300 * 1000
    assert made.reasons == ("nothing-written",)


def test_gpt_5_6_writes_no_tail_that_changes() -> None:
    tail = message(800, volatile=True)
    made = plan(system(), message(), tail, controls=GPT_5_6, terms=SOL)
    assert made.mode == "explicit"
    assert shown(made) == [(0, "30m", "system-end"), (1, "30m", "conversation-end")]
    assert made.write_tokens == 2300
    # Left to itself the provider writes all 3,100 on each of eleven calls, and reads nothing.
    made = plan(system(), message(), tail, controls=GPT_5_6, terms=SOL, ahead=Traffic(calls=10))
    ours = 2300 * 5000 + 10 * 2300 * 400 + 11 * 800 * 4000
    assert made.saving_nanos == 11 * 3100 * 5000 - ours
    too_short = [message(400), message(300, volatile=True)]
    made = plan(*too_short, controls=GPT_5_6, terms=SOL, ahead=Traffic(calls=0))
    assert (made.write_tokens, made.saving_nanos, made.mode) == (0, 0, "implicit")


def test_gpt_5_6_reads_only_what_ends_at_a_breakpoint() -> None:
    """So the end of the request before is marked again."""
    blocks = [system(), message(kept=True), message(), message(), message(800, volatile=True)]
    made = plan(*blocks, controls=GPT_5_6, terms=SOL)
    assert [(m.index, m.reason) for m in made.markers] == [
        (0, "system-end"),
        (1, "look-back"),
        (3, "conversation-end"),
    ]
    assert made.read_tokens == 2300


def test_gpt_5_6_others_that_share_the_head_find_it_at_a_breakpoint() -> None:
    made = plan(
        system(),
        message(),
        controls=GPT_5_6,
        terms=SOL,
        others=Traffic(calls=10, gaps_s=(60.0,)),
    )
    assert shown(made) == [(0, "30m", "system-end")]
    assert made.mode == "implicit"
    # Ten times 2,000 tokens: read for 0.1 instead of written for 1.25.
    assert made.saving_nanos == 10 * 2000 * (5000 - 400)


def test_the_documents_example_of_gpt_5_6() -> None:
    """developers.openai.com/api/docs/guides/prompt-caching, read 2026-11-22: 12,000 tokens are
    written; then 12,000 of 15,000 are read, and 3,000 written."""
    first = [tools(2000), system(8000), message(2000)]
    made = plan(*first, controls=GPT_5_6, terms=SOL)
    assert (made.read_tokens, made.write_tokens) == (0, 12_000)
    then = [*first[:2], message(2000, kept=True), message(3000)]
    made = plan(*then, controls=GPT_5_6, terms=SOL)
    assert (made.read_tokens, made.write_tokens) == (12_000, 3_000)
    # Found without a breakpoint of ours: an earlier message ends there.
    assert (made.mode, made.markers) == ("implicit", ())


def test_gpt_keeps_all_of_a_request_for_as_long() -> None:
    """gpt-6.1-terra: 12 hours for 2.50. Pauses of two hours are worth it, and its own marker at the
    end has the time to live of the request."""
    terra = {"30m": terms(1250, read=50, fresh=1000), "12h": terms(2500, read=50, fresh=1000)}
    made = plan(
        system(20_000),
        message(),
        controls=cache_controls("openai", "gpt-6.1-terra"),
        terms=terra,
        ahead=Traffic(calls=20, gaps_s=(60.0, 7200.0), growth_tokens=500),
    )
    assert (made.mode, made.ttl) == ("implicit", "12h")
    assert shown(made) == [(0, "12h", "system-end")]
    assert "long-ttl" in made.reasons
    made = plan(
        system(20_000),
        message(500, volatile=True),
        controls=cache_controls("openai", "gpt-6.1-terra"),
        terms=terra,
        ahead=Traffic(calls=20, gaps_s=(60.0, 7200.0), growth_tokens=500),
    )
    assert (made.mode, made.ttl) == ("explicit", "12h")
    assert shown(made) == [(0, "12h", "system-end")]


def test_providers_that_cache_by_themselves_get_no_marker() -> None:
    made = plan(tools(), system(), message(), controls=GPT_4O, terms=FOUR_O)
    assert (made.markers, made.mode, made.reasons) == ((), "", ("automatic",))


def test_the_documents_example_of_gpt_4o() -> None:
    """openai.com/index/api-prompt-caching: of 2,006 tokens 1,920 are read."""
    made = plan(message(2006, kept=True), controls=GPT_4O, terms=FOUR_O)
    assert made.read_tokens == 1920


def test_order_alone_saves_at_providers_that_cache_by_themselves() -> None:
    """2,100 tokens that stay the same stand behind 100 that do not: 2,048 are read on each of ten
    calls once they are in front, for half."""
    blocks = [system(100, volatile=True), system(2100), message()]
    made = plan(*blocks, controls=GPT_4O, terms=FOUR_O, ahead=Traffic(calls=10))
    assert made.order == (1, 0)
    assert made.saving_nanos == 10 * 2048 * 1250


def test_who_is_not_known_is_asked_for_nothing() -> None:
    made = plan(tools(), system(), controls=cache_controls("house", "zeta"), terms={})
    assert made == CachePlan(reasons=("no-control",))


# The key.


def test_the_key_is_stable_short_and_kept_apart_by_salt() -> None:
    """OpenAI takes up to 64 characters."""
    keys = {(salt, prefix): prompt_cache_key(salt, prefix) for salt in "ab" for prefix in "xy"}
    assert len(set(keys.values())) == 4
    assert all(len(key) <= 64 for key in keys.values())
    # As another process has made it.
    assert keys["a", "x"] == "fc1-3a3d1a58909cbbb9a479a318546d"


def test_a_key_is_made_of_any_text() -> None:
    """Half of an emoji, as some clients cut them."""
    assert prompt_cache_key("\ud83d", "\ud83d") != prompt_cache_key("", "\ud83d")


def test_a_key_goes_to_who_takes_one() -> None:
    made = plan(system(), controls=GPT_4O, terms=FOUR_O, salt="acme", prefix="00ff")
    assert made.cache_key == prompt_cache_key("acme", "00ff")
    assert plan(system(), salt="acme", prefix="00ff").cache_key == ""
    assert plan(system(), controls=GPT_4O, terms=FOUR_O, salt="acme").cache_key == ""


# Bad input.


@pytest.mark.parametrize(
    "blocks",
    [
        [message(), system()],
        [system(), tools()],
    ],
    ids=["system-last", "tools-last"],
)
def test_blocks_out_of_order_are_refused(blocks: list[CacheBlock]) -> None:
    with pytest.raises(CachePlanError, match="as the provider reads them"):
        plan(*blocks, may_reorder=False)


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(CachePlanError, match="-1 tokens"):
        message(-1)
    for wrong in ({"calls": -1}, {"calls": float("nan")}, {"gaps_s": ()}, {"gaps_s": (-1.0,)}):
        with pytest.raises(CachePlanError):
            Traffic(**wrong)  # type: ignore[arg-type]
    with pytest.raises(CachePlanError, match="5m"):
        plan(system(), terms={"30m": terms(5000)})


def test_nothing_is_planned_for_nothing() -> None:
    assert plan().markers == ()
    assert plan(controls=GPT_5_6, terms=SOL).markers == ()
    assert plan(controls=GPT_4O, terms=FOUR_O).markers == ()


def test_a_thousand_blocks_take_a_few_milliseconds() -> None:
    blocks = [tools(60) for _ in range(20)] + [message(100, kept=n == 900) for n in range(1000)]
    assert own_seconds(lambda: plan(*blocks)) < 0.05


def test_a_marker_says_what_it_is() -> None:
    made = plan(system(), message())
    assert made.markers[0] == CacheMarker(index=0, ttl="5m", reason="system-end")
