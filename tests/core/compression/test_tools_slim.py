"""Definitions in fewer words: what goes, what stays, and that nothing means something else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.tools import slim_tool
from frugal_chains.facts import ToolFacts


def slim(schema: object, description: str = "") -> Any:
    made = slim_tool(ToolFacts(name="t", description=description, parameters=json.dumps(schema)))
    return json.loads(made.parameters)


def properties(**schemas: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


def one(schema: dict[str, Any], name: str = "x", *, required: bool = False) -> Any:
    whole = properties(**{name: schema}) | ({"required": [name]} if required else {})
    return slim(whole)["properties"][name]


def test_what_pydantic_adds_is_gone() -> None:
    """The schema that pydantic 2 makes of a model with a docstring, written down by hand."""
    schema = {
        "$defs": {
            "Unit": {"enum": ["celsius", "fahrenheit"], "title": "Unit", "type": "string"},
        },
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "Look up the weather.",
        "title": "WeatherArguments",
        "type": "object",
        "properties": {
            "city": {"title": "City", "type": "string", "description": "Where.  To look"},
            "unit": {"$ref": "#/$defs/Unit", "default": "celsius"},
            "days": {
                "anyOf": [{"type": "integer"}, {"type": "null"}],
                "default": None,
                "title": "Days",
            },
        },
        "required": ["city"],
    }
    made = slim_tool(
        ToolFacts(name="weather", description="Look up the weather.", parameters=json.dumps(schema))
    )
    assert made.parameters == (
        '{"type":"object","properties":{"city":{"type":"string","description":"Where. To look"},'
        '"unit":{"enum":["celsius","fahrenheit"],"type":"string","default":"celsius"},'
        '"days":{"anyOf":[{"type":"integer"},{"type":"null"}]}},"required":["city"]}'
    )


def test_parameters_may_be_called_like_keywords() -> None:
    schema = properties(
        title={"type": "string"},
        examples={"type": "array", "items": {"type": "string"}},
        default={"type": "integer"},
        description={"type": "string", "description": "what is written below the picture"},
    )
    assert slim(schema) == schema


def test_data_is_no_schema() -> None:
    schema = properties(
        x={
            "enum": [{"title": "a", "$schema": "b"}],
            "const": {"title": "c"},
            "default": {"title": ""},
        }
    )
    assert slim(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": False},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "string", "default": "en"},
        {"type": "integer", "default": 0, "description": "how many at least"},
        {"type": "integer", "default": 5, "description": "default is 50 in winter"},
        {"type": "string", "examples": ["AB-12"]},
        {"type": "string", "title": "Name of the guest"},
        {"type": "boolean", "default": False},
        {"type": "integer", "minimum": 0, "minLength": False},
        {"type": "string", "enum": ["a", "b"], "description": "One of a, b or nothing at all"},
        {"type": "string", "description": ">= 0"},
        {"type": "string", "description": "required. Without it the order fails"},
        {"type": "string", "description": "A or B, as printed"},
        {"type": "string", "description": "x, not in metres"},
    ],
)
def test_what_means_something_stays(schema: dict[str, Any]) -> None:
    assert one(schema) == schema


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "additionalProperties": True}, {"type": "object"}),
        ({"type": "object", "additionalProperties": {}}, {"type": "object"}),
        ({"type": "object", "required": []}, {"type": "object"}),
        ({"type": "string", "default": None}, {"type": "string"}),
        (
            {"type": "integer", "default": 5, "description": "Number of rows (default: 5)"},
            {"type": "integer", "description": "Number of rows (default: 5)"},
        ),
        (
            {"type": "string", "default": "en", "description": "language; defaults to 'en'"},
            {"type": "string", "description": "language; defaults to 'en'"},
        ),
        (
            {
                "type": "boolean",
                "default": True,
                "description": "whether to wait. Default is True.",
            },
            {"type": "boolean", "description": "whether to wait. Default is True."},
        ),
        (
            {"type": "string", "examples": ["a"], "description": "letter of the row"},
            {"type": "string", "description": "letter of the row"},
        ),
        (
            {"enum": ["asc", "desc"], "description": "Sorting. Possible values: 'asc', 'desc'."},
            {"enum": ["asc", "desc"], "description": "Sorting"},
        ),
        (
            {"type": "boolean", "description": "A flag indicating whether to wait."},
            {"type": "boolean", "description": "whether to wait"},
        ),
        (
            {"type": "string", "description": "Optional. The colour of the car."},
            {"type": "string", "description": "colour of the car"},
        ),
        ({"type": "string", "description": "The x."}, {"type": "string"}),
        ({"$comment": "seen by nobody", "type": "string"}, {"type": "string"}),
    ],
)
def test_what_says_nothing_goes(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert one(schema) == expected


def test_a_null_default_of_a_required_parameter_stays() -> None:
    schema = {"type": "string", "default": None}
    assert one(schema, required=True) == schema


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("This function is used to fetch a page.", "Fetch a page."),
        ("This tool allows you to book a room. It asks first.", "Book a room. It asks first."),
        ("Use this tool to search.", "Search."),
        ("This function returns the time.", "Returns the time."),
        ("This function is deprecated.", "This function is deprecated."),
        ("This tool requires a login.", "This tool requires a login."),
        ("Use this tool when nothing else fits.", "Use this tool when nothing else fits."),
        ("Wait  in order to\n\n  retry", "Wait to\nretry"),
        ('Say "in order to" aloud, in order to win', 'Say "in order to" aloud, to win'),
        ("Runs\n```\nx  =  1\n```  \n", "Runs\n```\nx  =  1\n```"),
        ("Il n'est pas là", "Il n'est pas là"),
        ("", ""),
    ],
)
def test_descriptions_of_tools(before: str, after: str) -> None:
    assert slim_tool(ToolFacts(name="t", description=before)).description == after


def test_definitions_used_once_stand_where_they_are_meant() -> None:
    point = {"type": "object", "properties": {"lat": {"type": "number"}}}
    schema = properties(
        a={"$ref": "#/$defs/Point", "description": "where it starts"},
        b={"type": "array", "items": {"$ref": "#/$defs/Twice"}},
        c={"$ref": "#/$defs/Twice"},
        d={"$ref": "#/$defs/Node"},
    ) | {
        "$defs": {
            "Point": point,
            "Twice": {"type": "string"},
            "Unused": {"type": "integer"},
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
        }
    }
    made = slim(schema)
    assert made["properties"]["a"] == point | {"description": "where it starts"}
    assert made["properties"]["c"] == {"$ref": "#/$defs/Twice"}
    assert sorted(made["$defs"]) == ["Node", "Twice"]


@pytest.mark.parametrize(
    "parameters",
    [
        "no JSON",
        "[1, 2]",
        '"text"',
        "null",
        '{"type": "object", "type": "string"}',
        '{"properties": {"x": {"default": NaN}}}',
        '{"properties": {"x": {"default": 1e400}}}',
        '{"a":' * 1_000 + "1" + "}" * 1_000,
        "[" * 100_000,
        '{"x": "' + "a" * 5_000_000 + '"}',
        "\x00\r\n",
    ],
)
def test_what_is_no_schema_stays(parameters: str) -> None:
    assert slim_tool(ToolFacts(name="t", parameters=parameters)).parameters == parameters


def test_a_long_description_stays() -> None:
    text = "This function is used to " + "wait  " * 1_000_000
    assert slim_tool(ToolFacts(name="t", description=text)).description == text


def test_lone_surrogates_can_still_be_sent() -> None:
    made = slim_tool(ToolFacts(name="t", parameters='{"type": "object", "x-\\ud800": "\\udfff é"}'))
    assert made.parameters.encode() == b'{"type":"object","x-\\ud800":"\\udfff \\u00e9"}'


PHRASES = """the a of name id user 5 42.5 'en' "not" not never `x` (default: 3) e.g. in order to
note that whether or not This function is used to get . , ; Optional. One of asc desc http://a.b/c?d=1"""
WORDS = st.sampled_from([*PHRASES.split(), "\n", ""])
TEXTS = st.lists(WORDS, max_size=20).map(" ".join)
LEAVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "boolean"])},
    optional={
        "description": TEXTS,
        "title": TEXTS,
        "default": st.sampled_from([None, 3, "en", True, 0]),
        "enum": st.sampled_from([["asc", "desc"], [1, 2]]),
        "examples": st.just(["e"]),
        "minimum": st.integers(0, 3),
    },
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(
                st.sampled_from(["title", "user_id", "default", "x", "asc"]), inner, max_size=3
            ),
        },
        optional={
            "required": st.lists(st.sampled_from(["x", "title"]), unique=True),
            "additionalProperties": st.booleans(),
            "title": TEXTS,
            "description": TEXTS,
        },
    )


