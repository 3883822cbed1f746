"""Digests: what a later question asks for, in the person's own words, within the budget."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts, Role, ToolCallFacts
from frugal_chains.memory._digest import digest
from frugal_chains.memory._digest_tools import call_line
from frugal_chains.memory._summary import Summary, parse_summary
from frugal_chains.tokens import TokenCounter
from tests.core.memory.planted import Wording, conversation, held
from tests.own_time import own_seconds

COUNTER = TokenCounter()


def o200k(text: str) -> int:
    return COUNTER.count_text(text, model="gpt-4o", provider="openai").tokens


def heavy(text: str) -> int:
    """A count that is not additive: many lines together count for more than one by one."""
    return len(text) + len(text) // 20


def user(text: str) -> MessageFacts:
    return MessageFacts(role="user", text=text)


def assistant(text: str, *calls: ToolCallFacts) -> MessageFacts:
    return MessageFacts(role="assistant", text=text, tool_calls=calls)


def result(call: str, text: str) -> MessageFacts:
    return MessageFacts(role="tool", tool_call_id=call, text=text)


TALK = [
    user("Hi! My name is Ada Lovelace and I am allergic to peanuts. What is a heat pump?"),
    assistant("A heat pump moves heat from one place to another. It needs some electricity."),
    user("Thanks. Please remember that my order is W2378156. Let's go with the green model."),
    assistant(
        "",
        ToolCallFacts(
            id="c1",
            name="book_visit",
            arguments='{"date": "2026-03-04", "note": "' + "x " * 90 + '"}',
        ),
    ),
    result("c1", '{"status": "booked", "visit_id": "V-7781", "map": [1, 2, 3, 4, 5, 6, 7]}'),
    assistant("I've booked the visit: it is V-7781. Anything else?"),
    user("Don't forget to send me the invoice by Friday. Could you also check the warranty?"),
]  # fmt: skip


def test_each_kind_of_thing_is_in_its_section() -> None:
    found = digest(TALK, budget_tokens=200, count=o200k)
    assert "My name is Ada Lovelace and I am allergic to peanuts" in found.facts
    assert any("my order is W2378156" in line for line in found.facts)
    assert "Let's go with the green model" in found.decisions
    assert any(
        line.startswith("book_visit(date=2026-03-04)") and "visit_id=V-7781" in line
        for line in found.decisions
    )
    assert any("invoice by Friday" in line for line in found.open_tasks)
    assert any("check the warranty" in line for line in found.open_tasks)
    assert not any("heat pump" in line for line in found.open_tasks)  # that was answered


def test_what_matters_most_comes_first_when_there_is_little_room() -> None:
    text = digest(TALK, budget_tokens=75, count=o200k).text()
    assert o200k(text) <= 75
    for kept in ("Ada Lovelace", "peanuts", "W2378156", "V-7781", "green model"):
        assert kept in text
    assert "electricity" not in text


def test_ids_of_results_are_listed_with_their_names_and_not_twice() -> None:
    rows = [
        user("Look it up."),
        assistant("", ToolCallFacts(id="c", name="get_users", arguments="{}")),
        result("c", '[{"user_id": "mia_li_3668"}, {"user_id": "ken_ito_0042"}]'),
        assistant("There are two of them."),
    ]
    found = digest(rows, budget_tokens=100, count=o200k)
    assert set(found.identifiers) == {"user_id mia_li_3668", "user_id ken_ito_0042"}
    told = digest([*rows, user("I am mia_li_3668.")], budget_tokens=100, count=o200k)
    assert told.facts == ("I am mia_li_3668",)
    assert told.identifiers == ("user_id ken_ito_0042",)


def test_an_id_is_not_listed_beside_its_sentence() -> None:
    text = "My order, the one with the lamp that came in pieces from Aarhus to Ghent, is W2378156."
    assert digest([user(text)], budget_tokens=100, count=o200k).identifiers == ()
    assert digest([user(text)], budget_tokens=14, count=o200k).identifiers == ("W2378156",)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("{oops", ""),
        ('{"rows": [{"id": "A-1", "n": 2}, {"id": "B-2", "n": 3}]}', " -> rows=A-1 2/B-2 3"),
        ("word " * 60, " -> " + ("word " * 19).strip()),  # no more than 96 characters
        ("all went well\nKeyError: not found\nbye", " -> KeyError: not found"),
    ],
    ids=["broken", "objects", "long", "error"],
)
def test_what_came_of_a_call(result: str, outcome: str) -> None:
    assert call_line(ToolCallFacts(name="look", arguments="{}"), result)[0] == f"look(){outcome}"


def test_the_exact_count_decides() -> None:
    talk = conversation(1, "known").messages
    for budget in range(100, 2_000, 300):
        assert heavy(digest(talk, budget_tokens=budget, count=heavy).text()) <= budget


def test_a_task_that_was_done_since_is_not_open() -> None:
    done = [*TALK, assistant("I have sent the invoice on Friday. The warranty is still running.")]
    found = digest(done, budget_tokens=400, count=o200k)
    assert not any("invoice" in line for line in found.open_tasks)


# Shares of planted facts found in 12 conversations; the limits leave room for one fact in twenty of
# what was measured on 200 of them, which the documentation reports.
SHARES = [
    ("known", 100, 0.97), ("known", 400, 0.99), ("unseen", 100, 0.84), ("unseen", 400, 0.97),
]  # fmt: skip


@pytest.mark.parametrize(("wording", "budget", "least"), SHARES)
def test_planted_facts_are_found(wording: Wording, budget: int, least: float) -> None:
    found = planted = 0
    for seed in range(1000, 1012):
        talk = conversation(seed, wording)
        text = digest(talk.messages, budget_tokens=budget, count=o200k).text()
        assert o200k(text) <= budget
        found += len(held(talk.facts, text))
        planted += len(talk.facts)
    assert found >= least * planted


MESSAGES = st.lists(
    st.builds(
        MessageFacts,
        role=st.sampled_from(["system", "user", "assistant", "tool"]),
        text=st.one_of(
            st.text(max_size=60),
            st.sampled_from(
                ["My id is A-17.", '{"id": "B-9"}', "Facts:\n- x", "! pinned by nobody", "{"]
            ),
        ),
        tool_calls=st.lists(
            st.builds(
                ToolCallFacts,
                name=st.sampled_from(["", "get", "book_it"]),
                arguments=st.one_of(st.text(max_size=20), st.just('{"a": {"b": 1}, "c": [1e999]}')),
                id=st.sampled_from(["", "c1", "c2"]),
            ),
            max_size=2,
        ).map(tuple),
        tool_call_id=st.sampled_from(["", "c1", "nobody"]),
        images=st.integers(0, 2),
    ),
    max_size=6,
)  # fmt: skip


@given(MESSAGES, st.integers(0, 200), st.sampled_from([len, heavy, o200k]))
def test_any_messages_give_a_digest_within_the_budget(
    messages: list[MessageFacts], budget: int, count: Callable[[str], int]
) -> None:
    found = digest(messages, budget_tokens=budget, count=count)
    assert count(found.text()) <= budget
    assert parse_summary(found.text()) == found
    assert not any(line.startswith("! ") for _, line in found.lines())  # a message pins nothing
    assert digest(messages, budget_tokens=budget, count=count) == found


def test_lines_are_the_words_that_were_said() -> None:
    for seed in range(5):
        talk = conversation(seed, "unseen")
        whole = "\n".join(message.text for message in talk.messages)
        found = digest(talk.messages, budget_tokens=300, count=o200k)
        assert found.facts
        assert all(line in whole for line in found.facts + found.narrative)


def test_nothing_gives_nothing() -> None:
    assert digest([], budget_tokens=100, count=len) == Summary()
    assert digest([user(""), assistant(" \n")], budget_tokens=100, count=len) == Summary()
    assert digest(TALK, budget_tokens=0, count=len) == Summary()
    with pytest.raises(MemoryPlanError, match="-1"):
        digest(TALK, budget_tokens=-1, count=len)


ODD: list[tuple[str, str]] = [
    ("prose", "I was there on Monday with 12 people. My dog is called Rex. " * 90_000),
    ("no-blank", "a" * 5_000_000),
    ("digits", "1234567890" * 500_000),
    ("json", '{"id":"A-1","rows":[' + '{"id":"W12","n":1},' * 270_000 + "1]}"),
    ("deep", "[" * 2_500_000 + "]" * 2_500_000),
    ("quotes", "\"'`<" * 1_250_000),
    ("lines", "- my x is y\n" * 420_000),
]


@pytest.mark.parametrize("text", [text for _, text in ODD], ids=[name for name, _ in ODD])
@pytest.mark.parametrize("role", ["user", "tool"])
def test_a_message_of_5_mb_takes_less_than_a_second(role: Role, text: str) -> None:
    call = assistant("", ToolCallFacts(id="c", name="read", arguments=text))
    message = MessageFacts(role=role, text=text, tool_call_id="c")
    tail = user("My locker is number 4711.")

    def work() -> None:
        found = digest([call, message, tail], budget_tokens=100, count=o200k)
        assert "4711" in found.text()

    assert own_seconds(work) < 1


def test_both_ends_of_a_long_message_are_looked_at_and_no_id_is_cut() -> None:
    filler = "and on and on it went " * 10_000
    ids = ",".join(f"ZQ-{n:06}" for n in range(60_000))
    text = f"My first pet was Rex. {filler} My locker is number 4711."
    found = digest([user(text), user(ids)], budget_tokens=5_000, count=len)
    assert "Rex" in found.text()
    assert "4711" in found.text()
    whole = set(ids.split(","))
    assert found.identifiers
    assert all(line.split()[-1] in whole for line in found.identifiers)


@pytest.mark.parametrize("at", [29_982, 29_989, 29_996])
def test_no_id_is_cut_where_the_look_ends(at: int) -> None:
    text = "x " * (at // 2) + " " * (at % 2) + "ZQ-1234567890-9" + " x" * 60_000
    for said in (text, text[::-1].replace("9-0987654321-QZ", "ZQ-1234567890-9")):
        found = digest([user(said)], budget_tokens=500, count=len)
        assert "ZQ" not in found.text() or "ZQ-1234567890-9" in found.text()
        assert not any(line.endswith(("ZQ", "ZQ-1", "ZQ-12345")) for line in found.identifiers)


def test_the_time_is_linear_in_the_messages() -> None:
    def seconds(turns: int) -> float:
        talk = [m for seed in range(turns) for m in conversation(seed, "known", turns=9).messages]
        return own_seconds(lambda: digest(talk, budget_tokens=800, count=o200k))

    seconds(1)
    assert seconds(32) < 8 * (seconds(8) + 0.02)
