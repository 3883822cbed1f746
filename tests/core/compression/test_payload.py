"""Tools' outputs: a denser form first, then fewer fields, then fewer records; never invalid."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.payload import LEAST_TOKENS, fit_payload
from frugal_chains.compression.shape import restore
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCounter

COUNTER = TokenCounter()


def o200k(text: str) -> int:
    return COUNTER.count_text(text, model="gpt-4o", provider="openai").tokens


ORDER: dict[str, Any] = {
    "order_id": "ORD-99312",
    "customer": {
        "customer_id": "cus_8812",
        "email": "jane.roe@example.org",
        "address": {"street": "12 Long Lane", "city": "Springfield", "zip": "49007"},
    },
    "items": [
        {"sku": "SKU-1001", "description": "A very comfortable chair of oak", "price": 129.50},
        {"sku": "SKU-1002", "description": "A lamp that is blue and has a switch", "price": 20.00},
    ],
    "created_at": "2026-03-01T10:11:12Z",
    "status": "shipped",
}


def test_only_the_form_changes_where_that_is_enough() -> None:
    text = json.dumps(ORDER, indent=2)
    for budget_tokens in (None, 400):
        found = fit_payload(text, query="", budget_tokens=budget_tokens, count=o200k)
        assert found.step == "shape"
        assert found.tokens_after == o200k(found.text) < found.tokens_before == o200k(text)
        assert json.loads(restore(found.text, found.form)) == ORDER
        assert found.dropped_fields == ()


def test_what_later_calls_need_stays_when_fields_have_to_go() -> None:
    text = json.dumps(ORDER)
    budget_tokens = o200k(text) // 2
    found = fit_payload(text, query="refund my order", budget_tokens=budget_tokens, count=o200k)
    assert found.step == "fields"
    assert found.tokens_after == o200k(found.text) <= budget_tokens
    left = json.loads(restore(found.text, found.form))
    assert left["order_id"] == "ORD-99312"
    assert left["customer"]["customer_id"] == "cus_8812"
    assert [item["sku"] for item in left["items"]] == ["SKU-1001", "SKU-1002"]
    assert [item["price"] for item in left["items"]] == [129.50, 20.00]
    assert {"created_at", "customer.email", "items.*.description"} <= set(found.dropped_fields)


def test_a_field_that_is_asked_for_stays() -> None:
    text = json.dumps(ORDER)
    found = fit_payload(
        text, query="Is it the one to Springfield?", budget_tokens=o200k(text) // 2, count=o200k
    )
    assert "Springfield" in found.text


def test_of_many_records_those_that_have_to_do_with_the_query_stay() -> None:
    hotels = [
        {"name": f"Hotel {n}", "city": ("Rome", "Oslo", "Lima")[n % 3], "room_id": f"R-{n}9{n}"}
        for n in range(60)
    ]
    text = json.dumps({"hotels": hotels})
    found = fit_payload(text, query="hotels named Hotel 17", budget_tokens=120, count=o200k)
    assert found.tokens_after <= 120
    left = json.loads(restore(found.text, found.form))["hotels"]
    assert any(hotel["name"] == "Hotel 17" for hotel in left)
    assert 3 < len(left) < 40


def test_records_under_ids_are_records() -> None:
    text = json.dumps(
        {f"user_{n}77": {"name": f"N{n}", "note": f"Note {n} " * 20} for n in range(5)}
    )
    found = fit_payload(text, query="", budget_tokens=80, count=o200k)
    assert found.dropped_fields == ("*.note",)
    assert list(json.loads(restore(found.text, found.form))) == [f"user_{n}77" for n in range(5)]


def test_short_outputs_are_left_alone() -> None:
    text = "Error: payment amount does not add up, total price is 305, but paid 255"
    assert o200k(text) < LEAST_TOKENS
    found = fit_payload(text, query="", budget_tokens=5, count=o200k)
    assert (found.text, found.step) == (text, "original")
    cut = fit_payload(text, query="", budget_tokens=8, count=o200k, least_tokens=0)
    assert cut.tokens_after <= 8


def test_prose_is_extracted() -> None:
    text = " ".join(f"Sentence {n} is about nothing." for n in range(80)) + " The code is Z7GOZK."
    found = fit_payload(text, query="which code is it", budget_tokens=40, count=o200k)
    assert found.step == "extract"
    assert "The code is Z7GOZK." in found.text
    assert found.tokens_after == o200k(found.text) <= 40


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 10**6) | st.text(max_size=12)
    | st.sampled_from(["ORD-1", "2026-01-02", "a@b.org", "Jane", "one two three four five"]),
    lambda inside: st.lists(inside, max_size=6)
    | st.dictionaries(st.sampled_from(["id", "name", "zip", "items", "x", "user_11"]), inside),
    max_leaves=40,
)  # fmt: skip


def _scalars(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for inside in value.values() for one in _scalars(inside)]
    if isinstance(value, list):
        return [one for inside in value for one in _scalars(inside)]
    return [json.dumps(value)]


@given(JSON, st.integers(1, 120), st.sampled_from(["", "Jane ORD-1", "zip"]))
def test_a_budget_holds_and_what_is_left_was_there(
    value: Any, budget_tokens: int, query: str
) -> None:
    text = json.dumps(value)
    found = fit_payload(text, query=query, budget_tokens=budget_tokens, count=o200k, least_tokens=0)
    assert found.tokens_after <= max(0, budget_tokens)
    assert found.tokens_after == o200k(found.text)
    if found.step in ("shape", "fields"):
        left = json.loads(restore(found.text, found.form))
        assert set(_scalars(left)) <= set(_scalars(value))
    if found.step == "shape":
        assert json.loads(restore(found.text, found.form)) == value
    assert found == fit_payload(
        text, query=query, budget_tokens=budget_tokens, count=o200k, least_tokens=0
    )


@pytest.mark.parametrize("budget_tokens", [0, -3])
def test_no_budget_is_an_error(budget_tokens: int) -> None:
    with pytest.raises(CompressionError, match="1 or more"):
        fit_payload("x", query="", budget_tokens=budget_tokens, count=o200k)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00" * 500, "\ud800" * 300, "[" * 2000, '{"a": [1, ' * 300, "x" * 300_000,
     json.dumps([{"a": n, "b": "y" * 20} for n in range(20_000)])],
    ids=["empty", "blank", "nul", "surrogates", "brackets", "broken", "one word", "long"],
)  # fmt: skip
def test_whatever_comes_out_of_a_tool(text: str) -> None:
    found = fit_payload(text, query="a 7", budget_tokens=100, count=len)
    assert found.tokens_after <= 100 or found.tokens_before < LEAST_TOKENS


def test_alike_lines_of_a_log_become_one_and_errors_stay() -> None:
    lines = [
        f"2026-01-01T00:00:{n % 60:02d}Z INFO served /item/{n} in {n % 7} ms" for n in range(150)
    ]
    lines.insert(77, "2026-01-01T00:01:17Z ERROR disk sda1 is full")
    text = "\n".join(lines)
    found = fit_payload(text, query="why", budget_tokens=o200k(text) // 4, count=o200k)
    assert found.step == "log"
    assert "ERROR disk sda1 is full" in found.text
    assert found.tokens_after == o200k(found.text)


def test_what_just_fits_in_its_denser_form_loses_nothing() -> None:
    text = json.dumps(ORDER, indent=2)
    whole = fit_payload(text, query="", budget_tokens=None, count=o200k).tokens_after
    assert fit_payload(text, query="", budget_tokens=whole, count=o200k).step == "shape"
    assert fit_payload(text, query="", budget_tokens=whole - 1, count=o200k).step == "fields"


WORTH = {
    "an id, in any spelling": ({"orderId": "blue"}, {"colour": "blue"}),
    "a name beside other words": ({"first_name": "blue"}, {"favourite": "blue"}),
    "neither address": ({"colour": "blue"}, {"shippingAddress": "blue"}),
    "no time stamp": ({"colour": "blue"}, {"createdAt": "blue"}),
    "a date": ({"then": "2026-03-01"}, {"colour": "blue green"}),
    "no time of day": ({"colour": "blue sea"}, {"begins": "10:11:12"}),
    "no e-mail address": ({"colour": "blue sea"}, {"contact": "a@b.org"}),
    "what the query says": ({"colour": "Red"}, {"taste": "mild"}),
}


@pytest.mark.parametrize("why", WORTH)
def test_of_two_fields_the_one_that_is_handed_on_stays(why: str) -> None:
    kept, dropped = WORTH[why]
    for order in ({**kept, **dropped}, {**dropped, **kept}):
        text = json.dumps({**order, "sku": "SKU-1001"})
        budget_tokens = len(text) - min(len(json.dumps(kept)), len(json.dumps(dropped))) + 1
        found = fit_payload(
            text, query="Anything RED", budget_tokens=budget_tokens, count=len, forms=(),
            least_tokens=0,
        )  # fmt: skip
        assert found.dropped_fields == tuple(dropped)


def test_a_field_that_fits_after_all_is_kept() -> None:
    value = {"sku": "SKU-1001", "status": "ok", "title": "a chair of oak with legs " * 4}
    text = json.dumps(value)
    found = fit_payload(text, query="", budget_tokens=60, count=len, forms=(), least_tokens=0)
    assert found.dropped_fields == ("title",)


def test_of_one_field_alone_a_part_is_kept() -> None:
    text = json.dumps({"note": "The door is open. " * 30 + "The code is seven."})
    found = fit_payload(text, query="code", budget_tokens=60, count=o200k)
    assert found.step == "extract"
    assert found.text not in ("", "{}")


def test_of_many_records_no_field_goes_that_later_calls_need() -> None:
    rooms = [
        {"room_id": f"R-{n}9{n}", "price": n * 7, "note": f"Note {n} of it"} for n in range(40)
    ]
    text = json.dumps(rooms)
    found = fit_payload(text, query="the room R-595", budget_tokens=80, count=o200k)
    assert found.step == "extract"
    left = json.loads(restore(found.text, found.form))
    assert {"room_id": "R-595", "price": 35, "note": "Note 5 of it"} in left
    assert {len(room) for room in left} == {3}  # a short record is kept whole
    few = fit_payload(json.dumps(rooms[:10]), query="R-595", budget_tokens=60, count=o200k)
    assert (few.step, few.dropped_fields) == ("extract", ())
    # Records are counted in the denser form that they get: the budget is used.
    assert 0.7 * 80 <= found.tokens_after <= 80


def test_what_a_pattern_matches_is_never_cut() -> None:
    text = "It is old. WARNING: hot. Do not touch it! END. It is blue. Beans grow. " * 3
    warning = re.compile(r"WARNING:.*?END", re.DOTALL)
    for budget_tokens in range(8, 60, 3):
        found = fit_payload(
            text, query="do not touch", budget_tokens=budget_tokens, count=o200k, least_tokens=0,
            patterns=[warning],
        )  # fmt: skip
        left = warning.sub("", found.text)
        assert not any(word in left for word in ("WARNING", "touch", "END"))


def test_a_grouped_log_over_the_budget_is_no_answer() -> None:
    words = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven"]
    lines = [
        f"2026-01-01T00:00:{n % 60:02d}Z INFO {words[n % 8]} {' '.join(words[n % 7 :])} served"
        for n in range(80)
    ]
    text = "\n".join(lines)
    found = fit_payload(text, query="cedar", budget_tokens=60, count=o200k)
    assert found.tokens_after == o200k(found.text) <= 60
