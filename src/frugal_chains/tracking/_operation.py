"""Operations: what the user of the application asked for, as one group of attempts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from frugal_chains.ledger import new_id
from frugal_chains.tracking._threads import block


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One group of attempts, and the tags they share."""

    id: str
    run_id: str = ""
    """The run its attempts belong to, where the framework cannot say; empty: the framework's."""
    tags: Mapping[str, str] = field(default_factory=dict)


_current: ContextVar[Operation | None] = ContextVar("frugal_operation", default=None)


@contextmanager
def operation(
    operation_id: str | None = None, /, *, run_id: str = "", **tags: str
) -> Iterator[Operation]:
    """Group every attempt made inside the block and in the threads it starts, over any number of
    framework runs.

    Without it each outermost run (a chain, an agent, a query) is an operation of its own.

        with operation(tenant="acme"):
            question = condense.invoke(history)
            answer = rag_chain.invoke(question)

    Args:
        operation_id: Your own id (a request id, say); None makes one. An inner block without an
            id of its own stays in the outer operation and adds its tags.
        run_id: Makes the block one run for budgets `per="run"`; by default each outermost call
            into the framework is one.
        tags: Added to the tags of every attempt.
    """
    outer = _current.get()
    if operation_id is None:
        operation_id = outer.id if outer else new_id(time.time_ns() // 1000)
    inherited = outer.tags if outer else {}
    run_id = run_id or (outer.run_id if outer else "")
    texts = {name: str(value) for name, value in tags.items()}  # whatever the types say
    made = Operation(id=operation_id, run_id=run_id, tags={**inherited, **texts})
    with block(_current, made):
        yield made


def current_operation() -> Operation | None:
    """The operation this code runs in, if one was opened."""
    return _current.get()
