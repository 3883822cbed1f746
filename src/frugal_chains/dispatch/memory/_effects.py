"""What a memory did, for the ledger and for the application."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from frugal_chains.dispatch.memory._history import History
from frugal_chains.dispatch.memory._turn import Compaction, Turn
from frugal_chains.memory import Decision, MemoryState
from frugal_chains.tracking import Tracker, report_effect

COMPACT = "memory.compact"
RECALL = "memory.recall"
_NANOS = 1e9


def compaction_event(
    decision: Decision, turn: Turn, *, conversation: str, handle: str, priced: bool
) -> Compaction | None:
    """The event of a plan that was carried out."""
    plan = turn.plan
    if plan is None:
        return None
    return Compaction(
        id=plan.id,
        conversation=conversation,
        reason=decision.reason,
        kind=plan.way.kind,
        messages=len(plan.summarize),
        before_tokens=plan.before_tokens,
        after_tokens=turn.state.account.sent_tokens,
        merged=plan.merge,
        extra_usd=plan.extra_nanos / _NANOS if priced else None,
        saves_usd=plan.saves_nanos / _NANOS if priced else None,
        handle=handle,
    )


def report_turn(
    before: MemoryState,
    turn: Turn,
    history: History,
    *,
    priced: bool,
    exact: bool,
    recall_nanos: float,
    operation_id: str,
    trackers: Sequence[Tracker],
) -> None:
    """One effect for what this call costs less, or more, than without a memory; one for what was
    recalled. Their sum over a conversation is the difference of the two bills.

    A call with nothing left out and nothing recalled has none.
    """
    write = partial(
        report_effect,
        exact=exact,
        model=history.model,
        provider=history.provider,
        operation_id=operation_id,
        trackers=trackers,
    )
    was, now = before.account, turn.state.account
    saved = now.unmanaged_nanos - was.unmanaged_nanos - (now.spent_nanos - was.spent_nanos)
    # Without a segment there is a difference where one was undone, or its messages edited: what
    # comes back is written to the cache anew.
    if turn.state.segments or turn.plan is not None or abs(saved + recall_nanos) >= 1:
        write(
            COMPACT,
            tokens_before=now.unmanaged_tokens,
            tokens_after=now.sent_tokens,
            net_nanos=round(saved + recall_nanos) if priced else None,
            detail=_detail(turn),
        )
    if turn.recalled and turn.state.recalled is not None:
        write(
            RECALL,
            tokens_before=0,
            tokens_after=turn.state.recalled.tokens,
            net_nanos=-round(recall_nanos) if priced else None,
        )


def report_idle(
    before: MemoryState, turn: Turn, history: History, *, priced: bool, exact: bool
) -> None:
    """What an idle conversation's summary has cost. It is no request, so it has no tokens; what it
    saves is in the effect of the next call."""
    if turn.plan is None:
        return
    cost = turn.state.account.spent_nanos - before.account.spent_nanos
    report_effect(
        COMPACT,
        tokens_before=0,
        tokens_after=0,
        exact=exact,
        model=history.model,
        provider=history.provider,
        net_nanos=-round(cost) if priced else None,
        detail=_detail(turn),
    )


def _detail(turn: Turn) -> dict[str, str | int]:
    detail: dict[str, str | int] = {"reason": turn.reason, "segments": len(turn.state.segments)}
    plan = turn.plan
    if plan is None:
        return detail
    return detail | {
        "compaction": plan.id,
        "kind": plan.way.kind,
        "messages": len(plan.summarize),
        "merged": plan.merge,
    }
