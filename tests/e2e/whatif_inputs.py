"""The inputs of `frugal whatif` with what is printed of them: recordings, a ledger, sheets.

`expected/` has the output of each as the command prints it, 100 columns wide. After a
wanted change: `python -m tests.e2e.whatif_inputs`, and read the difference.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from frugal_chains import Ledger, Usage
from frugal_chains.cli import main as cli
from frugal_chains.ledger import Attempt, microseconds, new_id
from frugal_chains.pricing import Priced, Unpriced

ROOT: Final = Path(__file__).parents[2]
EXPECTED: Final = Path(__file__).parent / "expected"
MAIL: Final = ("--route", "sort mail=openai:gpt-4o-mini")
INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("examples/traffic/openai.jsonl", *MAIL),
    "openai_sweep": (
        "examples/traffic/openai.jsonl",
        *("--sweep", "routing.by_task.sort mail=openai:gpt-4o-mini,openai:gpt-4.1-nano"),
    ),
    "openai_prices": (
        "examples/traffic/openai.jsonl", *MAIL, "--prices", "now.toml", "--prices", "new.toml"
    ),
    "anthropic": ("examples/traffic/anthropic.jsonl",),
    "ledger": (
        "--ledger", "sqlite:///books.db", "--route", "faq=openai:gpt-4o-mini", "--batch", "nightly"
    ),
    "sheet": ("examples/workloads/five_million_calls.toml",),
    "sheet_prices": (
        "examples/workloads/five_million_calls.toml",
        "--prices", "now.toml", "--prices", "new.toml",
    ),
}  # fmt: skip
NEW_PRICES: Final = """
[[multiplier]] # what a contract might say
provider = "openai"
model = "gpt-4o"
discount = 0.5

[[multiplier]] # the same model as it names itself in answers
provider = "openai"
model = "gpt-4o-2024-*"
discount = 0.5
"""

FAQ, CHAT, NIGHTLY, FAILED, HOUSE = 120, 96, 60, 3, 2
"""Attempts in the ledger, by what they are for."""
FAQ_USAGE: Final = Usage(input_tokens=1_200, output_tokens=150)
NIGHTLY_USAGE: Final = Usage(input_tokens=3_000, output_tokens=400)
_FIRST: Final = datetime(2026, 10, 1, 9, tzinfo=UTC)


def chat_usage(turn: int) -> Usage:
    """Of a conversation without a cache: each request has what was said before."""
    return Usage(input_tokens=1_500 + 800 * turn, output_tokens=250)


def nanos_of(usage: Usage, usd_in: float, usd_out: float) -> int:
    """At USD per million tokens, nothing cached."""
    return round(usage.input_tokens * usd_in * 1_000 + usage.output_tokens * usd_out * 1_000)


def attempts() -> Iterator[Attempt]:
    """An invented October, priced by hand: gpt-4o at 2.50 and 10 USD a million, claude-sonnet-4-5
    at 3 and 15, gpt-4.1-mini at 0.40 and 1.60 (2026-10)."""
    for number in range(FAQ):  # four a day
        at = timedelta(days=number // 4, hours=number % 4)
        yield _attempt(at, "gpt-4o", FAQ_USAGE, nanos_of(FAQ_USAGE, 2.5, 10), "faq")
    for number in range(CHAT):  # twelve conversations of eight turns, a minute apart
        talk, turn = divmod(number, 8)
        usage = chat_usage(turn)
        at = timedelta(days=2 * talk, hours=5, minutes=turn)
        cost = nanos_of(usage, 3, 15)
        yield _attempt(at, "claude-sonnet-4-5", usage, cost, "chat", thread=f"c{talk}")
    for number in range(NIGHTLY):  # two a night
        at = timedelta(days=number // 2, hours=14, minutes=number % 2)
        cost = nanos_of(NIGHTLY_USAGE, 0.4, 1.6)
        yield _attempt(at, "gpt-4.1-mini", NIGHTLY_USAGE, cost, "nightly")
    for number in range(FAILED):
        yield _attempt(timedelta(days=3 * number, hours=4), "gpt-4o", None, 0, "faq")
    for number in range(HOUSE):
        at = timedelta(days=number, hours=4, minutes=30)
        yield _attempt(at, "house-model-7", FAQ_USAGE, None, "faq", provider="house")


def _attempt(
    at: timedelta,
    model: str,
    usage: Usage | None,
    nanos: int | None,
    feature: str,
    *,
    thread: str = "",
    provider: str = "",
) -> Attempt:
    at_us = microseconds(_FIRST + at)
    return Attempt(
        id=new_id(at_us),
        operation_id=f"{at_us:032x}",  # by which calls fall into groups, for intervals
        at_us=at_us,
        framework="langchain",
        provider=provider or ("anthropic" if model.startswith("claude") else "openai"),
        model=model,
        usage=usage or Usage(source="estimated"),
        status="error" if usage is None else "ok",
        error_kind="rate_limit" if usage is None else "",
        price=Unpriced(reason="no price") if nanos is None else Priced(nanos=nanos, price_id="x"),
        thread_id=thread,
        tags={"feature": feature},
    )


def place(folder: Path) -> None:
    """What the commands name, in a folder."""
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "now.toml").write_text("", encoding="utf-8")
    (folder / "new.toml").write_text(NEW_PRICES, encoding="utf-8")
    with Ledger.open(str(folder / "books.db")) as books:
        for each in sorted(attempts(), key=lambda attempt: attempt.at_us):
            books.record(each)


def printed(folder: Path, *arguments: str) -> str:
    """As the command prints it in a folder; what only pads a line is left out."""
    own = {"COLUMNS": "100", "HOME": str(folder), "FRUGAL_LEDGER": None, "FRUGAL_PRICES": None}
    with contextlib.chdir(folder):
        done = CliRunner().invoke(cli, ["whatif", *arguments], env=own)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Write `expected/` anew."""
    with tempfile.TemporaryDirectory() as name:
        place(Path(name))
        for wanted, arguments in INPUTS.items():
            text = printed(Path(name), *arguments)
            (EXPECTED / f"whatif_{wanted}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
