"""Every error this library raises on purpose.

    FrugalError
    ├── UsageError          token counts that cannot be true
    ├── PriceFileError      a `prices.toml` that cannot be read as written
    ├── PriceError          prices or terms of a cache that cannot be true
    ├── LedgerError         the books cannot be opened, read or written
    │   ├── LedgerCorrupt       the file is not a ledger, or is damaged
    │   ├── LedgerTooNew        written by a newer version of this library
    │   ├── LedgerUnavailable   locked, read-only or out of space right now
    │   └── EffectError         an effect whose numbers cannot be true
    ├── ArchiveError        the archive of originals cannot be opened, read or written
    │   └── ArchiveMiss         no original under this handle (any more)
    ├── BudgetExceeded      a budget with `on_exceeded="stop"` refused a call
    ├── RoutingError        a request cannot be routed
    │   ├── RoutingPolicyError  a policy that cannot decide, with everything wrong in it
    │   ├── RequestRefused      a guardrail of the policy refused the request
    │   ├── CalibrationError    logs from which nothing can be learned
    │   └── GainStateError      bytes that are no stored gain model
    ├── CompressionError    a compressor was asked for what cannot be done
    │   ├── ShapeError          a text that is not what its form says, or no such form
    │   ├── PromptError         an argument by which no prompt can be changed
    │   └── ToolPlanError       facts or limits from which no tools can be chosen
    ├── MemoryPlanError     facts or limits from which no compaction can be planned
    ├── CachePlanError      blocks or terms from which no prompt cache can be planned
    ├── ReplayError         traffic that cannot be replayed
    │   ├── RecordingError      recorded calls that cannot be read
    │   └── SheetError          a workload sheet that cannot be computed: all that is wrong in it
    ├── ReconcileError      a provider's usage export that cannot be compared with the ledger
    ├── ExportError         the ledger cannot be written in that form
    └── LocalModelError     the local model server cannot start

Messages carry the numbers and the way out. Catch `FrugalError` to catch them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeAlias

from frugal_chains.money import usd_text

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def wordless(error: BaseException) -> ExcInfo:
    """For `exc_info` of a log: an error's class and where it happened, without what it says. That
    may be a prompt or a key, as validators and providers quote what they refuse."""
    kind = type(error)
    silent = type(kind.__name__, (Exception,), {"__module__": kind.__module__})
    return silent, silent(), error.__traceback__


def named(error: BaseException) -> str:
    """For notes and warnings that are kept: this library's errors in their own words, which are
    numbers and ways out; all others by class alone, for the reason above."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, FrugalError) else kind


class FrugalError(Exception):
    """The root of every error this library raises on purpose."""


class UsageError(FrugalError, ValueError):
    """Token counts that cannot be true: negative, boolean, NaN, or cached > input."""


class PriceFileError(FrugalError, ValueError):
    """A user's `prices.toml` is malformed: names file, line, field and what was expected."""


class PriceError(FrugalError, ValueError):
    """Prices or terms of a cache that cannot be true: names the value and what was expected."""


class LedgerError(FrugalError):
    """The ledger could not be opened, read or written."""


class LedgerCorrupt(LedgerError):
    """The file is not a ledger, or SQLite finds it damaged."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer version of this library."""


class LedgerUnavailable(LedgerError):
    """The ledger cannot be used right now: locked, read-only, or the disk is full."""


class EffectError(LedgerError, ValueError):
    """An effect that cannot be true: names the field, its value and what was expected."""


class ArchiveError(FrugalError):
    """The archive of originals could not be opened, read or written."""


class ArchiveMiss(ArchiveError, LookupError):
    """No original is kept under this handle: never put, evicted since, or damaged."""


class RoutingError(FrugalError):
    """A request could not be routed, or routing could not be set up."""


class RoutingPolicyError(RoutingError, ValueError):
    """A routing policy cannot decide: names every problem and its way out."""


class RequestRefused(RoutingError):
    """A guardrail refused a request before any model saw it; the message is the guardrail's."""


class CalibrationError(RoutingError, ValueError):
    """Logs from which routing cannot be calibrated: names the row, and what to change."""


class GainStateError(RoutingError, ValueError):
    """Bytes that are not a stored gain model, or one of another version: calibrate again."""


class CompressionError(FrugalError, ValueError):
    """What is asked of a compressor cannot be done."""


class ShapeError(CompressionError):
    """A text that is not what its form says, or a form that is unknown or cannot be undone."""


class PromptError(CompressionError):
    """An argument by which no prompt can be changed: names it, and what was expected."""


class ToolPlanError(CompressionError):
    """Facts or limits from which no tools can be chosen: names the value and what was expected."""


class MemoryPlanError(FrugalError, ValueError):
    """Facts or limits from which no compaction can be planned: names the value and the way out."""


class CachePlanError(FrugalError, ValueError):
    """Blocks or terms from which no prompt cache can be planned: names the value and a way out."""


class ReplayError(FrugalError, ValueError):
    """Traffic cannot be replayed."""


class RecordingError(ReplayError):
    """Recorded calls cannot be read."""


class SheetError(ReplayError):
    """A workload sheet cannot be computed; the message names everything that is wrong in it."""


class ReconcileError(FrugalError, ValueError):
    """A provider's usage export cannot be compared with the ledger."""


class ExportError(FrugalError):
    """The ledger cannot be written in that form."""


class LocalModelError(FrugalError):
    """The local model server could not be started."""


class BudgetExceeded(FrugalError):
    """A budget refused a call before it was sent.

    Attributes:
        scope: What the budget covers, e.g. ``day, tenant=acme``.
        spent_usd: Settled spend in that scope, before this call.
        reserved_usd: Held for calls that are still running.
        limit_usd: The limit that would have been passed.
        needed_usd: The worst case of the refused call.
    """

    def __init__(
        self,
        *,
        scope: str,
        spent_usd: Decimal,
        limit_usd: Decimal,
        needed_usd: Decimal = Decimal(0),
        reserved_usd: Decimal = Decimal(0),
        reason: str = "",
    ) -> None:
        self.scope = scope
        self.spent_usd = spent_usd
        self.limit_usd = limit_usd
        self.needed_usd = needed_usd
        self.reserved_usd = reserved_usd
        self.reason = reason
        why = f" ({reason})" if reason else ""
        super().__init__(
            f"budget [{scope}] refused this call{why}: {usd_text(spent_usd)} spent and "
            f"{usd_text(reserved_usd)} reserved of {usd_text(limit_usd)}; this call may cost up to "
            f"{usd_text(needed_usd)}. Raise the limit, lower the request's output cap, or set "
            "on_exceeded='warn' or 'downgrade'."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only exceptions do not unpickle by default: Exception.__reduce__ replays `args`.
        return _rebuild_budget_exceeded, (type(self), self.__fields())

    def __fields(self) -> Mapping[str, Any]:
        names = ("scope", "spent_usd", "limit_usd", "needed_usd", "reserved_usd", "reason")
        return {name: getattr(self, name) for name in names}


def _rebuild_budget_exceeded(
    cls: type[BudgetExceeded], fields: Mapping[str, Any]
) -> BudgetExceeded:
    return cls(**fields)
