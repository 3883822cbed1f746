"""`what_if_lists`: the same traffic at several price lists, read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from frugal_chains.pricing import PriceBook
from frugal_chains.replay._replay import TOLD_EACH, Replay
from frugal_chains.replay._setup import Setup
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.replay._whatif import WhatIf, choices, read_replay


def what_if_lists(
    calls: Iterable[RecordedCall],
    setup: Setup,
    lists: Sequence[PriceBook],
    *,
    now_us: int,
    calls_a_month: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[WhatIf, ...]:
    """`what_if` at each price list. Levers decide by the prices of the list.

    All see the same calls, of a ledger that is being written too: a row that arrives between two
    passes, at a time that both cover, would be in one of them alone.

    Args:
        calls: In the order in which they were sent.
        setup: The levers to try.
        lists: Prices of models, one or more.
        now_us: The time of calls that have none, for their prices.
        calls_a_month: For the projection; None: by the times of the recording.
        on_progress: Told how many calls were read, now and then.
    """
    tried = choices(setup)
    replays = [Replay(list(tried.values()), prices=book, now_us=now_us) for book in lists]
    for number, call in enumerate(calls, 1):
        for each in replays:
            each.add(call)
        if on_progress is not None and not number % TOLD_EACH:
            on_progress(number)
    return tuple(read_replay(setup, tried, each.result(), calls_a_month) for each in replays)
