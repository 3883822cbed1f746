"""The form with the fewest tokens: never more than before, the same everywhere, and back again."""

import hashlib
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.compression.shape import (
    FORMS,
    LOSSLESS_FORMS,
    MAX_CHARS,
    ORIGINAL,
    READER_FORMS,
    ShapeError,
    checked_lossless,
    restore,
    shape,
)
from frugal_chains.errors import FrugalError

_PIECE = re.compile(r" ?[^\W\d_]+|\d{1,3}| ?[^\w\s]{1,3}|_|\s+")


def count(text: str) -> int:
    """Roughly what byte pair encoders split at: words with the blank before them, three digits."""
    return len(_PIECE.findall(text))


ORDER = {
    "id": "W379",
    "address": {"city": "Fort Worth", "zip": "76134"},
    "items": [
        {"name": "Lamp", "price": 12.5, "options": {"color": "black", "size": "S"}},
        {"name": "Desk", "price": 99, "options": {"color": "oak", "size": "L"}},
    ],
    "paid": True,
    "note": None,
}
FLIGHTS = [
    {"flight": f"HAT{i:03}", "from": "JFK", "status": "available", "seats": {"eco": i, "biz": 3}}
    for i in range(20)
]
PAYLOADS: dict[str, str] = {
    "an object": json.dumps(ORDER),
    "records": json.dumps(FLIGHTS),
    "indented": json.dumps(ORDER, indent=2),
    "without blanks": json.dumps(ORDER, separators=(",", ":")),
    "with escapes": json.dumps({"name": "Zoë Łuczak", "city": "東京", "tags": ["ünï"] * 3}),
    "doubled keys and odd numbers": '{"a": 1.0, "a": 1e3, "b": -0, "c": NaN, "d": 1'
    + "0" * 400
    + "}",
    "halves of surrogate pairs, escaped": '{"a": "\\ud800", "b": [ "\\u0000" , "\\ud83d\\ude00" ]}',
    "CRLF": json.dumps(ORDER, indent=2).replace("\n", "\r\n"),
}


def exact(text: str) -> Any:
    def number(written: str) -> tuple[str, str]:
        return "number", written

    return json.loads(
        text,
        parse_float=number,
        parse_int=number,
        parse_constant=number,
        object_pairs_hook=lambda pairs: ("object", pairs),
    )


@pytest.mark.parametrize("text", PAYLOADS.values(), ids=PAYLOADS)
def test_json_gets_shorter_and_comes_back(text: str) -> None:
    shaped = shape(text, count)
    assert shaped.form in LOSSLESS_FORMS
    assert shaped.lossless
    assert shaped.tokens_before == count(text)
    assert shaped.tokens_after == count(shaped.text) < shaped.tokens_before
    assert shaped.saved_tokens == shaped.tokens_before - shaped.tokens_after
    assert str(shaped.tokens_after) in shaped.reason
    assert exact(restore(shaped.text, shaped.form)) == exact(text)


def test_records_lose_their_repeated_keys() -> None:
    text = json.dumps(FLIGHTS, separators=(",", ":"))
    shaped = shape(text, count)
    assert shaped.form == "outline"
    assert shaped.text.count("flight") == 1
    assert shaped.tokens_after < shaped.tokens_before / 2


def test_json_lines_come_back_as_json_lines() -> None:
    text = "\n".join(json.dumps(flight) for flight in FLIGHTS) + "\n"
    shaped = shape(text, count)
    assert shaped.form == "json-lines"
    back = restore(shaped.text, shaped.form).split("\n")
    assert [json.loads(row) for row in back] == FLIGHTS


