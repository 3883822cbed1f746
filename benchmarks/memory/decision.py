"""The time that a decision takes, and whether taking a message in gets slower with the history."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from _figures import Figure

from memory import ours
from memory.measure import Runs, lower
from memory.ours import OURS
from memory.traffic import constant

MESSAGES = 1000
ROUNDS = 200
FEW, MANY = 100, 10_000
GROWTH = 1.5
"""What "no growth" may measure as, on a machine that does other things too."""


def asked() -> dict[str, float]:
    return {
        f"decision, {OURS}: one at 1,000 messages": 1.0,
        f"decision, {OURS}: growth of a put": GROWTH,
    }


def figures(runs: Runs, *, rounds: int = ROUNDS) -> dict[str, Figure]:
    """Ours, where it exists; and LangChain's `trim_messages` beside it."""
    found: dict[str, Figure] = {}
    for what, measure in (("decision", _decision), ("put", _put)):
        try:
            found |= measure(rounds)
        except (NotImplementedError, ImportError) as reason:
            runs.absent[f"{what} of {OURS}"] = str(reason)
            print(f"{what} of {OURS}: not run ({reason})", file=sys.stderr)
    trim = _trim()
    if trim is not None:
        key = "decision, trim_messages 4k: one at 1,000 messages"
        found[key] = lower(_p50_ms(trim, max(5, rounds // 10)), "ms")
    return found


def _decision(rounds: int) -> dict[str, Figure]:
    decide = ours.decision(MESSAGES)
    return {f"decision, {OURS}: one at 1,000 messages": lower(_p50_ms(decide, rounds), "ms")}


def _put(_: int) -> dict[str, Figure]:
    few, many = (min(_ms(ours.put(count)) for _ in range(3)) / count for count in (FEW, MANY))
    return {
        f"decision, {OURS}: a put of {MANY:,}": lower(1000 * many, "us"),
        f"decision, {OURS}: growth of a put": lower(many / few, "x"),
    }


def _trim() -> Callable[[], object] | None:
    """LangChain's own, with its own approximate counter."""
    try:
        from langchain_core.messages import trim_messages

        from memory.langchain_chat import message_of
    except ImportError:
        return None
    history = [message_of(each) for each in constant(MESSAGES // 2).messages]
    return lambda: trim_messages(
        history, max_tokens=4000, strategy="last", token_counter="approximate", start_on="human"
    )


def _p50_ms(call: Callable[[], object], rounds: int) -> float:
    return statistics.median(_ms(call) for _ in range(rounds))


def _ms(call: Callable[[], object]) -> float:
    # Of this thread alone: what else the machine does does not count.
    start = time.thread_time()
    call()
    return 1000 * (time.thread_time() - start)
