"""Which tool fits a question: words, misspellings, meaning, names."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.tools import ToolIndex, ToolPlanError, embedding_texts
from frugal_chains.compression.tools._fields import fields_of, words_of
from frugal_chains.facts import ToolFacts
from tests.own_time import own_seconds


def tool(name: str, description: str = "", **parameters: object) -> ToolFacts:
    schema = {"type": "object", "properties": parameters}
    return ToolFacts(name=name, description=description, parameters=json.dumps(schema))


def chars(each: ToolFacts) -> int:
    return len(each.name + each.description + each.parameters)


TOOLS = (
    tool("getWeather", "Current weather of a city", city={"type": "string"}),
    tool("book_flight", "Reserve a seat", origin={"type": "string"}, destination={}),
    tool("Restaurants.find", "Places to eat", cuisine={"enum": ["Italian", "Thai"]}),
    tool("play_song", "Music", artist={"type": "string", "description": "Singer or band"}),
    tool("search", "Looks something up on the web", text={"type": "string"}),
)
INDEX = ToolIndex(TOOLS, chars)


def best(query: str) -> str:
    return TOOLS[INDEX.ranking(query)[0]].name


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("how will the weather be?", "getWeather"),  # a name in camel case
        ("two flights, please", "book_flight"),  # a name in snake case, in the plural
        ("restaurants near me", "Restaurants.find"),  # a name with a dot
        ("anywhere to eat?", "Restaurants.find"),  # a description
        ("destination: Rome", "book_flight"),  # the name of a parameter
        ("that band with the hat", "play_song"),  # a description of a parameter
        ("thai food", "Restaurants.find"),  # a choice
        ("whats the wether like", "getWeather"),  # misspelt
        ("un restaurante cerca de aquí", "Restaurants.find"),  # a cousin
    ],
)
def test_words_find_the_tool(query: str, name: str) -> None:
    assert best(query) == name


def test_scores_are_of_the_best() -> None:
    scores = INDEX.scores("weather in a city")
    assert max(scores) == scores[0] == 1.0
    assert all(0 <= each <= 1 for each in scores)


@pytest.mark.parametrize("query", ["", "hello", "the of and", "?!", "\x00\r\n", "天气", "\ud800"])
def test_nothing_in_common_is_zero_for_all(query: str) -> None:
    assert INDEX.scores(query) == [0.0] * 5
    assert INDEX.ranking(query) == (0, 1, 2, 3, 4)


def test_bm25f_by_hand() -> None:
    """Two tools, names of one word, descriptions of one and three: mean 2. `red` is in a name
    (weight 2, length as the mean) and in the longer description."""
    index = ToolIndex([tool("red", "fox"), tool("green", "a red hen")], chars)
    rare = math.log(1 + (2 - 2 + 0.5) / (2 + 0.5))
    name = 2.0
    description = 1 / (1 - 0.75 + 0.75 * 3 / 2)
    first = rare * name * 2.2 / (name + 1.2)
    second = rare * description * 2.2 / (description + 1.2)
    assert index.scores("red") == [1.0, pytest.approx(second / first, abs=1e-9)]


def test_earlier_questions_count_less() -> None:
    assert INDEX.ranking("and tomorrow?", before=["weather in Rome"])[0] == 0
    assert INDEX.ranking("play a song", before=["weather in Rome"])[0] == 3
    late = INDEX.scores("yes", before=["weather", "a song by them"])
    assert late[3] == 1.0 > late[0] > 0


def test_meaning_is_fused_with_words() -> None:
    vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.6, 0.8, 0.0], [0.0, 0.0, 0.0]]
    index = ToolIndex(TOOLS, chars, vectors=vectors)
    # No word in common: cosines 1, 0, 0, .6, 0, of which the mean .32 is taken.
    found = index.scores("sunshine", vector=[3.0, 0.0, 0.0])
    assert found == pytest.approx([0.5, 0, 0, 0.5 * 0.28 / 0.68, 0])
    # Words alone say the flight, meaning alone says the weather.
    found = index.scores("flight", vector=[1.0, 0.0, 0.0])
    assert found[0] == found[1] == 0.5
    assert index.scores("flight") == INDEX.scores("flight")


@pytest.mark.parametrize(
    "vectors",
    [[[1.0]] * 4, [[1.0]] * 6, [1.0] * 5, [[1.0]] * 4 + [[math.nan]], [[1.0], [1.0, 2.0]]],
)
def test_vectors_that_do_not_fit(vectors: object) -> None:
    with pytest.raises(ToolPlanError):
        ToolIndex(TOOLS, chars, vectors=vectors)  # type: ignore[arg-type]


def test_questions_whose_vectors_do_not_fit() -> None:
    with pytest.raises(ToolPlanError, match="made without"):
        INDEX.scores("x", vector=[1.0])
    with pytest.raises(ToolPlanError, match="2 numbers"):
        ToolIndex(TOOLS, chars, vectors=[[1.0, 0, 0]] * 5).scores("x", vector=[1.0, 0.0])


def test_what_an_embedder_reads() -> None:
    assert embedding_texts(TOOLS[:2]) == [
        "get Weather: Current weather of a city city",
        "book flight: Reserve a seat origin destination",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call book_flight now", (1,)),
        ("GETWEATHER, then Restaurants.find.", (0, 2)),
        ("search for shoes", ()),
        ("use the search tool", (4,)),
        ("`search` it", (4,)),
        ("search(text)", (4,)),
        ("research tool, getWeathers, x.book_flight", ()),
        ("", ()),
    ],
)
def test_names_in_a_text(text: str, found: tuple[int, ...]) -> None:
    assert INDEX.named_in(text) == found


def test_names_with_odd_signs() -> None:
    index = ToolIndex([tool("look up"), tool("9lives"), tool("")], chars)
    assert index.named_in("please Look Up 9lives") == (0, 1)


def test_identifiers_become_words() -> None:
    assert words_of("getUserByID") == "get User By ID"
    assert words_of("HTTPServer2.list_all-items") == "HTTP Server2 list all items"


def test_nested_parameters_are_read() -> None:
    schema = {
        "properties": {"a": {"items": {"properties": {"b": {"enum": ["c", 1, None]}}}}},
        "$defs": {"D": {"properties": {"d": {"anyOf": [{"description": "e"}]}}}},
    }
    found = fields_of(ToolFacts(name="x", parameters=json.dumps(schema)))
    assert found.parameters.split() == ["d", "a", "b"] or set(found.parameters.split()) == {*"abd"}
    assert found.choices == "c 1 None"
    assert found.details == "e"


@pytest.mark.parametrize(
    "parameters",
    ["", "no JSON", "[1]", "null", "[" * 100_000, '{"properties":' * 1_000, '{"properties": [1]}'],
)
def test_schemas_that_cannot_be_read(parameters: str) -> None:
    index = ToolIndex([ToolFacts(name="find_me", parameters=parameters)], chars)
    assert index.scores("find me") == [1.0]


def test_no_tools() -> None:
    index = ToolIndex([], chars, vectors=[])
    assert index.scores("x") == []
    assert index.scores("x", vector=[1.0]) == []
    assert index.ranking("x") == ()


def test_huge_texts_take_bounded_time() -> None:
    huge = ["wether " * 700_000, "x" * 5_000_000, "search tool " * 400_000, "'" * 5_000_000]
    many = [tool(f"tool_{n}", f"word{n} " * 50) for n in range(1_000)]

    def looked_up() -> None:
        for text in huge:
            INDEX.scores(text, before=[text])
            INDEX.named_in(text)
        ToolIndex(many, chars).ranking("tool word7")

    assert own_seconds(looked_up) < 30


def test_blocks_have_keys_by_their_bytes() -> None:
    key = INDEX.block_key((0, 1), slim=False, find_tool=False)
    assert key == ToolIndex(TOOLS[:2], chars).block_key((0, 1), slim=False, find_tool=False)
    others = {
        INDEX.block_key((1, 0), slim=False, find_tool=False),
        INDEX.block_key((0,), slim=False, find_tool=False),
        INDEX.block_key((0, 1), slim=True, find_tool=False),
        INDEX.block_key((0, 1), slim=False, find_tool=True),
    }
    assert len(others | {key}) == 5


SCRIPT = """
from frugal_chains.compression.tools import ToolIndex
from frugal_chains.facts import ToolFacts
tools = [ToolFacts(name=f"get_{w}", description=f"{w} {w}s of all") for w in
         "weather wether song songs flight flights price prize".split()]
index = ToolIndex(tools, lambda tool: 1)
print(index.scores("wheather song prices of flihgt"))
print(index.block_key(range(8), slim=True, find_tool=True))
"""


def test_the_same_in_every_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


NAMES = st.sampled_from("get_user getUsers find.song song_find weather a 9x".split())  # noqa: SIM905
TEXTS = st.text("abc get song weather 天气é'_\ud800", max_size=40)


@given(st.lists(st.builds(ToolFacts, name=NAMES, description=TEXTS, parameters=TEXTS)), TEXTS)
def test_any_tools_any_question(tools: list[ToolFacts], query: str) -> None:
    index = ToolIndex(tools, chars)
    ranking = index.ranking(query, before=[query])
    scores = index.scores(query, before=[query])
    assert sorted(ranking) == list(range(len(tools)))
    assert [scores[n] for n in ranking] == sorted(scores, reverse=True)
    assert all(0 <= each <= 1 for each in scores)
    assert all(new <= old for new, old in zip(index.slim_tokens, index.tokens, strict=True))
    assert all(chars(each) == n for each, n in zip(index.slim, index.slim_tokens, strict=True))
    assert index.find_tool.name not in {each.name for each in tools}
