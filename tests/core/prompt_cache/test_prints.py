"""Fingerprints tell requests apart without their text, in memory and as they are stored."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.prompt_cache import (
    BlockText,
    CachePlanError,
    RequestPrint,
    fingerprints,
    first_difference,
    from_json,
    to_json,
)
from frugal_chains.providers import cache_controls
from tests.own_time import own_seconds

KEY = b"0123456789abcdef"
RESETS = cache_controls("anthropic", "claude-sonnet-4-6").resets
MODEL = "claude-sonnet-4-5-20250929"
SETTINGS = {
    "tool_choice": "auto",
    "images": "no",
    "thinking": "adaptive",
    "effort": "medium",
    "format": "",
    "speed": "standard",
}


def request(
    messages: Sequence[str],
    *,
    tools: Sequence[str] = ("weigh", "roast", "grind"),
    system: Sequence[str] = ("rules", "house"),
    model: str = MODEL,
    key: bytes = KEY,
    **setting: str,
) -> RequestPrint:
    """Tools by `name` or `name=description`."""
    blocks = [
        BlockText(kind="tools", text=f"tool {text}", tokens=100, name=text.partition("=")[0])
        for text in tools
    ]
    blocks += [BlockText(kind="system", text=text, tokens=1000) for text in system]
    blocks += [BlockText(kind="message", text=text, tokens=200) for text in messages]
    return fingerprints(blocks, key=key, model=model, settings=SETTINGS | setting)


def stored(made: RequestPrint) -> RequestPrint:
    return from_json(json.loads(json.dumps(to_json(made))))


CHAT = [f"message {n}" for n in range(9)]

CASES: list[tuple[str, RequestPrint, tuple[str, str, int | None, str, int] | None]] = [
    ("nothing", request([*CHAT, "answer", "next"]), None),
    ("the same", request(CHAT), None),
    ("model", request(CHAT, model="other"), ("model-changed", "tools", None, "other", 0)),
    (
        "tool added",
        request(CHAT, tools=["weigh", "taste", "roast", "grind"]),
        ("tool-added", "tools", 1, "taste", 100),
    ),
    (
        "tool removed",
        request(CHAT, tools=["weigh", "grind"]),
        ("tool-removed", "tools", 1, "roast", 100),
    ),
    (
        "tools reordered",
        request(CHAT, tools=["weigh", "grind", "roast"]),
        ("tools-reordered", "tools", 1, "grind", 100),
    ),
    (
        "tool changed",
        request(CHAT, tools=["weigh", "roast=darker", "grind"]),
        ("tool-changed", "tools", 1, "roast", 100),
    ),
    (
        "system changed",
        request(CHAT, system=["rules", "house, 12:31"]),
        ("system-changed", "system", 1, "", 1300),
    ),
    (
        "system removed",
        request(CHAT, system=["house"]),
        ("system-removed", "system", 0, "", 300),
    ),
    (
        "system reordered",
        request(CHAT, system=["house", "rules"]),
        ("system-reordered", "system", 0, "", 300),
    ),
    (
        "tool_choice",
        request(CHAT, tool_choice="none"),
        ("setting-changed", "messages", None, "tool_choice", 2300),
    ),
    (
        "images",
        request(CHAT, images="yes"),
        ("setting-changed", "messages", None, "images", 2300),
    ),
    (
        "thinking",
        request(CHAT, thinking="off"),
        ("setting-changed", "messages", None, "thinking", 2300),
    ),
    ("speed", request(CHAT, speed="fast"), ("setting-changed", "system", None, "speed", 300)),
    (
        "message changed",
        request([*CHAT[:4], "edited", *CHAT[5:], "next"]),
        ("message-changed", "messages", 4, "", 3100),
    ),
    (
        "message removed",
        request([*CHAT[:4], *CHAT[5:], "next", "more"]),
        ("message-removed", "messages", 4, "", 3100),
    ),
    (
        "message put between",
        request([*CHAT[:4], "recalled", *CHAT[4:]]),
        ("message-added", "messages", 4, "", 3100),
    ),
    ("messages cut off", request(CHAT[:5]), ("message-removed", "messages", 5, "", 3300)),
]


@pytest.mark.parametrize(("name", "after", "expected"), CASES, ids=[name for name, *_ in CASES])
def test_the_first_difference_is_named(
    name: str, after: RequestPrint, expected: tuple[str, str, int | None, str, int] | None
) -> None:
    found = first_difference(request(CHAT), after, RESETS)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.change, found.level, found.index, found.name, found.same_tokens) == expected


@pytest.mark.parametrize(("name", "after", "expected"), CASES, ids=[name for name, *_ in CASES])
@pytest.mark.parametrize("sides", ["before", "both"])
def test_stored_prints_tell_the_same_part(
    name: str,
    after: RequestPrint,
    expected: tuple[str, str, int | None, str, int] | None,
    sides: str,
) -> None:
    """Names are not stored, and what became of a message is not always told."""
    later = stored(after) if sides == "both" else after
    found = first_difference(stored(request(CHAT)), later, RESETS)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.level == expected[1]
    assert found.change.split("-")[0] == expected[0].split("-")[0]
    if found.level != "messages" or expected[2] is None:
        assert (found.index, found.same_tokens) == (expected[2], expected[4])
    else:
        assert found.index is not None
        last = found.last_index if found.last_index is not None else found.index
        assert found.index <= expected[2] <= last


def test_the_earliest_difference_wins() -> None:
    after = request(["other"], tools=["x"], system=["y"], tool_choice="none")
    found = first_difference(request(CHAT), after, RESETS)
    assert found is not None
    assert found.change == "tool-changed"


def test_of_other_tools_the_one_that_there_was_before_is_named() -> None:
    before, after = request(CHAT, tools=["weigh", "roast"]), request(CHAT, tools=["x", "roast=new"])
    found = first_difference(before, after, RESETS)
    assert found is not None
    assert (found.change, found.name, found.index) == ("tool-changed", "roast", 1)


def test_what_stands_in_front_of_a_difference_is_counted() -> None:
    """Three tools of 100 tokens, two blocks of 1,000, messages of 200."""
    gpt = cache_controls("openai", "gpt-4o").resets
    cases = [
        (request(["x", *CHAT[1:]]), RESETS, 2300),
        (request([CHAT[0], "x"]), RESETS, 2500),
        (request(CHAT, system=["rules", "x"]), RESETS, 1300),
        (request(CHAT, effort="low"), gpt, 0),
        (request(CHAT, effort="low"), RESETS, 2300),
        (request(CHAT, speed="fast"), RESETS, 300),
    ]
    for after, resets, tokens in cases:
        found = first_difference(request(CHAT), after, resets)
        assert found is not None
        assert found.same_tokens == tokens


def test_a_stored_request_may_be_the_later_one() -> None:
    found = first_difference(request(CHAT), stored(request([*CHAT[:-1], "x"])), RESETS)
    assert found is not None
    assert (found.change, found.index) == ("message-changed", len(CHAT) - 1)


def test_what_was_not_told_has_not_changed() -> None:
    bare = fingerprints([], key=KEY)
    named = fingerprints([], key=KEY, model=MODEL)
    assert first_difference(bare, named, RESETS) is first_difference(named, bare, RESETS) is None
    with_choice = fingerprints([], key=KEY, settings={"tool_choice": "x"})
    assert first_difference(bare, with_choice, RESETS) is None
    unknown = [fingerprints([], key=KEY, settings={"mood": mood}) for mood in "ab"]
    assert first_difference(*unknown, RESETS) is None


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(1, 400),
    more=st.integers(0, 40),
    at=st.integers(0, 399),
    both=st.booleans(),
)
def test_a_change_in_a_long_conversation_is_narrowed_down(
    count: int, more: int, at: int, both: bool
) -> None:
    """Of stored prints: to a quarter of the conversation at worst, and never to the wrong place."""
    texts = [f"m{n}" for n in range(count)]
    later = [*texts, *(f"new {n}" for n in range(more))]
    before = stored(request(texts))
    assert first_difference(before, stored(request(later)), RESETS) is None
    if at >= count:
        return
    edited = request([*later[:at], "edited", *later[at + 1 :]])
    found = first_difference(before, stored(edited) if both else edited, RESETS)
    if found is None:
        # Behind the last number that both have stored.
        assert both
        assert at >= count * 3 / 4 - 1
        return
    assert found.index is not None
    last = found.last_index if found.last_index is not None else found.index
    assert found.index <= at <= last
    assert last - found.index <= max(1, (count + more) / 4)


@pytest.mark.parametrize("more", [1, 2, 4])
def test_the_last_blocks_are_told_exactly_from_what_is_stored(more: int) -> None:
    """That is where a conversation goes on: a time behind the question, an answer told anew."""
    texts = [f"m{n}" for n in range(203)]
    edited = request([*texts[:-1], "edited", *(f"new {n}" for n in range(more))])
    found = first_difference(stored(request(texts)), stored(edited), RESETS)
    assert found is not None
    assert (found.index, found.last_index) == (202, None)


@pytest.mark.parametrize("count", [1, 3, 6, 7, 18, 40, 333])
def test_the_last_six_are_kept_and_eight_steps_before_them(count: int) -> None:
    kept = set(stored(request([f"m{n}" for n in range(count)])).messages.rolling)
    assert set(range(max(1, count - 5), count + 1)) <= kept
    assert len(kept) <= 6 + 8


def test_a_change_between_two_steps_is_at_one_of_their_blocks() -> None:
    """Of 17 blocks every second one is kept, and all of the last six."""
    texts = [f"m{n}" for n in range(17)]
    for at, index, last in ((6, 6, 7), (7, 6, 7), (11, 10, 11), (12, 12, None), (16, 16, None)):
        edited = request([*texts[:at], "edited", *texts[at + 1 :]])
        found = first_difference(stored(request(texts)), edited, RESETS)
        assert found is not None
        assert (found.index, found.last_index) == (index, last)


@pytest.mark.parametrize(
    ("before", "after", "change", "index"),
    [
        ("rrh", "rh", "system-removed", 1),
        ("rh", "rrh", "system-added", 1),
        ("rhr", "rh", "system-removed", 2),
        ("rh", "rhr", "system-added", 2),
        ("rhh", "hrh", "system-reordered", 0),
        ("rh", "rhh", "system-added", 2),
        ("rhh", "rh", "system-removed", 2),
        ("abc", "bacx", "system-added", 3),
        ("bacx", "abc", "system-removed", 3),
    ],
)
def test_blocks_that_are_there_twice(before: str, after: str, change: str, index: int) -> None:
    found = first_difference(request(CHAT, system=before), request(CHAT, system=after), RESETS)
    assert found is not None
    assert (found.change, found.index) == (change, index)


def test_another_name_is_another_tool() -> None:
    before, after = (
        fingerprints([BlockText(kind="tools", text="{}", tokens=9, name=name)], key=KEY)
        for name in ("weigh", "roast")
    )
    found = first_difference(before, after, RESETS)
    assert found is not None
    assert (found.change, found.name) == ("tool-changed", "roast")


@pytest.mark.parametrize("tokens", [100, 4_000])
def test_a_long_conversation_is_stored_in_400_bytes(tokens: int) -> None:
    kinds = [*["tools"] * 40, *["system"] * 6, *["message"] * 2000]
    blocks = [
        BlockText(kind=kind, text=f"{kind} {n}", tokens=tokens, name=f"{n}")  # type: ignore[arg-type]
        for n, kind in enumerate(kinds)
    ]
    for model in (MODEL, "m" * 40):
        made = fingerprints(blocks, key=KEY, model=model, settings=SETTINGS)
        assert len(json.dumps(to_json(made), separators=(",", ":"))) < 400
        assert to_json(stored(made)) == to_json(made)


def test_more_tools_than_are_stored_share_a_hash() -> None:
    many = [f"tool_{n}" for n in range(40)]
    before = stored(request(CHAT, tools=many))
    assert first_difference(before, request(CHAT, tools=many), RESETS) is None
    changed = request(CHAT, tools=[*many[:30], "tool_30=new", *many[31:]])
    for after in (changed, stored(changed)):
        found = first_difference(before, after, RESETS)
        assert found is not None
        assert found.change == "tool-changed"


def test_no_text_is_stored() -> None:
    made = request(["my secret"], tools=["secret_tool"], system=["secret rules"])
    shown = json.dumps(to_json(made)) + repr(stored(made))
    assert "secret" not in shown


def test_a_key_keeps_guesses_from_being_tested() -> None:
    one, other = (request(CHAT, key=key) for key in (KEY, b"another key, 16+"))
    assert one.messages.rolling != other.messages.rolling
    assert one.tools[0].hash not in (
        hashlib.blake2b(b"tool weigh", digest_size=8).digest(),
        other.tools[0].hash,
    )
    with pytest.raises(CachePlanError, match="16 or more"):
        request(CHAT, key=b"short")
    assert request(CHAT, key=b"k" * 200).head


def test_the_head_is_tools_and_system_alone() -> None:
    assert request(CHAT).head == request(["x"], tool_choice="none").head
    heads = {request(CHAT, tools=[]).head, request(CHAT, system=[]).head, request(CHAT).head}
    assert len(heads) == 3


def test_every_process_makes_the_same_prints() -> None:
    code = (
        "import json; from tests.core.prompt_cache.test_prints import CHAT, request; "
        "from frugal_chains.prompt_cache import to_json; "
        "print(json.dumps(to_json(request(CHAT))))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(ran.stdout) == to_json(request(CHAT))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"v": 2, "m": ""},
        {"v": 1},
        {"v": 1, "m": "x", "n": 3, "h": "ab"},
        {"v": 1, "m": "x", "t": "\x7f"},
        {"v": 1, "m": "x", "o": 7},
        {"v": 1, "m": "x", "n": "many"},
    ],
    ids=["empty", "version", "no-model", "short", "no-base85", "no-text", "no-number"],
)
def test_what_was_not_stored_by_us_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CachePlanError):
        from_json(wrong)


def test_blocks_out_of_order_are_refused() -> None:
    blocks = [BlockText(kind=kind, text="", tokens=1) for kind in ("message", "system")]  # type: ignore[arg-type]
    with pytest.raises(CachePlanError, match="'system'"):
        fingerprints(blocks, key=KEY)


def test_a_thousand_messages_take_a_few_milliseconds() -> None:
    texts = [f"m{n}" for n in range(1000)]
    assert own_seconds(lambda: request(texts)) < 0.05
    made = request(texts)
    assert own_seconds(lambda: to_json(made)) < 0.01
