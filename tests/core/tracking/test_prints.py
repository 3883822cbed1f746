"""Fingerprints on the rows of calls: who has them, what is in them, and what is never in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from frugal_chains import Ledger, Usage
from frugal_chains.errors import CachePlanError, LedgerUnavailable
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts, ToolFacts
from frugal_chains.ledger import Attempt
from frugal_chains.prompt_cache import first_difference, read_reason
from frugal_chains.providers import cache_controls
from frugal_chains.tracking import (
    CallEnd,
    CallStart,
    Tracker,
    cache_settings,
    fingerprints_around,
    read_prints,
    use_tracker,
)
from frugal_chains.tracking._prints import KEY_NOTE, request_prints, small_reason
from frugal_chains.usage import UsageReading
from tests.own_time import own_seconds

KEY = bytes(range(32))
READING = UsageReading(usage=Usage(input_tokens=8, output_tokens=1))
RESETS = cache_controls("anthropic", "claude-sonnet-4-5").resets
ASK = RequestFacts(
    messages=(
        MessageFacts(role="system", text="be\nshort", text_lengths=(2, 5)),
        MessageFacts(role="user", text="what is the password"),
    ),
    tools=(ToolFacts(name="find", description="finds", parameters="{}"),),
)


def call(tracker: Tracker, key: str = "k", end: CallEnd | None = None, **facts: Any) -> Attempt:
    known = {"framework": "test", "provider": "anthropic", "model": "claude-sonnet-4-5", **facts}
    tracker.begin(CallStart(key=key, request=lambda: ASK, **known))
    row = tracker.end(key, end or CallEnd(reading=READING))
    assert row is not None
    return row


@pytest.fixture
def ledger() -> Ledger:
    return Ledger.open("memory://")


def test_off_unless_asked_for(ledger: Ledger) -> None:
    assert call(Tracker(ledger)).prints is None
    assert ledger.store.read_note(KEY_NOTE) is None
    assert call(Tracker(ledger, fingerprints=True)).prints is not None
    assert call(Tracker(ledger)).prints is None  # others on the same ledger go without


def test_one_of_two_trackers_is_enough(ledger: Ledger) -> None:
    plain, asking = Tracker(ledger), Tracker(ledger, fingerprints=True)
    for first, second in ((plain, asking), (asking, plain)):
        start = CallStart("k", "test", "openai", "gpt-4o", lambda: ASK)
        first.begin(start)
        second.begin(start)
        row = first.end("k", CallEnd(reading=READING))
        assert row is not None
        assert row.prints is not None


@pytest.mark.parametrize(
    ("end", "facts"),
    [
        (CallEnd(status="error", error_kind="timeout"), {}),
        (CallEnd(status="cached"), {}),
        (CallEnd(), {}),  # no usage came back
        (CallEnd(reading=READING, of_batch=True), {}),
        (CallEnd(reading=READING), {"purpose": "embed"}),
    ],
    ids=["failed", "cached", "no-usage", "batch", "embed"],
)
def test_calls_that_tell_nothing_have_none(
    ledger: Ledger, end: CallEnd, facts: dict[str, Any]
) -> None:
    assert call(Tracker(ledger, fingerprints=True), end=end, **facts).prints is None


def test_a_request_that_cannot_be_read_is_booked_without(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(ledger, fingerprints=True)
    call(tracker, "first")  # tokens are counted of the first calls of a model
    with caplog.at_level(logging.CRITICAL, "frugal_chains.tracking"):
        tracker.begin(CallStart("k", "test", "openai", "gpt-4o", lambda: 1 / 0))  # type: ignore[arg-type,return-value]
        row = tracker.end("k", CallEnd(reading=READING))
    assert row is not None
    assert (row.prints, row.usage.input_tokens) == (None, 8)


def test_a_ledger_that_cannot_keep_a_key_goes_without(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, text: str) -> str:
        raise LedgerUnavailable("read only")

    monkeypatch.setattr(ledger.store, "note_once", refuse)
    assert call(Tracker(ledger, fingerprints=True)).prints is None


def test_blocks_around_hand_it_on(ledger: Ledger) -> None:
    assert not fingerprints_around(ledger)
    with use_tracker(Tracker(ledger, fingerprints=True)), use_tracker(Tracker(ledger)):
        assert fingerprints_around(ledger)
        assert not fingerprints_around(Ledger.open("memory://"))


# -- the key -----------------------------------------------------------------------------------


def test_one_ledger_has_one_key_and_another_has_another(tmp_path: Path) -> None:
    found: dict[str, list[Mapping[str, Any] | None]] = {}
    for name in ("one", "one", "two"):
        with Ledger.open(str(tmp_path / f"{name}.db")) as books:
            tracker = Tracker(books, fingerprints=True)
            found.setdefault(name, []).append(call(tracker).prints)
            assert len(bytes.fromhex(books.store.read_note(KEY_NOTE) or "")) == 32
    assert found["one"][0] == found["one"][1] != found["two"][0]


def test_the_key_is_not_shown(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker(ledger, fingerprints=True)
    with caplog.at_level(logging.DEBUG):
        row = call(tracker)
    key = ledger.store.read_note(KEY_NOTE)
    assert key
    shown = f"{row!r} {tracker!r} {ledger!r} {vars(tracker)!r} {ledger.store.health()!r}"
    assert key not in shown + caplog.text
    assert repr(bytes.fromhex(key)) not in shown


# -- what is in them ---------------------------------------------------------------------------


def difference(before: RequestFacts, after: RequestFacts, *options: Any) -> tuple[Any, ...] | None:
    settings = [cache_settings(o) for o in options] or [(), ()]
    one, two = (
        read_prints(request_prints(request, KEY, chosen)).request
        for request, chosen in zip((before, after), settings, strict=True)
    )
    found = first_difference(one, two, RESETS)
    return None if found is None else (found.change, found.index)


def test_each_part_is_a_block_of_its_own() -> None:
    same = RequestFacts(messages=ASK.messages, tools=ASK.tools)
    assert difference(ASK, same) is None
    tool = ToolFacts(name="find", description="finds more", parameters="{}")
    assert difference(ASK, RequestFacts(messages=ASK.messages, tools=(tool,))) == (
        "tool-changed", 0,
    )  # fmt: skip
    late = MessageFacts(role="system", text="be\nterse", text_lengths=(2, 5))
    changed = RequestFacts(messages=(late, ASK.messages[1]), tools=ASK.tools)
    assert difference(ASK, changed) == ("system-changed", 1)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "what is the passport"},
        {"role": "assistant"},
        {"name": "ann"},
        {"images": 1},
        {"tool_call_id": "c1"},
        {"tool_calls": (ToolCallFacts(name="find", arguments="{}"),)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_all_of_a_message_counts(other: dict[str, Any]) -> None:
    plain = {"role": "user", "text": "what is the password"}
    before = RequestFacts(messages=(MessageFacts(**plain),))  # type: ignore[arg-type]
    after = RequestFacts(messages=(MessageFacts(**{**plain, **other}),))
    assert difference(before, after) in (("message-changed", 0), ("setting-changed", None))


def test_the_first_image_counts_wherever_it_stands() -> None:
    before = (MessageFacts(role="user", text="a"),)
    late = MessageFacts(role="user", text="look", images=1)
    after = (*before, MessageFacts(role="assistant", text="b"), late)
    found = difference(RequestFacts(messages=before), RequestFacts(messages=after))
    assert found == ("setting-changed", None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"tool_choice": {"type": "any"}}),
        ({"thinking": {"type": "enabled"}}, {"thinking": None}),
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "high"}),
        ({"response_format": {"a": 1}}, {"response_format": {"a": 2}}),
    ],
)
def test_settings_count(before: Any, after: Any) -> None:
    assert difference(ASK, ASK, before, after) == ("setting-changed", None)
    assert difference(ASK, ASK, after, after) is None


@given(
    st.lists(st.text(max_size=40), max_size=30),
    st.lists(st.text(min_size=12, max_size=40), max_size=20),
    st.lists(st.text(min_size=12, max_size=40), max_size=3),
)
def test_no_text_and_below_500_bytes(said: list[str], tools: list[str], system: list[str]) -> None:
    request = RequestFacts(
        messages=(
            *(MessageFacts(role="system", text=text) for text in system),
            *(MessageFacts(role="user", text=text) for text in said),
        ),
        tools=tuple(ToolFacts(name=text, description=text) for text in tools),
        cache_ttl="1h",
    )
    stored = request_prints(request, KEY, cache_settings({"tool_choice": "auto"}))
    text = json.dumps(stored, separators=(",", ":"))
    assert len(text) < 500
    assert not [secret for secret in (*tools, *system) if secret in text]
    assert read_prints(json.loads(text)).request.messages.count == len(said)


@pytest.mark.parametrize(
    "odd", [{}, {"v": 2}, {"v": 1}, {"v": 1, "m": "", "e": 7}, {"v": 1, "m": "", "e": "~"}]
)
def test_what_was_not_made_here_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(CachePlanError):
        read_prints(odd)


# -- the provider's own reason -----------------------------------------------------------------


class Sdk(BaseModel):
    """As SDKs have them: fields that were not sent have a default."""

    model_config = ConfigDict(extra="allow")
    diagnostics: Any = None


SECRET = "What is the password?"
MISS = {"type": "tools_changed", "cache_missed_input_tokens": 7}
REASONS: list[tuple[object, Any]] = [
    ({}, None),
    (None, None),
    ({"diagnostics": None}, None),  # a default, for all that is known
    (Sdk(), None),
    (Sdk(diagnostics=None), {"diagnostics": None}),
    ({"diagnostics": {"cache_miss_reason": None}}, {"diagnostics": {"cache_miss_reason": None}}),
    (
        Sdk(diagnostics={"cache_miss_reason": {**MISS, "quote": SECRET}}),
        {"diagnostics": {"cache_miss_reason": MISS}},
    ),
    (
        {"prompt_cache_diagnostics": {"type": "cache_hit", "x": SECRET}},
        {"prompt_cache_diagnostics": {"type": "cache_hit"}},
    ),
    ({"prompt_cache_diagnostics": {"type": SECRET}}, None),
    ({"diagnostics": SECRET}, None),
    ({"diagnostics": {"cache_miss_reason": SECRET}}, {"diagnostics": {"cache_miss_reason": {}}}),
]


@pytest.mark.parametrize(("response", "kept"), REASONS)
def test_codes_and_counts_are_kept_and_nothing_else(response: object, kept: Any) -> None:
    assert small_reason([object(), response]) == kept
    if kept is not None and kept != {"diagnostics": {"cache_miss_reason": {}}}:
        assert read_reason(kept) is not None


# -- what it costs -----------------------------------------------------------------------------


def test_a_long_conversation_is_fingerprinted_in_a_few_milliseconds() -> None:
    said = tuple(MessageFacts(role="user", text="a question " * 100) for _ in range(200))
    tools = tuple(ToolFacts(name=f"t{n}", parameters="{}" * 500) for n in range(30))
    request = RequestFacts(messages=said, tools=tools)
    assert own_seconds(lambda: request_prints(request, KEY)) < 0.02
