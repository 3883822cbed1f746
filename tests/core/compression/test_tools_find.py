"""Asking for a tool that was left out: what is found, what is said, and that all can be reached."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.tools import (
    FIND_TOOL,
    ToolIndex,
    answer,
    find_tools,
)
from frugal_chains.facts import ToolFacts
from frugal_chains.tokens import TokenCounter


def one(_: ToolFacts) -> int:
    return 1


TOOLS = tuple(
    ToolFacts(name=name, description=text)
    for name, text in (
        ("get_user", "A user by number"),
        ("get_users", "All users"),
        ("get_user_orders", "What a user has ordered, get user, user"),
        ("send_mail", "Writes to a user"),
        ("search", "The web"),
    )
)
INDEX = ToolIndex(TOOLS, one)


def test_a_named_tool_comes_first() -> None:
    for number, tool in enumerate(TOOLS):
        assert find_tools(tool.name, INDEX)[0] == number
        assert find_tools(f" {tool.name.upper()} ", INDEX)[0] == number


def test_a_task_finds_tools() -> None:
    assert find_tools("write a mail", INDEX, most=1) == (3,)
    assert find_tools("look on the web", INDEX) == (4,)
    assert find_tools("all users", INDEX, most=2)[0] == 1
    assert find_tools("all users", INDEX, most=0) == ()


def test_what_is_offered_is_not_found_again() -> None:
    assert 0 not in find_tools("get_user", INDEX, offered=("get_user",))


def test_meaning_finds_what_no_word_does() -> None:
    index = ToolIndex(TOOLS, one, vectors=[[1, 0], [0, 1], [0, 1], [0, 1], [0, 1]])
    assert find_tools("Benutzer", index, vector=[1, 0]) == (0,)


def test_what_the_model_is_told() -> None:
    assert answer("mail", find_tools("mail", INDEX), INDEX) == "Now available: send_mail"
    none = find_tools("qqq", INDEX)
    assert none == ()
    assert answer("qqq", none, INDEX, offered=("search", "get_user")) == (
        "Nothing fits. Ask for one by its name: get_users, get_user_orders, send_mail"
    )
    assert (
        answer("q", (), INDEX, offered=[each.name for each in TOOLS]) == "There is no other tool."
    )


def test_long_lists_go_on() -> None:
    index = ToolIndex([ToolFacts(name=f"tool_number_{n:04d}") for n in range(1_000)], one)
    task, seen, answers = "qqq", [], 0
    while task:
        found = find_tools(task, index)
        assert found == ()
        said = answer(task, found, index, offered=("tool_number_0007",))
        assert len(said) < 4_200
        seen += re.findall(r"tool_number_\d{4}(?=,|$|\. \d)", said)
        more = re.search(r"ask for '(after .*)'", said)
        task = more.group(1) if more else ""
        answers += 1
    assert seen == [f"tool_number_{n:04d}" for n in range(1_000) if n != 7]
    assert answers == 5


def test_the_fallback_is_small() -> None:
    """As JSON, by the encoding of OpenAI's models since gpt-4o."""
    text = json.dumps({"name": FIND_TOOL.name, "description": FIND_TOOL.description})
    count = TokenCounter().count_text(text + FIND_TOOL.parameters, model="gpt-4o")
    assert count.tokens <= 50
    assert json.loads(FIND_TOOL.parameters)["required"] == ["task"]


def test_the_fallback_has_a_name_of_its_own() -> None:
    taken = [ToolFacts(name="find_tool"), ToolFacts(name="find_tool_2")]
    assert ToolIndex(taken, one).find_tool.name == "find_tool_3"


NAMES = st.text("abAB_.9é ", min_size=1, max_size=6)


@given(st.lists(NAMES, min_size=1, max_size=8, unique_by=str.casefold), st.data())
def test_every_tool_is_found_by_its_name(names: list[str], data: st.DataObject) -> None:
    index = ToolIndex([ToolFacts(name=name) for name in names], one)
    wanted = data.draw(st.sampled_from(range(len(names))))
    if names[wanted].strip():
        assert wanted in find_tools(names[wanted], index, most=len(names))


@pytest.mark.parametrize(
    "task", ["", "  ", "after nothing", "after ", "\x00", "\ud800", "x" * 1_000_000]
)
def test_tasks_that_say_nothing(task: str) -> None:
    assert find_tools(task, INDEX) == ()
    assert answer(task, (), INDEX).startswith("Nothing fits")
