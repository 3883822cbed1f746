"""A provider whose prompt cache is simulated and remembered, and a clock that the books share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from frugal_chains import Ledger
from frugal_chains.tracking import _open_calls
from tests.servers import AnthropicPromptCache, ManualClock, OpenAIPromptCache, ScriptedServer
from tests.servers.reply import Tokens

NOON_S = 1_795_348_800.0  # 2026-11-22 12:00 UTC
BETWEEN_S = 20.0
"""From one request to the next, unless a test waits longer."""


def words(about: str, tokens: int) -> str:
    """A text of so many tokens, at four characters each."""
    return (f"{about} " * tokens)[: 4 * tokens]


@dataclass
class Remembered(AnthropicPromptCache):
    """What the simulator has billed, request by request."""

    billed: list[Tokens] = field(default_factory=list)

    def look_up(self, body: Mapping[str, Any]) -> Tokens:
        self.billed.append(super().look_up(body))
        return self.billed[-1]


@dataclass
class RememberedOpenAI(OpenAIPromptCache):
    billed: list[Tokens] = field(default_factory=list)

    def look_up(self, body: Mapping[str, Any]) -> Tokens:
        self.billed.append(super().look_up(body))
        return self.billed[-1]


class Missing:
    """One ledger file, one clock, and the bills of the simulator."""

    def __init__(self, scripted: ScriptedServer, ledger: Ledger, path: Path) -> None:
        self.scripted, self.ledger, self.path = scripted, ledger, path
        self.clock = ManualClock()
        self.cache: Remembered | RememberedOpenAI = Remembered(clock=self.clock)
        scripted.cache = self.cache

    def of_openai(self) -> None:
        self.cache = self.scripted.cache = RememberedOpenAI(clock=self.clock)

    def wait(self, seconds: float = BETWEEN_S) -> None:
        self.clock.advance(seconds)

    def lost(self, number: int, before: int | None = None) -> int:
        """Tokens that a request could have read of what the one before had read and written."""
        one, two = self.cache.billed[number - 1 if before is None else before], self.billed(number)
        return min(one.cache_read + one.cache_write, two.input) - two.cache_read

    def billed(self, number: int) -> Tokens:
        return self.cache.billed[number]

    def dearer(self, number: int, lost: int) -> int:
        """Nanos: the bill of a request, less what it were with so many written tokens read instead.
        Claude Sonnet 4.5: 3, 0.30 and 3.75 USD per million tokens."""
        got = self.billed(number)
        assert got.cache_write_5m >= lost
        paid = got.fresh * 3000 + got.cache_read * 300 + got.cache_write_5m * 3750
        were = got.fresh * 3000 + (got.cache_read + lost) * 300
        return paid - were - (got.cache_write_5m - lost) * 3750

    def bytes_of_the_ledger(self) -> bytes:
        """All that is on disk, the log beside the file and what waits included."""
        return b"".join(p.read_bytes() for p in self.path.parent.iterdir() if p.is_file())


@pytest.fixture
def missing(scripted: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The books' clock is the simulator's."""
    path = tmp_path / "books" / "frugal.db"
    with Ledger.open(str(path)) as books:
        found = Missing(scripted, books, path)
        now: Callable[[], int] = lambda: round((NOON_S + found.clock()) * 1e9)  # noqa: E731
        monkeypatch.setattr(
            _open_calls, "time", SimpleNamespace(time_ns=now, perf_counter=time.perf_counter)
        )
        yield found
