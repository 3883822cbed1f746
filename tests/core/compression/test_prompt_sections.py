"""Cutting a prompt into sections, and choosing among them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.prompt import (
    PrefixUse,
    PromptError,
    PromptSection,
    choose_sections,
    join_sections,
    parse_sections,
)
from tests.core.pricing.replayed_cache import cache_terms

MARKDOWN = """You are an agent.

# Book

Search for a flight and reserve a seat.

## Seats

Windows first.

# Cancel

Look up the reservation and cancel the flight.

```
# not a heading
```

# Refund

Offer a voucher for the delay.
"""


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def names(prompt: str, **options: object) -> list[str]:
    return [s.name for s in parse_sections(prompt, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (MARKDOWN, ["", "Book", "Cancel", "Refund"]),
        ("# Title\n\nIntro\n\n## A\na\n## B\nb\n", ["", "A", "B"]),
        ("# A\r\na\r\n# B\r\nb", ["A", "B"]),
        ("**Role**\nx\n**Rules:**\ny\n", ["Role", "Rules"]),
        ("<role>\nA\n# h\n</role>\n\nloose\n<rules>\n</rules>\n", ["role", "", "rules"]),
        ("Intro\n1. Book it\n more\n2. Cancel\n1. inner\n3. End", ["", "Book it", "Cancel", "End"]),
        ("No structure at all.", [""]),
        ("", []),
    ],
)
def test_a_prompt_is_cut_where_it_is_structured(prompt: str, expected: list[str]) -> None:
    assert names(prompt) == expected


def test_the_level_of_headings_can_be_given() -> None:
    assert names(MARKDOWN, level=2) == ["", "Book", "Seats", "Cancel", "Refund"]


def test_what_stands_before_the_first_heading_is_always_kept() -> None:
    sections = parse_sections(MARKDOWN)
    assert [s.always for s in sections] == [True, False, False, False]


def test_a_name_that_is_no_section_is_refused() -> None:
    with pytest.raises(PromptError, match="no section is named 'Bok'"):
        parse_sections(MARKDOWN, optional=["Bok"])


pieces = st.sampled_from(
    [
        "# A\n",
        "## B\r\n",
        "<t>\n",
        "</t>\n",
        "1. x\n",
        "2. y\n",
        "```\n",
        "text ",
        "\n",
        "\ud800",
        "\0",
    ]
)


@given(st.lists(pieces, max_size=30).map("".join), st.sampled_from(["auto", "markdown", "xml"]))
def test_cutting_loses_nothing(prompt: str, style: str) -> None:
    sections = parse_sections(prompt, style=style)  # type: ignore[arg-type]
    assert "".join(s.text for s in sections) == prompt
    assert join_sections(sections) == prompt


@pytest.mark.parametrize("bad", ["<a>" * 1000 + "</a>" * 1000, "# a\n" * 9_000, "<a " * 300_000])
def test_hostile_prompts_are_cut_in_bounded_time(bad: str) -> None:
    assert "".join(s.text for s in parse_sections(bad)) == bad


# choosing

SECTIONS = (
    PromptSection(name="", text="You are an agent.", always=True),
    PromptSection(name="Book", text="Search flights and reserve a seat.", optional=True),
    PromptSection(name="Cancel", text="Look up the reservation, cancel it.", optional=True),
    PromptSection(name="Baggage", text="Weigh suitcases.", optional=True, when=("golf clubs",)),
    PromptSection(name="Payment", text="Never share the card of the user."),
)


def test_only_what_the_request_is_about_is_kept() -> None:
    plan = choose_sections(SECTIONS, "Please cancel my trip", count)
    assert plan.kept == (0, 2, 4)
    assert [(f.name, f.reason) for f in plan.dropped] == [
        ("Book", "irrelevant"),
        ("Baggage", "irrelevant"),
    ]
    assert plan.text == "\n\n".join(SECTIONS[i].text for i in (0, 2, 4))
    assert plan.saved_tokens == count(plan.full_text) - count(plan.text) > 0
    assert plan.diff().count("\n-") == 2 + 2  # two sections and the blank lines behind them


def test_a_word_of_when_keeps_a_section() -> None:
    plan = choose_sections(SECTIONS, "Cancel, what of my golf club?", count)
    assert plan.fates[3].reason == "when"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Never give legal names.", "rule"),
        ("The agent must ask first.", "rule"),
        ("Don\u2019t guess.", "rule"),
        ("Gib keine Auskunft.", "rule"),
        ("Ne donnez pas de conseil.", "rule"),
        ("Nunca digas la clave.", "rule"),
        ("不要透露密码。", "rule"),
        ("必ず確認してください。", "rule"),
        ("Treat passwords with care.", "safety"),
        ("Respond in JSON.", "format"),
        ("ينبغي للوكيل أن يساعد المستخدم", "language"),
    ],
)
def test_what_binds_is_kept_unless_the_author_says_it_is_optional(text: str, reason: str) -> None:
    about = PromptSection(name="Weather", text="Tell about the weather.")
    kept = choose_sections([PromptSection(name="X", text=text), about], "weather", count)
    assert kept.fates[0].reason == reason
    assert kept.kept == (0, 1)
    freed = PromptSection(name="X", text=text, optional=True)
    assert choose_sections([freed, about], "weather", count).kept == (1,)


@pytest.mark.parametrize("query", ["", "Hello", "\ud800\0"])
def test_a_request_that_says_nothing_leaves_nothing_out(query: str) -> None:
    plan = choose_sections(SECTIONS, query, count)
    assert plan.reason == "no signal"
    assert plan.text == plan.full_text


def test_switched_off_everything_is_as_it_came() -> None:
    plan = choose_sections(SECTIONS, "cancel", count, 3, enabled=False)
    assert (plan.reason, plan.text, plan.diff()) == ("off", plan.full_text, "")


sections_st = st.lists(
    st.builds(
        lambda name, words, kind: PromptSection(
            name=name, text=" ".join(words), always=kind == 1, optional=kind == 2
        ),
        st.sampled_from(["Book", "Cancel", "Rules"]),
        st.lists(
            st.sampled_from(["book", "cancel", "seat", "flight", "never", "must", "refund", "a"]),
            max_size=8,
        ),
        st.integers(0, 2),
    ),
    max_size=8,
)
queries = st.lists(st.sampled_from(["book", "cancel", "seat", "zebra"]), max_size=3).map(" ".join)


@given(sections_st, queries, st.none() | st.integers(0, 60))
def test_rules_stay_budgets_hold_and_the_order_is_theirs(
    sections: list[PromptSection], query: str, budget: int | None
) -> None:
    plan = choose_sections(sections, query, count, budget)
    assert plan == choose_sections(sections, query, count, budget)
    assert list(plan.kept) == sorted(plan.kept)
    assert sorted((*plan.kept, *(f.index for f in plan.dropped))) == list(range(len(sections)))
    for fate, section in zip(plan.fates, sections, strict=True):
        rule = re.search(r"\b(?:never|must)\b", section.text)
        assert fate.kept or not (section.always or (rule and not section.optional))
    if budget is not None and not plan.fits:
        assert not {f.reason for f in plan.fates if f.kept} & {"relevant", "no signal"}


def test_what_was_sent_earlier_does_not_make_the_next_best_relevant() -> None:
    asked = "search flights, cancel"
    first = choose_sections(SECTIONS, asked, count, min_share=0.9)
    assert first.kept == (0, 1, 4)
    again = choose_sections(SECTIONS, asked, count, min_share=0.9, earlier=first.kept)
    assert again.added == ()


@given(sections_st, st.lists(queries, max_size=4))
def test_within_a_conversation_the_text_only_grows_at_its_end(
    sections: list[PromptSection], asked: list[str]
) -> None:
    text, kept = "", ()
    for query in asked:
        plan = choose_sections(sections, query, count, earlier=kept)
        assert plan.kept[: len(kept)] == kept
        assert plan.text.startswith(text)
        gone = {fate.index for fate in plan.dropped}
        assert gone == set(range(len(sections))) - set(plan.kept)
        text, kept = plan.text, plan.kept


@pytest.mark.parametrize("earlier", [(0, 0), (9,), (-1,)])
def test_earlier_sections_have_to_be_sections(earlier: tuple[int, ...]) -> None:
    with pytest.raises(PromptError, match="earlier is"):
        choose_sections(SECTIONS, "x", count, earlier=earlier)


PRICES = cache_terms(3000, 300, 3750, least=0)


def long_prompt() -> list[PromptSection]:
    def section(name: str, word: str, n: int) -> PromptSection:
        return PromptSection(name=name, text=" ".join([word] * n), optional=True)

    return [section("A", "apple", 500), section("B", "berry", 100), section("C", "cherry", 400)]


def test_a_warm_prompt_is_left_alone_where_leaving_out_would_lose() -> None:
    use = PrefixUse(terms=PRICES, calls=2, warm_tokens=1000)
    plan = choose_sections(long_prompt(), "berry cherry", count, prefix=use)
    # 500 tokens behind the gap would be written again: 500 * 3,450 against 2 * 500 * 300.
    assert plan.reason == "cache"
    assert plan.text == plan.full_text
    assert plan.change is not None
    assert plan.change.net_nanos == 2 * 500 * 300 - 500 * 3450


def test_what_lies_at_the_end_is_left_out_where_the_middle_would_lose() -> None:
    use = PrefixUse(terms=PRICES, calls=2, warm_tokens=1000)
    plan = choose_sections(long_prompt(), "berry", count, prefix=use)
    assert plan.kept == (0, 1)
    assert [f.reason for f in plan.fates] == ["cache", "relevant", "irrelevant"]


def test_a_cold_prompt_is_cut() -> None:
    use = PrefixUse(terms=PRICES, calls=2, warm_tokens=0)
    plan = choose_sections(long_prompt(), "berry", count, prefix=use)
    assert plan.kept == (1,)
    assert plan.change is not None
    assert plan.change.pays
