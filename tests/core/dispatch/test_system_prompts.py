"""`SystemPrompts`: what is sent of a system prompt, what that saves, and when it is left alone."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains import Ledger
from frugal_chains.compression import Ahead
from frugal_chains.compression.prompt import CONCISENESS, PromptError
from frugal_chains.dispatch import (
    Asked,
    Brevity,
    PrefixFacts,
    PromptPolicy,
    ShortPrompt,
    SystemPrompts,
)
from frugal_chains.tokens import TokenCount, TokenCounter
from frugal_chains.tracking import Tracker, use_tracker
from tests.own_time import own_seconds
from tests.system_prompt import (
    BAGGAGE,
    BOOK,
    BOOKING,
    FILL,
    FRESH,
    LONG,
    LONG_WITHOUT_REFUNDS,
    MODEL,
    OPTIONAL,
    OUTPUT,
    PROMPT,
    READ,
    REFUNDS,
    ROLE,
    TERSE,
    WEIGH,
    WORDY,
    YES,
    policy,
    tokens,
    used,
)


def one(
    prompt: str, *questions: str, how: PromptPolicy | None = None, model: str = MODEL, **asked: Any
) -> ShortPrompt:
    prompts = SystemPrompts(how or policy(), model=model)
    (found,) = prompts.preview([prompt], Asked(questions=questions, **asked))
    return found


# -- what is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ([BOOK], ROLE + BOOKING),
        ([BOOK, YES], ROLE + BOOKING),
        ([BOOK, WEIGH], ROLE + BOOKING + BAGGAGE),
        ([WEIGH, BOOK], ROLE + BAGGAGE + BOOKING),
        ([WEIGH, BOOK, YES], ROLE + BAGGAGE + BOOKING),
        (["Hello"], PROMPT),
        (["Hello", BOOK], PROMPT),
        ([], PROMPT),
    ],
    ids=["one", "follow-up", "joins", "joins behind", "stays", "no signal", "stays whole", "none"],
)
def test_sections_are_chosen_once_and_others_join_behind(
    questions: list[str], expected: str
) -> None:
    found = one(PROMPT, *questions)
    assert found.text == expected
    assert (found.tokens_before, found.tokens_after) == (tokens(PROMPT), tokens(expected))


def test_instructions_say_the_same_in_fewer_words() -> None:
    found = one(ROLE + "# Dates\n\n" + WORDY, "Hello")
    assert found.text == ROLE + "# Dates\n\n" + TERSE
    assert found.reason == "shorter"
    assert found.diff("words").count("[-") == 2
    assert one(WORDY, "Hello", how=policy(rewrite=False)).text == WORDY


def test_each_part_has_a_switch() -> None:
    wordy = PROMPT + "\n# Dates\n\n" + WORDY
    both = one(wordy, BOOK)
    assert (both.text, both.diff() != "") == (ROLE + BOOKING, True)
    assert one(wordy, BOOK, how=policy(leave_out=False)).text == wordy.replace(WORDY, TERSE)
    off = one(wordy, BOOK, how=policy(leave_out=False, rewrite=False))
    assert (off.text, off.reason, off.diff()) == (wordy, "off", "")


def test_a_section_that_binds_stays_unless_it_is_optional() -> None:
    found = one(PROMPT, BOOK, how=PromptPolicy(prefix=None))
    assert found.text == ROLE + BOOKING + BAGGAGE + REFUNDS  # "must" stands in both
    some = PromptPolicy(optional=["Baggage", "Refunds"], always=["Booking"], prefix=None)
    assert one(PROMPT, WEIGH, how=some).text == ROLE + BOOKING + BAGGAGE
    asked = PromptPolicy(optional=OPTIONAL, when={"Refunds": ["money back"]}, prefix=None)
    assert one(PROMPT, f"{BOOK} Or my money back!", how=asked).text == ROLE + BOOKING + REFUNDS


def test_a_budget_is_a_cap() -> None:
    budget = tokens(ROLE + BOOKING) + 1
    cut = PromptPolicy(optional=OPTIONAL, budget_tokens=budget)  # the cache is considered, and lost
    found = one(PROMPT, f"{BOOK} {WEIGH}", how=cut)
    assert found.tokens_after <= budget
    assert found.text == ROLE + BOOKING


def test_a_line_for_short_answers_goes_last_where_it_pays() -> None:
    line = CONCISENESS["answer"]
    long = Brevity(kind="answer", expected_output_tokens=400)
    found = one(PROMPT, BOOK, how=policy(brevity=long))
    assert found.text == f"{ROLE}{BOOKING}{line}"
    joined = one(PROMPT, BOOK, WEIGH, how=policy(brevity=long))
    assert joined.text.startswith(found.text)
    assert joined.text.endswith(BAGGAGE)
    short = Brevity(kind="answer", expected_output_tokens=1)
    assert line not in one(PROMPT, BOOK, how=policy(brevity=short)).text
    two = SystemPrompts(policy(brevity=long), model=MODEL).preview(
        [ROLE, PROMPT], Asked(questions=[BOOK])
    )
    assert [line in each.text for each in two] == [False, True]


def test_a_prompt_of_which_nothing_would_be_left_stays() -> None:
    found = one(BOOKING + BAGGAGE, "reserve: suitcases?", how=policy())
    assert found.text == BOOKING + BAGGAGE
    nothing = PromptPolicy(optional=["Booking", "Baggage"], budget_tokens=0, prefix=None)
    found = one(BOOKING + BAGGAGE, BOOK, how=nothing)
    assert (found.reason, found.text) == ("empty", BOOKING + BAGGAGE)


def test_of_a_long_message_the_beginning_and_the_end_ask() -> None:
    pasted = f"{BOOK}\n{'The hat is red. ' * 500}\n{WEIGH}"
    assert one(PROMPT, pasted).text == ROLE + BOOKING + BAGGAGE
    middle = f"{'The hat is red. ' * 200}{WEIGH}{'The hat is red. ' * 200}{BOOK}"
    assert one(PROMPT, middle).text == ROLE + BOOKING


QUESTIONS = st.lists(
    st.sampled_from([BOOK, WEIGH, YES, "a voucher", "Hello", "", "\ud800"]), max_size=6
)


@given(QUESTIONS, st.booleans())
@settings(max_examples=30)
def test_a_conversation_only_ever_grows_and_is_the_same_everywhere(
    questions: list[str], with_line: bool
) -> None:
    line = Brevity(kind="chat", expected_output_tokens=900) if with_line else None
    how = policy(brevity=line)
    long_lived = SystemPrompts(how, model=MODEL)
    before = ""
    for turn in range(1, len(questions) + 1):
        asked = Asked(questions=questions[:turn])
        (found,) = long_lived.preview([PROMPT], asked)
        (again,) = SystemPrompts(how, model=MODEL).preview([PROMPT], asked)  # another process
        assert found.text == again.text
        assert found.text.startswith(before)
        assert ROLE in found.text
        before = found.text


def test_a_long_conversation_takes_bounded_time_also_in_a_new_process() -> None:
    asked = Asked(questions=[f"{BOOK} No. {n}" for n in range(300)])
    assert own_seconds(lambda: SystemPrompts(policy(), model=MODEL).preview([PROMPT], asked)) < 2


# -- what it costs -------------------------------------------------------------------------------


def test_where_nothing_is_known_of_a_conversation_nothing_is_left_out() -> None:
    found = one(LONG, BOOK, how=used())
    assert (found.text, found.reason, found.net_nanos) == (LONG, "cache", 0)


def test_a_request_of_its_own_leaves_out_what_stands_last() -> None:
    found = one(LONG, BOOK, how=used(most_calls=1))
    assert found.text == LONG_WITHOUT_REFUNDS
    # What is left is a prefix that the cache has; what goes would have been read from there.
    assert found.net_nanos == (tokens(LONG) - tokens(LONG_WITHOUT_REFUNDS)) * READ


def test_what_stands_in_the_middle_costs_what_is_behind_it() -> None:
    kept = LONG.replace(LONG[LONG.index("# Booking") : LONG.index("# Refunds")], "")
    found = one(LONG, "a voucher", how=used(most_calls=1))
    assert found.text == LONG  # 900 tokens behind would be fresh, some 400 fewer read
    found = one(LONG, "a voucher", how=used(most_calls=1, shared=False))
    assert found.text == kept
    assert found.net_nanos == pytest.approx((tokens(LONG) - tokens(kept)) * FRESH, abs=4 * FRESH)


def test_without_a_cache_every_token_is_fresh() -> None:
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=0), caches=False)
    how = PromptPolicy(optional=OPTIONAL, prefix=facts)
    for answered in (False, True):
        found = one(PROMPT, BOOK, how=how, answered=answered)
        assert found.text == ROLE + BOOKING
        assert found.net_nanos == (tokens(PROMPT) - tokens(ROLE + BOOKING)) * FRESH


def test_a_prompt_that_would_be_too_short_for_the_cache_stays() -> None:
    how = PromptPolicy(prefix=PrefixFacts(ahead=Ahead(prefix_tokens=0)), leave_out=False)
    wordy = "".join(f"{WORDY}{n}. {FILL}\n" for n in range(40))
    assert 1024 <= tokens(wordy) < 1200
    assert one(wordy, "Hello", how=how).text == wordy
    in_front = PromptPolicy(prefix=PrefixFacts(ahead=Ahead(prefix_tokens=2000)), leave_out=False)
    assert one(wordy, "Hello", how=in_front).tokens_after < 1024


def test_sections_of_a_prompt_that_is_too_short_for_the_cache_stay() -> None:
    # Some later prompt of 1,024 tokens would be read, and is not if sections are missing in it.
    told: Any = {"prefix_tokens": 0, "calls": 60, "growth_tokens": 1}
    how = PromptPolicy(optional=OPTIONAL, prefix=PrefixFacts(ahead=Ahead(**told)))
    assert one(PROMPT, BOOK, how=how).text == PROMPT
    never = PrefixFacts(ahead=Ahead(**told, most_tokens=1000))
    how = PromptPolicy(optional=OPTIONAL, prefix=never)
    assert one(PROMPT, BOOK, how=how).text == ROLE + BOOKING


def test_a_section_that_joins_is_paid_for_with_all_that_is_behind_it() -> None:
    how = used(calls=60, growth_tokens=20)
    first = one(LONG, BOOK, how=how)
    kept = LONG_WITHOUT_REFUNDS
    assert first.text == kept
    went_on = one(LONG, BOOK, how=how, answered=True)
    assert went_on.net_nanos == (tokens(LONG) - tokens(kept)) * READ
    behind = one(LONG, BOOK, "a voucher", how=how, behind_tokens=lambda: 700)
    assert behind.text == LONG
    # Nothing is left out any more, but the section and the conversation are fresh once.
    joined = tokens(LONG[len(kept) :])
    assert behind.net_nanos == pytest.approx(-(joined + 700) * (FRESH - READ), abs=2 * FRESH)
    assert one(LONG, BOOK, "a voucher", how=how, answered=True).net_nanos == 0


def test_a_conversation_that_grows_fast_has_nothing_left_out() -> None:
    # A section that joins makes up to 60 * 2,000 tokens fresh: no 1,200 read ones are worth it.
    found = one(LONG, BOOK, how=used(calls=60, growth_tokens=2000))
    assert (found.text, found.reason) == (LONG, "cache")


def test_what_a_shorter_answer_saves_is_counted() -> None:
    line = Brevity(kind="answer", expected_output_tokens=400, saved_share=0.25)
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=0), caches=False)
    found = one(ROLE, BOOK, how=PromptPolicy(prefix=facts, brevity=line))
    added = tokens(found.text) - tokens(ROLE)
    assert (found.reason, added > 0) == ("longer", True)
    assert found.net_nanos == 100 * OUTPUT - added * FRESH


def test_a_model_without_a_price_has_no_net() -> None:
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=0), caches=False)
    how = PromptPolicy(optional=OPTIONAL, prefix=facts)
    found = one(PROMPT, BOOK, how=how, model="no-such-model")
    assert (found.text, found.net_nanos) == (ROLE + BOOKING, None)
    assert one(PROMPT, BOOK).net_nanos is None  # the cache is not considered


# -- books, errors -------------------------------------------------------------------------------


def test_the_books_say_what_was_done() -> None:
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=0), caches=False)
    how = PromptPolicy(optional=OPTIONAL, prefix=facts)
    with Ledger.open("memory://") as ledger, use_tracker(Tracker(ledger)):
        prompts = SystemPrompts(how, model=MODEL)
        prompts.shorten([PROMPT], Asked(questions=[BOOK, WEIGH]), operation_id="op")
        prompts.preview([PROMPT], Asked(questions=[BOOK]))
        prompts.shorten([], Asked(questions=[BOOK]))
        (effect,) = ledger.effects()
    kept = tokens(ROLE + BOOKING + BAGGAGE)
    assert (effect.lever, effect.operation_id) == ("compression.prompt", "op")
    assert (effect.tokens_before, effect.tokens_after) == (tokens(PROMPT), kept)
    assert effect.net_nanos == (tokens(PROMPT) - kept) * FRESH
    assert effect.detail == {
        "reason": "shorter",
        "sections": 4,
        "left_out": 1,
        "joined": 1,
        "rewritten": 0,
        "brevity": "",
        "budget_tokens": None,
    }
    assert effect.exact


class Broken(TokenCounter):
    def count_text(self, *args: Any, **more: Any) -> TokenCount:
        raise RuntimeError("no tokens today")

    def text_counter(self, **more: Any) -> Any:
        return self.count_text


def test_what_fails_leaves_the_prompt_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    prompts = SystemPrompts(policy(), model=MODEL, counter=Broken())
    (found,) = prompts.shorten([PROMPT], Asked(questions=[BOOK]))
    assert (found.text, found.reason) == (PROMPT, "failed")
    assert "left as it was" in caplog.text
    assert "Finch" not in caplog.text


def test_a_name_that_is_no_section_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    prompts = SystemPrompts(PromptPolicy(optional=("Bokking", "Refunds"), prefix=None), model=MODEL)
    for _ in range(2):
        prompts.preview([BOOKING + BAGGAGE, BAGGAGE + REFUNDS], Asked(questions=[BOOK]))
    assert [record.args for record in caplog.records] == [("Bokking",)]


@pytest.mark.parametrize("wrong", [{"budget_tokens": -1}, {"min_share": 2}, {"off": ["pleas"]}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(PromptError):
        PromptPolicy(**wrong)


@pytest.mark.parametrize("text", ["", " \n", "\ud800", "\0", "# a\n" * 3000, "x " * 40_000])
def test_odd_prompts_come_back(text: str) -> None:
    found: Sequence[ShortPrompt] = SystemPrompts(policy(), model=MODEL).preview(
        [text], Asked(questions=[BOOK])
    )
    assert found[0].text in (text, text.rstrip())


def test_data_is_no_instructions() -> None:
    found = one(WORDY * 2000, BOOK)
    assert (found.reason, found.text) == ("too long", WORDY * 2000)


def test_a_policy_can_be_copied() -> None:
    assert copy.deepcopy(policy()) == policy()
