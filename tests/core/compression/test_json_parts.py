"""JSON in parts: what is put together again is the same JSON, whatever its layout."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression._json import parts_of, read_json, rendered
from tests.own_time import own_seconds

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["a,b", "]}", '"', "\\", "x:y", "\n", "\ud800"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.lists(VALUES, max_size=5) | st.dictionaries(st.text(), VALUES, max_size=5)
LAYOUTS = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(DOCUMENTS, LAYOUTS, st.sampled_from([0, 20, 10_000]))
def test_all_parts_make_the_whole(value: Any, layout: Any, whole_chars: int) -> None:
    text = " \n" + json.dumps(value, **layout) + "\n"
    box = read_json(text)
    assert box is not None
    every = {item.start for _, item in parts_of(box, whole_chars)}
    again = json.loads(rendered(text, box, every, whole_chars))
    assert again == json.loads(text)
    assert json.dumps(again) == json.dumps(json.loads(text))  # 1.0 stays 1.0, and keys in order


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_some_parts_make_valid_json_of_them_alone(value: Any, rng: Any) -> None:
    text = json.dumps(value)
    box = read_json(text)
    assert box is not None
    parts = list(parts_of(box, 0))
    kept = {item.start for _, item in parts if rng.random() < 0.5}
    left = json.loads(rendered(text, box, kept, 0))
    again = read_json(json.dumps(left))
    assert again is not None
    found = [json.loads(json.dumps(left)[i.value_start : i.end]) for _, i in parts_of(again, 0)]
    assert found == [
        json.loads(text[item.value_start : item.end]) for _, item in parts if item.start in kept
    ]


def test_a_part_knows_the_keys_that_lead_to_it_and_its_value() -> None:
    text = '{"a": {"b": [ 10, {"c" : true} ]}, "d":"x", "e": {} }'
    box = read_json(text)
    assert box is not None
    assert [
        (path, text[item.start : item.end], text[item.value_start : item.end])
        for path, item in parts_of(box, 0)
    ] == [
        (("a", "b", ""), "10", "10"),
        (("a", "b", "", "c"), '"c" : true', "true"),
        (("d",), '"d":"x"', '"x"'),
        (("e",), '"e": {}', "{}"),
    ]


def test_numbers_keys_and_escapes_stay_as_they_were_written() -> None:
    text = r'[1.0, 1e3, 12345678901234567890123, -0, "\u00e9\/", {"k": 1, "k": 2}]'
    box = read_json(text)
    assert box is not None
    every = {item.start for _, item in parts_of(box, 0)}
    assert rendered(text, box, every, 0).replace(",", ", ") == text


@pytest.mark.parametrize(
    "text",
    ["", "x", '"text"', "12", "[1, 2", '{"a": }', "{'a': 1}", "[" * 5000, "[1] [2]", "\x00[]"],
)
def test_what_is_no_array_or_object_of_json_is_none(text: str) -> None:
    assert read_json(text) is None


@pytest.mark.parametrize(
    "text",
    ["[" * 900 + "]" * 900, json.dumps([{"a": n, "b": " " * 9} for n in range(90_000)])],
    ids=["deep", "long"],
)
def test_deep_and_long_json_takes_bounded_time(text: str) -> None:
    def taken_apart() -> None:
        box = read_json(text)
        if box is not None:
            assert json.loads(rendered(text, box, {i.start for _, i in parts_of(box, 0)}, 0))

    assert own_seconds(taken_apart) < 15


def test_what_lies_deeper_than_forty_levels_is_one_part() -> None:
    """Each level takes a frame of Python's stack, of which json.loads has none."""
    box = read_json("[" * 50 + "1,2" + "]" * 50)
    assert box is not None
    assert len(list(parts_of(box, 0))) == 1


def test_what_is_no_longer_than_a_whole_part_is_one() -> None:
    text = "[[1,2,3],[1,2,33]]"
    box = read_json(text)
    assert box is not None
    parts = [text[item.start : item.end] for _, item in parts_of(box, len("[1,2,3]"))]
    assert parts == ["[1,2,3]", "1", "2", "33"]
