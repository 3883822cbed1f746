"""Summaries: read from anything, written in few tokens, merged without drift."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory._finished import finished
from frugal_chains.memory._merge import merge_summaries
from frugal_chains.memory._summary import SECTIONS, Summary, is_pinned, parse_summary, pinned
from frugal_chains.tokens import TokenCounter
from tests.own_time import own_seconds

COUNTER = TokenCounter()


def o200k(text: str) -> int:
    return COUNTER.count_text(text, model="gpt-4o", provider="openai").tokens


def some_words(text: str) -> int:
    return len(text.split())


SAID = Summary(
    facts=("My name is Ada", "The budget is $500"),
    decisions=("Booked the hotel in Rome",),
    open_tasks=("Call Bob",),
    identifiers=("W2378156",),
    narrative=("They talked about a trip.",),
)

# Lines that look like what the reader knows: headings, bullets, fences, pins, and odd characters.
MARKUP = (
    "Facts:|Facts|Open: call|> x|> > x|- x|* x|**Facts:** x|1. Ids|# Notes|```|---|<facts>|! x"
    "|! ! x"
    "|none|None.|...|-|  x  |x\x85y|x\u2028y|\x1c|\x1f|\x00|\ud800|Fakten\uff1ax"
    "|- **Open tasks**: y|[ ] z"
    "|[x] z|2. Mai|Done|Ids (verbatim): a|_Facts_|>"
)
TRICKY = st.sampled_from(MARKUP.split("|"))
LINES = st.lists(st.one_of(TRICKY, st.text(max_size=20)), max_size=5).map(tuple)
SUMMARIES = st.builds(Summary, **dict.fromkeys(SECTIONS, LINES))


@given(SUMMARIES)
def test_what_is_written_is_read_again(summary: Summary) -> None:
    assert parse_summary(summary.text()) == summary
    assert parse_summary(summary.text()).text() == summary.text()


@given(st.text())
@example("Facts:" * 50)
@example("<" * 500 + "\n" + "#" * 500 + "\n" + "- " * 500)
def test_any_text_is_read_and_nothing_but_markup_is_lost(text: str) -> None:
    summary = parse_summary(text)
    assert parse_summary(summary.text()) == summary
    for _, line in summary.lines():
        assert len(line.splitlines()) == 1
        assert line == line.strip() != ""


@pytest.mark.parametrize(
    "text",
    [
        SAID.text(),
        # A model that likes Markdown.
        "## **Facts**\n- My name is Ada\n- The budget is $500\n\n### Decisions\n"
        "* Booked the hotel in Rome\n## Open Tasks\n- Call Bob\n## Identifiers (verbatim)\n"
        "- W2378156\n## Summary\nThey talked about a trip.",
        # Another order, bold names, a fence around it, and a section twice.
        "```markdown\n**Ids:** W2378156\n**Open:**\n• Call Bob\n**Facts:**\nMy name is Ada\n"
        "**Notes:**\nThey talked about a trip.\n**Decisions made:** Booked the hotel in Rome\n"
        "**Key facts:**\nThe budget is $500\n```",
        # Numbered headings, tags, and sections that say they are empty.
        "They talked about a trip.\n1. Facts\n   - My name is Ada\n   - The budget is $500\n"
        "2. Decisions:\n   - Booked the hotel in Rome\n<open_tasks>\n3. To-do\n- Call Bob\n- None\n"
        "<ids>\nW2378156\n</ids>",
    ],
    ids=["own", "markdown", "other-order", "numbered"],
)  # fmt: skip
def test_models_answer_in_many_forms(text: str) -> None:
    read = parse_summary(text)
    assert {line for _, line in read.lines()} - {"<open_tasks>"} == {
        line for _, line in SAID.lines()
    }
    for section in SECTIONS:
        assert set(SAID.of(section)) == set(read.of(section)) - {"<open_tasks>"}, section


def test_plain_prose_is_narrative_and_a_colon_makes_no_heading() -> None:
    text = "The user, Ada, asked for three things: a hotel, a flight and a car.\nFact is she paid."
    assert parse_summary(text) == Summary(narrative=tuple(text.splitlines()))


def test_a_point_that_begins_like_a_heading_is_a_point() -> None:
    read = parse_summary("Facts:\n- Done: the flight\n- Open: 9 to 5")
    assert read.facts == ("Done: the flight", "Open: 9 to 5")


def test_a_text_of_5_mb_is_read_in_linear_time() -> None:
    lines = "\n".join(f"- fact {n} is {n * 7}" for n in range(250_000))
    assert len(lines) > 5_000_000
    assert own_seconds(lambda: parse_summary("Facts:\n" + lines)) < 5
    assert own_seconds(lambda: parse_summary("facts " * 900_000)) < 1


def test_the_text_has_few_tokens() -> None:
    bare = "\n".join(line for _, line in SAID.lines())
    assert o200k(SAID.text()) - o200k(bare) <= 12  # four headings, at most three tokens each


def test_the_budget_below_zero_is_refused() -> None:
    with pytest.raises(MemoryPlanError, match="-1"):
        merge_summaries([SAID], budget_tokens=-1, count=len)


@given(st.lists(SUMMARIES, max_size=4), st.integers(0, 60), st.sampled_from([len, some_words]))
def test_a_merge_keeps_the_budget_and_invents_nothing(
    summaries: list[Summary], budget: int, count: Any
) -> None:
    merged = merge_summaries(summaries, budget_tokens=budget, count=count)
    given_lines = {(s, line) for summary in summaries for s, line in summary.lines()}
    kept_pinned = [line for _, line in merged.lines() if is_pinned(line)]
    assert count(merged.text()) <= budget or len(kept_pinned) == len(list(merged.lines()))
    for section, line in merged.lines():
        bare = line.removeprefix("! ")
        assert (section, line) in given_lines or (section, bare) in given_lines
    pins = {(s, " ".join(line[2:].casefold().split()).strip(" .,;:!?\"'"))
            for s, line in given_lines if is_pinned(line)}  # fmt: skip
    kept = {(s, " ".join(line[2:].casefold().split()).strip(" .,;:!?\"'"))
            for s, line in merged.lines() if is_pinned(line)}  # fmt: skip
    assert pins == kept


@given(st.lists(SUMMARIES, max_size=4))
def test_merging_again_changes_nothing(summaries: list[Summary]) -> None:
    once = merge_summaries(summaries, budget_tokens=10_000, count=len)
    assert merge_summaries([once], budget_tokens=10_000, count=len) == once


def test_a_thousand_merges_do_not_drift() -> None:
    """What is left of the first summaries is, byte for byte, what was first written."""
    rng = random.Random(1)
    written: set[tuple[str, str]] = set()
    held = Summary(
        facts=(pinned("I am allergic to  Peanuts, ÄÖÜ"), "The  account is DE-77"),
        identifiers=(pinned("a1B2-c3"),),
    )
    start = held
    for turn in range(1000):
        new = Summary(
            facts=(f"fact {turn} is {rng.randint(0, 9999)}",) if turn % 3 == 0 else (),
            open_tasks=(f"task number {turn} of somebody",) if turn % 5 == 0 else (),
            decisions=(f"finished task number {turn - 5} of somebody",) if turn % 7 == 0 else (),
            narrative=(f"They  talked about {turn}.",),
        )
        written.update((section, line) for each in (held, new) for section, line in each.lines())
        held = merge_summaries([held, new], budget_tokens=120, count=some_words)
        assert some_words(held.text()) <= 120
    assert set(held.lines()) <= written
    assert held.facts[0] == start.facts[0]
    assert held.identifiers == start.identifiers
    assert any("9" in line for line in held.facts)  # what is new still finds room


OLD = Summary(
    facts=("I like the sea", "My budget is 500 EUR", "My account is DE-7712 since 2019-03-04"),
    open_tasks=("Book the hotel in Rome", "Cancel order W12", "Call Bob"),
    narrative=("First they talked about boats.",),
)
NEW = Summary(
    facts=("my budget is 600 EUR",),
    decisions=("I booked the hotel in Rome.", "Order W13 was cancelled"),
    open_tasks=("Call Bob on Monday at 5 pm",),
    narrative=("Then they talked about Rome.",),
)


def test_finished_tasks_go_and_newer_words_win() -> None:
    merged = merge_summaries([OLD, NEW], budget_tokens=10_000, count=len)
    assert merged.open_tasks == ("Cancel order W12", "Call Bob on Monday at 5 pm")
    assert merged.facts == (*OLD.facts, *NEW.facts)
    assert merged.decisions == NEW.decisions
    assert merged.narrative == (*OLD.narrative, *NEW.narrative)


@pytest.mark.parametrize(
    "said",
    [
        "The hotel in Rome is not booked yet",
        "We will book the hotel in Rome",
        "The flight to Rome was booked",
        "Booked the hotel in Rome?",
    ],
)
def test_a_task_stays_where_it_may_be_open(said: str) -> None:
    merged = merge_summaries([OLD, Summary(decisions=(said,))], budget_tokens=9_999, count=len)
    assert "Book the hotel in Rome" in merged.open_tasks


@pytest.mark.parametrize(
    ("older", "newer", "stays"),
    [
        ("Call Bob", "Call the Bob", False),
        ("Pay invoice W12", "Pay the big invoice W12", False),
        ("Pay the big invoice W12", "Pay the invoice", True),
        ("Pay invoice W12", "Pay invoice W13", True),
    ],
)
def test_of_two_tasks_that_say_the_same_the_newer_stays(
    older: str, newer: str, stays: bool
) -> None:
    tasks = [Summary(open_tasks=(older,)), Summary(open_tasks=(newer,))]
    merged = merge_summaries(tasks, budget_tokens=999, count=len)
    assert merged.open_tasks == ((older, newer) if stays else (newer,))


def test_a_task_about_another_number_is_not_finished() -> None:
    task = Summary(open_tasks=("Pay the blue summer hotel invoice W12 today",))
    other = Summary(decisions=("Paid the blue summer hotel invoice W13 today",))
    same = Summary(decisions=("Paid the blue summer hotel invoice W12 today",))
    assert merge_summaries([task, other], budget_tokens=999, count=len).open_tasks
    assert not merge_summaries([task, same], budget_tokens=999, count=len).open_tasks


def test_a_number_that_only_the_line_has_may_be_anothers() -> None:
    assert finished(["Pay"], ["Paid the invoice W12."]) == frozenset()
    assert finished(["Pay"], ["Paid."]) == {"Pay"}


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ("Please remember to pay the invoice", "Paid the invoice."),
        ('Send Bob the "blue" file', "Sent Bob the blue file."),
        ("Don't forget to book the hotel", "I booked the hotel"),
        ("Cancel order W12", "Order W12 was cancelled"),
        ("Cancel order W12", "Order W12 was canceled"),
    ],
)
def test_words_around_a_task_and_quotes_need_not_be_said_again(task: str, line: str) -> None:
    assert finished([task], [line]) == {task}


def test_one_line_is_enough_to_finish_a_task() -> None:
    lines = ["Paid the invoice W12", "Booked the hotel in Rome", "Rome is warm"]
    assert finished(["Book the hotel in Rome", "Call Bob"], lines) == {"Book the hotel in Rome"}


def test_a_pinned_task_stays_though_it_is_done() -> None:
    task = Summary(open_tasks=(pinned("Book the hotel in Rome"), "[x] Call Bob"))
    merged = merge_summaries([task, NEW], budget_tokens=9_999, count=len)
    assert merged.open_tasks == (pinned("Book the hotel in Rome"), *NEW.open_tasks)


def test_the_newest_eight_tasks_and_sixteen_ids_outlive_a_vague_fact() -> None:
    for section, most in (("open_tasks", 8), ("identifiers", 16)):
        many = tuple(f"K-{n}{n}" for n in range(10, 12 + most))
        held = Summary(facts=("It is warm", "My room is 17"), **{section: many})
        size = len(held.text())
        order: list[str] = []
        left = set(held.lines())
        for budget in range(size - 1, -1, -1):
            now = set(merge_summaries([held], budget_tokens=budget, count=len).lines())
            order.extend(line for _, line in left - now)
            left = now
        assert order[:4] == [*many[:2], "It is warm", "My room is 17"]
        assert order[4:] == list(many[2:])


def test_what_is_about_nothing_replaces_nothing() -> None:
    held = [Summary(facts=("Ada has 17 cats",)), Summary(facts=("She likes tea",))]
    merged = merge_summaries(held, budget_tokens=len("Facts:\nAda has 17 cats"), count=len)
    assert merged == held[0]


def test_an_id_stays_longer_than_a_newer_task() -> None:
    held = [Summary(identifiers=("K-1",)), Summary(open_tasks=("Call Bob at 5",))]
    merged = merge_summaries(held, budget_tokens=len("Open:\nCall Bob at 5"), count=len)
    assert merged == held[0]


def test_the_vague_leave_before_the_specific_wherever_they_stand() -> None:
    for facts in (OLD.facts[::2], OLD.facts[:1:-1] + OLD.facts[:1]):
        room = len(f"Facts:\n{OLD.facts[2]}")
        merged = merge_summaries([Summary(facts=facts)], budget_tokens=room, count=len)
        assert merged.facts == (OLD.facts[2],)


def test_an_id_that_a_fact_holds_leaves_first() -> None:
    held = Summary(
        facts=("My order is W12",), identifiers=("W12", "V9"), narrative=("They talked.",)
    )
    cut = merge_summaries([held], budget_tokens=len(held.text()) - 1, count=len)
    assert cut.identifiers == ("V9",)
    assert (cut.facts, cut.narrative) == (held.facts, held.narrative)


def test_old_tasks_and_ids_do_not_drive_out_new_facts() -> None:
    crowd = Summary(
        open_tasks=tuple(f"Task {n} for {n}0{n}" for n in range(40)),
        identifiers=tuple(f"K-{n}" for n in range(40)),
    )
    new = Summary(facts=("My account is DE-7712 since 2019-03-04",))
    merged = merge_summaries([crowd, new], budget_tokens=90, count=some_words)
    assert merged.facts == new.facts
    assert merged.open_tasks[-1] == "Task 39 for 39039"
    assert merged.identifiers[-1] == "K-39"


def test_a_task_set_again_after_it_was_done_is_open() -> None:
    again = Summary(open_tasks=("Book the hotel in Rome",))
    merged = merge_summaries([NEW, again], budget_tokens=9_999, count=len)
    assert "Book the hotel in Rome" in merged.open_tasks


def test_what_leaves_first_is_narrative_then_what_was_replaced_then_the_vague() -> None:
    full = merge_summaries([OLD, NEW], budget_tokens=10_000, count=len)
    left = set(full.lines())
    order: list[str] = []
    for budget in range(len(full.text()), -1, -1):
        now = set(merge_summaries([OLD, NEW], budget_tokens=budget, count=len).lines())
        assert now <= left
        order.extend(line for _, line in sorted(left - now))
        left = now
    assert order[:4] == [*OLD.narrative, *NEW.narrative, "My budget is 500 EUR", "I like the sea"]
    assert order.index("My account is DE-7712 since 2019-03-04") > order.index("I like the sea")


def test_a_line_said_again_is_pinned_and_keeps_its_first_bytes() -> None:
    again = Summary(facts=(pinned("i like the  sea."),))
    merged = merge_summaries([OLD, again], budget_tokens=0, count=len)
    assert merged == Summary(facts=(pinned("I like the sea"),))
    assert merged.unpinned() == Summary(facts=("I like the sea",))