@given(st.text(max_size=60) | st.text('{}[]",:1a \n|<>-', max_size=60), st.booleans())
def test_no_text_gets_longer_or_raises(text: str, lossless_only: bool) -> None:
    shaped = shape(text, count, lossless_only=lossless_only)
    assert shaped.tokens_after <= shaped.tokens_before
    if shaped.form == ORIGINAL:
        assert shaped.text is text
    assert shaped.lossless == (shaped.form not in READER_FORMS)
    if shaped.lossless:
        restore(shaped.text, shaped.form)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        st.text(max_size=5) | st.integers() | st.booleans() | st.none() | st.floats(),
        lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=4), v, max_size=4),
        max_leaves=15,
    ),
    st.sampled_from([None, 2]),
)
def test_the_choice_is_right_by_real_counts(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    best = shape(text, count)
    alone = [shape(text, count, forms=[form]).tokens_after for form in LOSSLESS_FORMS]
    assert best.tokens_after == min(alone)
    assert exact(restore(best.text, best.form)) == exact(text)


def test_forms_can_be_left_out() -> None:
    text = json.dumps(FLIGHTS)
    assert shape(text, count, forms=["json"]).form == "json"
    assert shape(text, count, forms=[]).text is text


def test_the_same_bytes_in_every_process() -> None:
    program = (
        "import json,sys; from frugal_chains.compression.shape import shape\n"
        "sys.stdout.write(shape(json.dumps(json.load(sys.stdin)), len).text)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps([ORDER, FLIGHTS]),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(texts) == 1
    assert texts.pop()


UNTOUCHED: dict[str, tuple[str, str]] = {
    "nothing": ("", "not a JSON object, array or text"),
    "a number": ("255.0", "not a JSON object, array or text"),
    "prose": ("Flight HAT136 is full.", "not a JSON object, array or text"),
    "broken JSON": ('{"a": 1,}', "not JSON"),
    "two values": ("{} []", "not JSON"),
    "an unfinished text": ('["' + '\\"' * 500_000, "not JSON"),
    "1,000 levels": ("[" * 1000 + "]" * 1000, "nested deeper than 64 levels"),
    "1,000 objects in each other": ('{"a":' * 1000 + "1" + "}" * 1000, "nested deeper than"),
    "a million open brackets": ("[" * 1_000_000, "nested deeper than"),
    "quotes and brackets": ('["' * 500_000, "nested deeper than"),
    "NUL": ('{"a":  "\0"}', "NUL"),
    "half a surrogate pair": ('{"a":  "\ud800"}', "surrogate"),
    "5 MB": ('{"a":  "' + "x " * 2_500_000 + '"}', f"longer than {MAX_CHARS} characters"),
    "already short": ("[1,2,3]", "no form is shorter"),
}


@pytest.mark.parametrize(("text", "reason"), UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_cannot_be_shaped_stays_as_it_is(text: str, reason: str) -> None:
    shaped = shape(text, lambda t: len(t.encode()))  # a count that takes valid Unicode only
    assert shaped.text is text
    assert shaped.form == ORIGINAL
    assert shaped.tokens_before == shaped.tokens_after
    assert shaped.lossless
    assert reason in shaped.reason
    assert restore(shaped.text, shaped.form) is text


def test_deep_nesting_is_read_however_deep_the_caller_is() -> None:
    text = '{"a": ' * 60 + "[1, 2]" + "}" * 60
    assert exact(restore(shape(text, count).text, shape(text, count).form)) == exact(text)


def test_a_megabyte_in_bounded_time() -> None:
    rows = [
        {"id": i, "name": f"n {i}", "tags": ["a", "b"], "at": {"x": i, "y": None}}
        for i in range(15_000)
    ]
    text = json.dumps(rows)
    assert 1_000_000 < len(text) < MAX_CHARS
    shaped = shape(text, len)
    assert shaped.tokens_after < 0.4 * shaped.tokens_before
    assert hashlib.sha256(restore(shaped.text, shaped.form).encode()).digest() == (
        hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).digest()
    )


@pytest.mark.parametrize("form", READER_FORMS)
def test_what_cannot_be_undone_says_so(form: str) -> None:
    with pytest.raises(ShapeError, match="cannot be undone"):
        restore("text", form)


def test_unknown_forms_are_named() -> None:
    with pytest.raises(ShapeError, match=r"'yaml'.*outline"):
        restore("a: 1", "yaml")
    with pytest.raises(FrugalError, match="'toon'"):
        shape("{}", count, forms=[*FORMS, "toon"])


@pytest.mark.parametrize(("text", "form"), [("a: 1\nb", "outline"), ("a: 1", "json-lines")])
def test_a_text_of_another_form_is_refused(text: str, form: str) -> None:
    with pytest.raises(ShapeError, match="not an outline"):
        restore(text, form)


def lines_cost(text: str) -> int:
    """A count to which a line break is dear: an outline then has more than JSON."""
    return len(text) + 200 * text.count("\n")


@pytest.mark.parametrize(
    "text",
    [json.dumps({"a": "x " * 150, "b": "y " * 150}), json.dumps({"a": "é" * 200, "b": "ü" * 200})],
    ids=["long texts", "escapes that JSON without blanks has not"],
)
def test_what_has_the_fewest_tokens_wins_however_short_another_looks(text: str) -> None:
    assert shape(text, lines_cost).form == "json"


def test_of_two_forms_with_the_same_tokens_the_better_known_wins() -> None:
    text = json.dumps(ORDER)
    assert shape(text, lambda one: 10 if one == text else 5).form == "json"


def test_json_lines_are_objects_or_arrays_and_only_where_they_are_wanted() -> None:
    rows = "\n".join(json.dumps({"id": n, "colour": "red"}) for n in range(5))
    assert shape(rows, len).form == "json-lines"
    assert shape(rows, len, forms=["json", "outline"]).text is rows
    mixed = rows + "\n255\n255"
    assert shape(mixed, len).text is mixed


def test_blanks_in_the_texts_of_json_are_never_squeezed() -> None:
    text = '{"a":"x  y"}'
    shaped = shape(text, len, lossless_only=False, forms=["whitespace"])
    assert shaped.text is text
    assert shaped.reason == "no form is shorter"


def test_lossless_forms_are_checked_and_in_one_order() -> None:
    assert checked_lossless({"outline", "json-lines", "json"}) == LOSSLESS_FORMS
    assert checked_lossless(["outline", "json"]) == ("json", "outline")
    assert checked_lossless(()) == ()
    for form in (*READER_FORMS, "toon"):
        with pytest.raises(
            FrugalError, match=f"no lossless form '{form}'; there are json, outline"
        ):
            checked_lossless(["json", form])
