"""Context variables that threads take along from the block they are started in.

Context variables go through calls, tasks and `asyncio.to_thread` by themselves. Threads start with
an empty context (before Python 3.14), and a pool's workers know nothing of the context that work
was submitted in. So while any block is open, `Thread.start` and `ThreadPoolExecutor.submit` are
wrapped: what is started or submitted inside a block takes the block's variables along.

They are set in the thread's own context, not kept beside it: work that brings a context with it,
as the workers of anyio and asgiref run it, belongs to the block of that context, or to none.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger("frugal_chains.tracking")

Taken = Sequence[tuple[ContextVar[Any], Any]]

_submitting: ContextVar[bool] = ContextVar("frugal_submitting", default=False)
_block_variables: dict[ContextVar[Any], None] = {}
_further_variables: dict[ContextVar[Any], None] = {}


def carry(*variables: ContextVar[Any]) -> None:
    """Have these variables taken along too, by the threads and the pool work of any block.

    For adapters whose framework finds the way from an outer call to an inner one in variables of
    its own. Outside blocks nothing changes for them. Naming one again does nothing.
    """
    _further_variables.update(dict.fromkeys(variables))


@contextmanager
def block(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set a variable for the code in the block, for the threads it starts, and for pool work.

    Never raises by itself.
    """
    _block_variables[variable] = None
    _carriers.install()
    token = variable.set(value)
    try:
        yield
    finally:
        _carriers.uninstall()
        try:
            variable.reset(token)
        except ValueError:
            # A generator that holds the block was closed in another context than it began in.
            logger.debug("%s stays as it is in a context that cannot be reached", variable.name)


class _Carriers:
    """Keeps `Thread.start` and `ThreadPoolExecutor.submit` wrapped while blocks are open."""

    def __init__(self) -> None:
        # Reentrant: a collected generator may leave its block anywhere, also in here.
        self._lock = threading.RLock()
        self._blocks = 0
        self._put_back: Callable[[], None] | None = None

    def install(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._put_back is None:
                self._put_back = _wrap()

    def uninstall(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._put_back is not None:
                self._put_back()
                self._put_back = None


def _wrap() -> Callable[[], None]:
    """Wrap both methods; what it returns takes the wrappers off again."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    our_start, our_submit = _carrying_start(start), _carrying_submit(submit)
    threading.Thread.start = our_start  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = our_submit  # type: ignore[method-assign]

    def put_back() -> None:
        # Somebody who wrapped us meanwhile keeps their wrapper; ours then finds no block.
        if threading.Thread.start is our_start:
            threading.Thread.start = start  # type: ignore[method-assign]
        if ThreadPoolExecutor.submit is our_submit:
            ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]

    return put_back


def _carrying_start(
    start: Callable[[threading.Thread], None],
) -> Callable[[threading.Thread], None]:
    @functools.wraps(start)
    def start_in_block(thread: threading.Thread) -> None:
        # A pool's workers outlive the block that made them: their work brings its own variables.
        taken = () if _submitting.get() else _taken()
        if taken:
            _set_first(thread, taken)
        start(thread)

    return start_in_block


def _set_first(thread: threading.Thread, taken: Taken) -> None:
    """Have `thread` set the variables, in its own context, before it runs."""
    run, replaced = thread.run, vars(thread).get("run")

    def run_in_block() -> None:
        if replaced is None:
            del thread.run  # a thread that holds itself is freed late
        else:
            thread.run = replaced  # type: ignore[method-assign]
        if not _taken():  # unless it was given a block's context, as Python 3.14 allows
            for variable, value in taken:
                variable.set(value)
        run()

    thread.run = run_in_block  # type: ignore[method-assign]


def _carrying_submit(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @functools.wraps(submit)
    def submit_from_block(
        pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        taken = _taken()
        token = _submitting.set(True)
        try:
            if not taken:
                return submit(pool, work, *args, **kwargs)
            return submit(pool, _run_with, taken, work, *args, **kwargs)
        finally:
            _submitting.reset(token)

    return submit_from_block


def _run_with(taken: Taken, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    tokens = [(variable, variable.set(value)) for variable, value in taken]
    try:
        return work(*args, **kwargs)
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


def _taken() -> Taken:
    """What this code's threads take along; nothing when it runs in no block."""
    ours = _found(_block_variables)
    return [*ours, *_found(_further_variables)] if ours else ()


def _found(variables: dict[ContextVar[Any], None]) -> Taken:
    values = [(variable, variable.get(None)) for variable in list(variables)]
    return [(variable, value) for variable, value in values if value is not None]


_carriers = _Carriers()
