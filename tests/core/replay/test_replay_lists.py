"""Several price lists: each as if it were alone, and all of the same calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.errors import PriceFileError, RecordingError
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import (
    Batch,
    Marks,
    Memory,
    RecordedCall,
    Routing,
    Setup,
    what_if,
    what_if_lists,
)
from tests.core.replay.test_replay_bills import BOOK, MINI, long_talk, sized

MakeList = Callable[[str], PriceBook]


@pytest.fixture
def list_of(tmp_path: Path) -> MakeList:
    def load(text: str) -> PriceBook:
        path = tmp_path / "prices.toml"
        path.write_text(text, encoding="utf-8")
        return PriceBook.load(path)

    return load


def test_every_figure_is_that_of_its_list(list_of: MakeList) -> None:
    """1,000 tokens in and 200 out on gpt-4o: $0.0045, on gpt-4o-mini $0.00027 (2.50 and 10, 0.15
    and 0.60 USD a million, 2026-11)."""
    halved = list_of('[[multiplier]]\nprovider = "openai"\nmodel = "gpt-4o"\ndiscount = 0.5\n')
    dear_mini = list_of(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-4o-mini"\ninput = 5\noutput = 20\n'
    )
    setup = Setup(routing=Routing(by_task={"faq": MINI}))
    calls = (sized(number) for number in range(20))  # can be read once
    now, half, dear = what_if_lists(calls, setup, [BOOK, halved, dear_mini], now_us=0)
    assert [each.replayed.calls for each in (now, half, dear)] == [20, 20, 20]
    assert [each.before.nanos for each in (now, half, dear)] == [
        20 * 4_500_000, 20 * 2_250_000, 20 * 4_500_000
    ]  # fmt: skip
    assert [each.after.nanos for each in (now, half, dear)] == [
        20 * 270_000, 20 * 270_000, 20 * 9_000_000
    ]  # fmt: skip
    assert [each.best.on for each in (now, half, dear)] == [("routing",), ("routing",), ()]


@given(st.integers(0, 700), st.integers(1, 4))
@settings(max_examples=15)
def test_each_is_what_it_would_be_alone(count: int, lists: int) -> None:
    setup = Setup(memory=Memory(), batch=Batch(tasks=frozenset({"faq"})))
    calls = [sized(number, input_tokens=10 + number % 7) for number in range(count)]
    alone = what_if(calls, setup, prices=BOOK, now_us=0)
    assert what_if_lists(iter(calls), setup, [BOOK] * lists, now_us=0) == (alone,) * lists


def test_levers_decide_by_the_prices_of_the_list(list_of: MakeList) -> None:
    free = list_of('[[free]]\nprovider = "openai"\n')
    setup = Setup(memory=Memory(), prompt_cache=Marks())
    bought, given_away = what_if_lists(long_talk(30), setup, [BOOK, free], now_us=0)
    assert bought == what_if(long_talk(30), setup, prices=BOOK, now_us=0)
    assert given_away == what_if(long_talk(30), setup, prices=free, now_us=0)
    assert bought.after.usage.input_tokens < given_away.after.usage.input_tokens
    assert given_away.before.nanos == 0


def test_what_was_read_is_told() -> None:
    read: list[int] = []
    calls = [sized(number) for number in range(2_500)]
    what_if_lists(calls, Setup(), [BOOK, BOOK], now_us=0, on_progress=read.append)
    assert read == [1_000, 2_000]


def test_a_recording_that_ends_badly_ends_all_of_them() -> None:
    def calls() -> Iterator[RecordedCall]:
        yield from (sized(number) for number in range(300))
        raise RecordingError("cut off")

    with pytest.raises(RecordingError, match="cut off"):
        what_if_lists(calls(), Setup(), [BOOK, BOOK], now_us=0)


def test_a_list_that_fails_is_told_at_once() -> None:
    class Broken(PriceBook):
        def price_at(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            raise PriceFileError("no such list")

    calls = (sized(number) for number in range(5_000))
    with pytest.raises(PriceFileError, match="no such list"):
        what_if_lists(calls, Setup(), [Broken(), BOOK], now_us=0)
