"""Fingerprints that were stored and read again: nothing is lost at the bounds of the format."""

from __future__ import annotations

import pytest

from frugal_chains.prompt_cache import (
    BlockText,
    RequestPrint,
    fingerprints,
    first_difference,
    to_json,
)
from frugal_chains.providers import cache_controls
from tests.core.prompt_cache.test_prints import CHAT, KEY, RESETS, request, stored


@pytest.mark.parametrize("tokens", [0, 127, 128, 129, 255, 256, 16_383, 16_384, 10_000_000])
def test_sizes_are_read_as_they_were_stored(tokens: int) -> None:
    blocks = [
        BlockText(kind="tools", text="t", tokens=tokens),
        BlockText(kind="system", text="s", tokens=tokens),
        BlockText(kind="message", text="m", tokens=tokens),
    ]
    read = stored(fingerprints(blocks, key=KEY))
    assert (read.tools_tokens, read.system_tokens, read.messages.tokens) == (tokens,) * 3
    assert read.tokens == 3 * tokens


def test_what_a_request_does_not_have_is_not_stored() -> None:
    bare = fingerprints([BlockText(kind="system", text="rules", tokens=1500)], key=KEY)
    assert to_json(bare).keys() == {"v", "m", "s"}
    read = stored(bare)
    assert (read.tools, read.messages.count, read.settings) == ((), 0, {})
    assert first_difference(read, bare, RESETS) is None
    assert (RequestPrint().tokens, RequestPrint().messages.count) == (0, 0)


LEVELS = [
    (f"{provider}-{setting}", setting, dict(controls.resets))
    for provider, controls in [
        ("anthropic", cache_controls("anthropic", "claude-sonnet-4-6")),
        ("openai", cache_controls("openai", "gpt-5.6-sol")),
    ]
    for setting in sorted(controls.resets)
    if setting not in ("model", "tools", "system")
]


@pytest.mark.parametrize(
    ("setting", "resets"), [row[1:] for row in LEVELS], ids=[row[0] for row in LEVELS]
)
def test_every_setting_that_loses_something_is_stored(setting: str, resets: dict[str, str]) -> None:
    before, after = (fingerprints([], key=KEY, settings={setting: value}) for value in "ab")
    found = first_difference(stored(before), after, resets)  # type: ignore[arg-type]
    assert found is not None
    assert (found.change, found.name) == ("setting-changed", setting)


def test_of_several_settings_the_first_by_name_is_told() -> None:
    """The same in every process."""
    changed = dict.fromkeys(("tool_choice", "thinking", "images", "effort"), "other")
    found = first_difference(request(CHAT), request(CHAT, **changed), RESETS)
    assert found is not None
    assert found.name == "effort"


def test_of_eight_blocks_each_has_its_hash() -> None:
    texts = [f"m{n}" for n in range(8)]
    for at in range(8):
        edited = request([*texts[:at], "edited", *texts[at + 1 :]])
        found = first_difference(stored(request(texts)), edited, RESETS)
        assert found is not None
        assert (found.index, found.last_index) == (at, None)


@pytest.mark.parametrize("count", [15, 16, 17, 18])
def test_sixteen_tools_have_a_hash_each(count: int) -> None:
    """Of more the 16th stands for the rest."""
    names = [f"tool_{n}" for n in range(count)]
    before = stored(request(CHAT, tools=names))
    assert first_difference(before, request(CHAT, tools=names), RESETS) is None
    for at in (14, count - 1):
        tools = [f"{name}=new" if n == at else name for n, name in enumerate(names)]
        found = first_difference(before, request(CHAT, tools=tools), RESETS)
        assert found is not None
        assert (found.change, found.index) == ("tool-changed", min(at, 15))


def test_of_removed_blocks_the_first_is_told() -> None:
    found = first_difference(request(CHAT, system="abcd"), request(CHAT, system="ad"), RESETS)
    assert found is not None
    assert (found.change, found.index) == ("system-removed", 1)


def test_fewer_messages_than_before_were_removed() -> None:
    """Which of them is not told by what is stored, but that there are fewer is."""
    after = request([*CHAT[:4], *CHAT[5:]])
    found = first_difference(stored(request(CHAT)), stored(after), RESETS)
    assert found is not None
    assert found.change == "message-removed"
