"""The schema check: what structured output uses of JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frugal_chains.routing.cascade import schema_problem

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "role": {"enum": ["admin", "user"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "boss": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}

FITS: list[Any] = [
    {"name": "Ann"},
    {"name": "Ann", "age": 3, "role": "user", "tags": ["a", "b"], "boss": {"name": "Bob"}},
    {"name": "Ann", "boss": None, "age": 3.0},
]
DOES_NOT: list[tuple[Any, str]] = [
    ({}, "has no 'name'"),
    ({"name": ""}, "$.name breaks minLength 1"),
    ({"name": "Ann", "age": -1}, "$.age breaks minimum 0"),
    ({"name": "Ann", "age": 150}, "$.age breaks exclusiveMaximum 150"),
    ({"name": "Ann", "age": True}, "$.age is boolean, not integer"),
    ({"name": "Ann", "age": 1.5}, "$.age is number, not integer"),
    ({"name": "Ann", "role": "root"}, "$.role is none of the 2 values"),
    ({"name": "Ann", "tags": ["a", 1]}, "$.tags[1] is integer, not string"),
    ({"name": "Ann", "tags": ["a", "b", "c"]}, "$.tags breaks maxItems 2"),
    ({"name": "Ann", "boss": {"age": 1}}, "$.boss fits none of anyOf"),
    ({"name": "Ann", "more": 1}, "has 'more'"),
    ([], "$ is array, not object"),
    (None, "$ is null, not object"),
]


@pytest.mark.parametrize("value", FITS)
def test_what_fits(value: Any) -> None:
    assert schema_problem(json.dumps(value), json.dumps(PERSON)) == ""


@pytest.mark.parametrize(("value", "says"), DOES_NOT)
def test_what_does_not_fit_says_where(value: Any, says: str) -> None:
    assert says in schema_problem(json.dumps(value), json.dumps(PERSON))


@pytest.mark.parametrize("text", ["", "not json", '{"name": "Ann"', '{"name": NaN}', "[" * 100_000])
def test_what_is_no_json_is_a_problem_and_no_error(text: str) -> None:
    assert schema_problem(text, json.dumps(PERSON))


def test_a_fence_around_the_json_is_taken_off() -> None:
    assert schema_problem('```json\n{"name": "Ann"}\n```', json.dumps(PERSON)) == ""


@pytest.mark.parametrize("schema", ["", "no json", "[]", '"text"', '{"type": "wat"}', "{}", "true"])
def test_a_schema_that_cannot_be_read_says_nothing_about_the_answer(schema: str) -> None:
    assert schema_problem('{"name": 1}', schema) == ""


def test_the_wrappers_of_providers_are_looked_into() -> None:
    wrapped = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    assert "has no 'name'" in schema_problem("{}", json.dumps(wrapped))
    assert "has no 'name'" in schema_problem("{}", json.dumps({"name": "p", "schema": PERSON}))


def test_a_schema_of_itself_ends() -> None:
    assert schema_problem("1", '{"$ref": "#"}') == ""
    assert schema_problem("1", '{"allOf": [{"$ref": "#"}, {"$ref": "#/nowhere"}]}') == ""


def test_other_keywords() -> None:
    assert schema_problem("4", '{"multipleOf": 3}') == "$ breaks multipleOf 3"
    assert schema_problem("0.3", '{"multipleOf": 0.1}') == ""
    assert schema_problem('"ab"', '{"pattern": "^c"}') == "$ does not match /^c/"
    assert schema_problem('"ab"', '{"pattern": "("}') == ""
    assert schema_problem("1", '{"const": true}') == "$ is not True"
    assert schema_problem("1", '{"not": {"type": "integer"}}') == "$ is what it must not be"
    assert schema_problem('{"type": 1}', '{"properties": {"type": {"type": "string"}}}')
    assert schema_problem("null", '{"type": "STRING", "nullable": true}') == ""
    assert (
        schema_problem("[1, 2]", '{"prefixItems": [{}], "items": false}') == "$[1] is not allowed"
    )


def test_keywords_hold_each_by_itself() -> None:
    whole_text = '{"allOf": [{"type": "integer"}, {"type": "string"}]}'
    assert schema_problem("1", whole_text) == "$ is integer, not string"
    assert schema_problem("NaN", '{"type": "number"}') == "no JSON: NaN is no JSON number"
    assert schema_problem("1", '{"type": "STRING"}') == "$ is integer, not STRING"
