"""A ledger as recorded traffic: sizes, bills and fingerprints, no texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from frugal_chains.ledger import Attempt
from frugal_chains.pricing import Priced
from frugal_chains.replay._traffic import RecordedCall

TASK_TAGS: Final = ("task", "feature")
"""Tags that say what a call was for, the first that it has."""
_SENT: Final = frozenset(("ok", "error", "aborted"))
"""What was answered from a response cache has cost nothing, and would not."""


def ledger_calls(
    attempts: Iterable[Attempt], *, task_tags: tuple[str, ...] = TASK_TAGS
) -> Iterator[RecordedCall]:
    """Each attempt that reached a provider, as it stands in the books.

    Args:
        attempts: Of `Ledger.attempts`, oldest first.
        task_tags: Names of tags that say what a call was for, the most telling first.
    """
    for number, attempt in enumerate(attempts, 1):
        if attempt.status not in _SENT:
            continue
        price, tags = attempt.price, attempt.tags
        yield RecordedCall(
            model=attempt.model,
            provider=attempt.provider,
            tier=attempt.service_tier,
            at_us=attempt.at_us,
            conversation=attempt.thread_id,
            operation=attempt.operation_id,
            task=next((tags[name] for name in task_tags if name in tags), "") if tags else "",
            purpose=attempt.purpose,
            status=attempt.status,
            prints=attempt.prints,
            usage=attempt.usage,
            nanos=price.nanos if isinstance(price, Priced) else None,
            line=number,
        )
