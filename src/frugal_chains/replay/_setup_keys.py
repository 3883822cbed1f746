"""Single keys of a setup's file: read from text, looked up in a setup, and set in it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from frugal_chains.errors import ReplayError
from frugal_chains.replay._setup import Setup
from frugal_chains.replay._setup_file import SETUP_KEYS, parse_setup, setup_text

Value: TypeAlias = int | str | None
"""None: the key is not in the file."""
NOT_SET: Final = "none"
"""How None is written: TOML has no word for it."""
TASK_KEY: Final = "routing.by_task."
"""In front of a task's name."""


def key_value(key: str, text: str) -> Value:
    """What a text says that a key is to be.

    Raises:
        ReplayError: there is no such key, or its value is of another type.
    """
    kind = _kind(key)
    if text == NOT_SET:
        return None
    try:
        if text:
            return kind(text)
    except ValueError:
        pass
    wanted = "a whole number" if kind is int else "a word"
    raise ReplayError(f"{key} is {text!r}: give {wanted}, or {NOT_SET} to leave it out")


def value_in(setup: Setup, key: str) -> Value:
    """What a key is in a setup, its default too where it has one; None also where its lever is off.

    Raises:
        ReplayError: there is no such key.
    """
    _kind(key)
    if key.startswith(TASK_KEY):
        named = setup.routing and setup.routing.by_task.get(key.removeprefix(TASK_KEY))
        return ":".join(filter(None, named)) if named else None
    table, _, name = key.partition(".")
    lever = getattr(setup, table)
    policy = getattr(lever, "policy", None)  # as memory has one, and that a trigger
    places = (lever, policy, getattr(policy, "trigger", None))
    found: Value = next((getattr(each, name) for each in places if hasattr(each, name)), None)
    return found


def with_values(setup: Setup, values: Mapping[str, Value]) -> Setup:
    """The setup with these keys set; a lever that was off is on with them.

    Raises:
        ReplayError: there is no such key; the values do not go together; or the setup has what no
            file says, such as the policy of a router: it would be lost.
    """
    tables: dict[str, Any] = tomllib.loads(setup_text(setup))
    if values and parse_setup(tables) != setup:
        raise ReplayError(
            "the setup has what its file cannot say: replay setups that are made in code, as "
            "`replay(calls, [setup, ...])`"
        )
    for key, value in values.items():
        _put(tables, key, value)
    return parse_setup(tables)


def _put(tables: dict[str, Any], key: str, value: Value) -> None:
    _kind(key)
    if key.startswith(TASK_KEY):
        by_task = tables.setdefault("routing", {}).setdefault("by_task", {})
        _set(by_task, key.removeprefix(TASK_KEY), value)
        if not by_task:  # nobody is routed
            del tables["routing"]
        return
    table, _, name = key.partition(".")
    _set(tables.setdefault(table, {}), name, value)


def _set(table: dict[str, Any], name: str, value: Value) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _kind(key: str) -> type[int] | type[str]:
    if key.startswith(TASK_KEY) and key != TASK_KEY:
        return str
    if key not in SETUP_KEYS:
        known = ", ".join((*SETUP_KEYS, f"{TASK_KEY}TASK"))
        raise ReplayError(f"no key {key!r} of one value in a setup: there are {known}")
    return SETUP_KEYS[key]
