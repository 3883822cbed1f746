"""Which request follows which, what becomes of causes in a report, and how that is printed."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from frugal_chains.facts import MessageFacts, RequestFacts, Role, ToolFacts
from frugal_chains.ledger import Attempt, Ledger, new_id
from frugal_chains.pricing import PriceBook
from frugal_chains.report import CacheMisses, cache_misses, misses_json, misses_view
from frugal_chains.tracking._prints import request_prints
from frugal_chains.usage import Usage

KEY = bytes(range(32))
NOON_US = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1e6)
SYSTEM = "You work for a company. " * 400
BOOK = PriceBook()


def talk(*texts: str, system: str = SYSTEM) -> tuple[MessageFacts, ...]:
    roles: tuple[Role, Role] = ("user", "assistant")
    said = [MessageFacts(role=roles[n % 2], text=f"{text} " * 200) for n, text in enumerate(texts)]
    return (*([MessageFacts(role="system", text=system)] if system else []), *said)


@dataclass
class Books:
    """Attempts a minute apart, on a provider that writes all that it does not read."""

    ledger: Ledger = field(default_factory=lambda: Ledger.open("memory://"))
    at_us: int = NOON_US

    def sent(
        self, messages: tuple[MessageFacts, ...], read: int, tokens: int = 5_000, **more: Any
    ) -> Attempt:
        asked = {"tools": more.pop("tools", ()), "cache_ttl": more.pop("ttl", "")}
        prints = request_prints(RequestFacts(messages=messages, **asked), KEY)
        facts = {
            "operation_id": new_id(self.at_us),
            "framework": "langchain",
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "thread_id": "t",
            "latency_s": 2.0,
            "prints": prints,
            **more,
        }
        usage = Usage(
            input_tokens=tokens, cache_read_tokens=read, cache_write_5m_tokens=tokens - read
        )
        row = Attempt(id=new_id(self.at_us), at_us=self.at_us, usage=usage, **facts)
        self.ledger.record(row)
        self.at_us += 60_000_000
        return row

    def found(self, **options: Any) -> CacheMisses:
        return cache_misses(self.ledger, book=BOOK, **options)


@pytest.fixture
def books() -> Books:
    return Books()


def text_of(found: CacheMisses, width: int = 60) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False).print(misses_view(found))
    return out.getvalue()


def causes(found: CacheMisses) -> list[tuple[str, int]]:
    return [(miss.cause, miss.requests) for miss in found.misses]


def test_what_was_lost_and_at_what_price(books: Books) -> None:
    books.sent(talk("a"), read=0)
    books.sent(talk("a", "b", "c"), read=0, tokens=6_000, tools=(ToolFacts(name="late"),))
    (miss,) = books.found().misses
    # 5,000 tokens were left; written again at 3.75 instead of read at 0.30 USD per million.
    assert (miss.cause, miss.missed_tokens) == ("tool-added", 5_000)
    assert miss.cost_nanos == 5_000 * (3_750 - 300)


def test_the_dearest_first_and_messages_as_one_cause(books: Books) -> None:
    said = list("abcdefghi")
    books.sent(talk("a", "b", "c"), read=0)
    for n in (5, 7, 9):
        changed = [*said[: n - 3], f"other {n}", *said[n - 2 : n]]
        books.sent(talk(*changed), read=3_000)
    books.sent(talk(*changed, "j", "k", system=f"{SYSTEM} at noon"), read=0)
    found = books.found()
    assert causes(found) == [("message-changed", 3), ("system-changed", 1)]
    assert found.misses[0].first_index == 2
    assert found.missed_tokens == 3 * 2_000 + 5_000
    assert [m.cost_nanos for m in found.misses] == [6_000 * 3_450, 5_000 * 3_450]


def test_agents_that_take_turns_in_one_thread_are_compared_with_themselves(books: Books) -> None:
    for turn in (1, 3, 5):
        said = [f"word {n}" for n in range(turn)]
        for node in ("writer", "critic"):
            head = f"You are the {node}. {SYSTEM}"
            books.sent(talk(*said, system=head), read=5_000, tags={"node": node})
    found = books.found()
    assert causes(found) == []
    assert (found.judged, found.hits) == (4, 4)


def test_single_questions_with_the_same_instructions_are_no_conversation(books: Books) -> None:
    for n in range(5):
        books.sent(talk(f"context and question {n}"), read=2_000)
        books.sent(talk(f"classify {n}", system=""), read=0)
    assert books.found().judged == 0


def test_a_window_that_drops_the_oldest_message_is_named(books: Books) -> None:
    said = [f"message {n}" for n in range(9)]
    books.sent(talk(*said[:5]), read=0)
    books.sent(talk(*said[2:7]), read=2_000)
    books.sent(talk(*said[4:9]), read=2_000)
    (miss,) = books.found().misses
    assert (miss.block, miss.first_index, miss.requests) == ("message", 0, 2)


@pytest.mark.parametrize("thread_id", ["t", ""])
def test_people_who_begin_alike_are_two_conversations(books: Books, thread_id: str) -> None:
    for who in ("ann", "bob"):
        books.sent(talk("hi"), read=5_000, thread_id=thread_id and thread_id + who)
        books.sent(talk("hi", "hello", f"{who} asks"), read=5_000, thread_id=thread_id and who)
        more = talk("hi", "hello", f"{who} asks", "so", "and?")
        books.sent(more, read=5_000, thread_id=thread_id and who)
    assert causes(books.found()) == []


def test_a_router_is_named_with_the_models_it_switches(books: Books) -> None:
    said: list[str] = []
    for n, model in enumerate(("claude-sonnet-4-5", "claude-opus-4-8", "claude-haiku-4-5")):
        said += [f"q{n}", f"a{n}"]
        books.sent(talk(*said[:-1]), read=0, model=model)
    found = books.found()
    assert {(m.name, m.model) for m in found.misses} == {
        ("claude-sonnet-4-5", "claude-opus-4-8"),
        ("claude-opus-4-8", "claude-haiku-4-5"),
    }
    assert {m.cause for m in found.misses} == {"model-changed"}


@pytest.mark.parametrize("node", ["writer", "critic"])
def test_who_answers_under_another_name_does_not_go_on(books: Books, node: str) -> None:
    books.sent(talk("a"), read=0, tags={"node": "writer"})
    books.sent(talk("a", "b", "c", system=f"{node}. {SYSTEM}"), read=0, tags={"node": node})
    assert causes(books.found()) == ([("system-changed", 1)] if node == "writer" else [])


def test_one_question_to_two_experts_is_no_conversation(books: Books) -> None:
    for expert in ("lawyer", "doctor"):
        books.sent(talk("a", system=f"You are a {expert}. {SYSTEM}"), read=0)
    assert books.found().judged == 0


def test_a_message_that_changed_where_no_thread_is_named(books: Books) -> None:
    books.sent(talk("a", "b", "c"), read=0, thread_id="")
    books.sent(talk("a", "b", "c", "d", "e"), read=5_000, thread_id="")
    books.sent(talk("a", "other", "c", "d", "e", "f", "g"), read=3_000, thread_id="")
    (miss,) = books.found().misses
    assert (miss.cause, miss.first_index, miss.missed_tokens) == ("message-changed", 1, 2_000)


def test_a_change_is_named_before_the_switch_of_models_it_came_with(books: Books) -> None:
    opus = {"model": "claude-opus-4-8"}
    books.sent(talk("a"), read=0)
    books.sent(talk("a", "b", "c"), read=0, **opus)
    books.sent(talk("a", "b", "c", "d", "e"), read=0, tools=(ToolFacts(name="x"),))
    assert sorted(causes(books.found())) == [("model-changed", 1), ("tool-added", 1)]


def test_an_entry_that_expired_while_another_model_answered(books: Books) -> None:
    said = list("abcdefghijklmno")
    books.sent(talk("a"), read=0)
    for n in range(3, 15, 2):  # six minutes
        books.sent(talk(*said[:n]), read=5_000 if n > 3 else 0, model="claude-opus-4-8")
    books.sent(talk(*said), read=0)
    assert {(m.cause, m.name) for m in books.found().misses} == {
        ("model-changed", "claude-sonnet-4-5"),
        ("model-changed", "claude-opus-4-8"),
    }


@pytest.mark.parametrize(("ttl", "cause"), [("", "expired"), ("5m", "expired"), ("1h", "evicted")])
def test_how_long_a_prompt_is_kept_is_asked_of_the_request(
    books: Books, ttl: str, cause: str
) -> None:
    books.sent(talk("a"), read=0, ttl=ttl)
    books.at_us += 400_000_000
    books.sent(talk("a", "b", "c"), read=0, ttl=ttl)
    assert causes(books.found()) == [(cause, 1)]


def test_another_service_tier_is_a_setting(books: Books) -> None:
    gpt = {"provider": "openai", "model": "gpt-4o"}
    books.sent(talk("a"), read=0, **gpt)
    books.sent(talk("a", "b", "c"), read=0, **gpt, service_tier="flex")
    (miss,) = books.found().misses
    assert (miss.cause, miss.name) == ("setting-changed", "service_tier")


@pytest.mark.parametrize(
    "of_no_interest",
    [
        {"purpose": "draft"},
        {"purpose": "summary"},
        {"purpose": "judge"},
        {"purpose": "retry"},
        {"status": "error"},
        {"status": "aborted"},
        {"service_tier": "batch"},
    ],
    ids=lambda fields: "-".join(fields.values()),
)
def test_what_is_no_miss(books: Books, of_no_interest: dict[str, str]) -> None:
    books.sent(talk("a"), read=0)
    books.sent(talk("a", "b", "c"), read=0, tools=(ToolFacts(name="x"),), **of_no_interest)
    assert causes(books.found()) == []


def test_usage_that_was_estimated_tells_nothing(books: Books) -> None:
    books.sent(talk("a"), read=0)
    row = books.sent(talk("a", "b", "c"), read=0, tools=(ToolFacts(name="x"),), thread_id="u")
    guess = row._replace(
        id=new_id(books.at_us), thread_id="t", usage=row.usage._replace(source="estimated")
    )
    books.ledger.record(guess)
    assert causes(books.found()) == []


def test_a_model_without_a_price_loses_tokens_and_no_money(books: Books) -> None:
    for turns in (1, 3):
        tools = (ToolFacts(name=f"t{turns}"),)
        books.sent(talk(*"abc"[:turns]), read=0, tools=tools, model="claude-of-tomorrow-9")
    (miss,) = books.found().misses
    assert (miss.missed_tokens, miss.cost_nanos, miss.unpriced) == (5_000, 0, 1)
    assert "and 1 without a price" in " ".join(text_of(books.found()).split())


def test_the_period_knows_what_came_before_it(books: Books) -> None:
    books.sent(talk("a"), read=0)
    late = books.sent(talk("a", "b", "c"), read=0, tools=(ToolFacts(name="x"),))
    found = books.found(since=late.at)
    assert (found.answers, causes(found)) == (1, [("tool-added", 1)])
    assert causes(books.found(until=late.at)) == []


def test_fingerprints_of_another_form_are_passed_over(books: Books) -> None:
    for odd in ({}, {"v": 99}, {"v": 1}, {"v": 1, "m": "", "n": 3, "h": "?"}, {"v": 1, "e": 7}):
        books.sent(talk("a"), read=0, prints=odd)
    found = books.found()
    assert (found.answers, found.fingerprinted) == (5, 0)


# -- printed -----------------------------------------------------------------------------------


def test_without_fingerprints_it_says_how_to_turn_them_on(books: Books) -> None:
    books.sent(talk("a"), read=0, prints=None)
    printed = " ".join(text_of(books.found()).split())
    assert printed.startswith("None of 1 answered calls has fingerprints.")
    assert "track_cost(fingerprints=True)" in printed
    assert misses_json(books.found())["turn_on"]
    with Ledger.open("memory://") as empty:
        assert "No answered call" in text_of(cache_misses(empty, book=BOOK))


def test_it_fits_60_columns_and_says_what_where_since_when_and_the_cost(books: Books) -> None:
    tools = tuple(ToolFacts(name=name, description=name * 9) for name in ("a", "b", "c"))
    books.sent(talk("a"), read=0, tools=(tools[0], tools[2]))
    books.sent(talk("a", "b", "c"), read=0, tools=tools)
    books.sent(talk("a", "b", "c", "d", "e"), read=5_000, tokens=6_000, tools=tools)
    found = books.found()
    printed = text_of(found)
    assert max(map(len, printed.splitlines())) <= 60
    plain = " ".join(printed.split())
    assert "2 requests compared with the one before: 1 read all they could." in plain
    assert "Missed: 5,000 tokens, $0.01725" in plain
    assert "tool 2 was added claude-sonnet-4-5 (anthropic)" in plain
    assert "1 request in 1 conversation, since 2026-11-20 12:01" in plain
    as_json = json.loads(json.dumps(misses_json(found)))
    assert as_json["cost_usd"] == "0.01725"
    (miss,) = as_json["misses"]
    assert (miss["cause"], miss["first_index"]) == ("tool-added", 1)
    assert miss["since"] == "2026-11-20T12:01:00+00:00"


@given(
    st.lists(
        st.tuples(
            st.integers(1, 6),
            st.integers(0, 2),
            st.sampled_from(["t", "u", ""]),
            st.integers(0, 5_000),
            st.sampled_from(["claude-sonnet-4-5", "claude-haiku-4-5", "gpt-4o", "odd"]),
        ),
        max_size=12,
    )
)
def test_any_books_can_be_told_of(rows: list[tuple[int, int, str, int, str]]) -> None:
    """Every request is counted once, and nothing is lost that was not left by another one."""
    books = Books()
    for turns, head, thread, read, model in rows:
        provider = "openai" if model == "gpt-4o" else "anthropic"
        said = talk(*(f"word {n}" for n in range(turns)), system=f"{head} {SYSTEM}")
        books.sent(said, read, thread_id=thread, model=model, provider=provider)
    found = books.found()
    assert found.answers == found.fingerprinted == len(rows)
    assert found.hits + found.requests <= found.judged + found.parallel <= len(rows)
    assert 0 <= found.missed_tokens <= 5_000 * max(0, len(rows) - 1)
    assert max(map(len, text_of(found).splitlines()), default=0) <= 60
    books.ledger.close()
