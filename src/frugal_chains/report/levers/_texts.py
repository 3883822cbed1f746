"""What a lever is, what it needs, and what its figure stands on, in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from frugal_chains.replay import LeverName
from frugal_chains.report._money import plain_text
from frugal_chains.report.alerts._words import short
from frugal_chains.report.levers._facts import LeverGain, NextLever

TITLES: Final[Mapping[LeverName, str]] = {
    "memory": "a memory for long conversations",
    "compression": "compression",
    "routing": "routing",
    "prompt_cache": "prompt cache markers",
    "batch": "the batch interface",
}
_WHAT: Final[Mapping[LeverName, str]] = {
    "memory": "Old messages of long conversations leave the request, and a digest of them stays: "
    "CompactionMiddleware or compact_messages (LangChain), SummarizingMemory (LlamaIndex).",
    "prompt_cache": "Requests are marked for their provider's prompt cache where that pays: "
    "PromptCacheMiddleware or cached (LangChain), cached_llm (LlamaIndex).",
}
_TASKS: Final = 3
"""That are named."""
_DAYS: Final = 10
"""From here on tenths of a day say nothing."""


def what_it_is(lever: LeverName) -> str:
    return _WHAT.get(lever, "")


def period_text(found: NextLever) -> str:
    return "a month" if found.is_month else "of these calls"


def condition(found: NextLever, gain: LeverGain) -> str:
    """What must hold, as the beginning of a sentence: `If ... can ...`. Names in it come from
    outside: escape it."""
    move = found.move
    if gain.lever == "routing" and move is not None:
        return (
            f"If {short(move.to)} can answer {short(move.task)}, most of whose bill is of "
            f"{short(move.model)}"
        )
    return f"If {_tasks(found.trial.waiting)} can wait hours for a batch"


def command(found: NextLever, gain: LeverGain) -> str:
    """What to type, to look closer."""
    move, since = found.move, f"--since {found.first:%Y-%m-%d}"
    if gain.lever == "routing" and move is not None:
        route = shlex.quote(plain_text(f"{move.task}={move.provider}:{move.to}"))
        return f"frugal whatif {since} --route {route}"
    if gain.lever == "batch":
        tasks = [shlex.quote(plain_text(task)) for task in found.trial.waiting if task]
        return " ".join([f"frugal whatif {since}", *(f"--batch {task}" for task in tasks)])
    return f"frugal whatif {since}"


def basis(found: NextLever) -> Iterator[str]:
    """What the figures stand on."""
    if found.best is not None or found.trial.setup.on:
        yield _replayed(found)
    text = "Each call is taken to have the answer that it had. "
    if found.is_month:
        days = f"{found.days:.0f} days" if found.days >= _DAYS else f"{found.days:.1f} days"
        text += f"A month is taken at the pace of the last {days} of the period."
    if found.unpriced:
        text += f" {found.unpriced:,} attempts without a price are in no amount."
    yield text.strip()


def _replayed(found: NextLever) -> str:
    calls, first, last = found.calls, f"{found.first:%Y-%m-%d %H:%M}", f"{found.last:%m-%d %H:%M}"
    part = f"{calls:,}" if calls >= found.of else f"the newest {calls:,} of {found.of:,}"
    some = "attempt was" if calls == found.of == 1 else "attempts were"
    text = (
        f"Modelled: {part} {some} replayed ({first} to {last} UTC), with a simulated prompt cache."
    )
    if found.best is None:
        return text
    return f"{text} The interval is of traffic like these, by chance; other days may differ more."


def left_out(found: NextLever) -> Iterator[str]:
    """What could not be told, and what is at work already."""
    used = found.trial.in_use
    if used:
        yield f"At work already, and not tried again: {_listed([_NAMES[name] for name in used])}."
    if "compression" not in used:
        yield (
            "Not known: compression, as a ledger keeps no texts. frugal whatif tells it of "
            "recorded traffic."
        )


_NAMES: Final[Mapping[LeverName, str]] = {**TITLES, "memory": "memory", "batch": "batches"}


def _tasks(names: Sequence[str]) -> str:
    shown = [short(name) if name else "calls without a task" for name in names[:_TASKS]]
    more = len(names) - len(shown)
    return _listed([*shown, *([f"{more:,} more tasks"] if more else [])])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if names[1:] else "".join(names)