SCHEMAS = _objects(st.recursive(LEAVES, _objects, max_leaves=6))


def _structure(schema: Any) -> Any:
    """What decides which arguments are valid, read by a second, shorter walk."""
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: value
        for key, value in schema.items()
        if key in {"type", "enum", "minimum"} or (key == "required" and value)
    }
    if schema.get("additionalProperties") is False:
        kept["additionalProperties"] = False
    if "properties" in schema:
        kept["properties"] = {key: _structure(each) for key, each in schema["properties"].items()}
    return kept


@given(SCHEMAS, TEXTS)
def test_the_same_arguments_are_valid_and_what_matters_is_said(schema: Any, text: str) -> None:
    tool = ToolFacts(name="t", description=text, parameters=json.dumps(schema))
    made = slim_tool(tool)
    assert _structure(json.loads(made.parameters)) == _structure(schema)
    assert len(made.parameters) <= len(tool.parameters)
    for pattern in (r"\d[\d.]*", r"'en'|\"not\"|`x`", r"\bnot\b|\bnever\b", r"http\S+"):
        before = re.findall(pattern, text.replace("whether or not", "whether"))
        assert re.findall(pattern, made.description) == before


@given(SCHEMAS)
def test_every_number_of_a_description_is_still_somewhere(schema: Any) -> None:
    made = slim_tool(ToolFacts(name="t", parameters=json.dumps(schema))).parameters
    for name, each in schema["properties"].items():
        slimmed = json.loads(made)["properties"][name]
        for number in re.findall(r"42\.5|'en'|never|http\S+", each.get("description", "")):
            assert number in slimmed["description"]
