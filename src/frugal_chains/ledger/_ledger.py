"""`Ledger`: the books of an application, kept where its URL says."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from frugal_chains.errors import LedgerError, LedgerUnavailable
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._effect import Effect, EffectTotals
from frugal_chains.ledger._sqlite import SqliteStore
from frugal_chains.ledger._store import AttemptFilter, EffectFilter, PeriodBooks, Store
from frugal_chains.ledger._totals import Totals
from frugal_chains.sqlite import path_of_url

T = TypeVar("T")

DEFAULT_URL = "sqlite:///frugal.db"
_SECRETS = re.compile(r"(?<=://)(?!/).*@|(?<=[?&]password=)[^&]*")
"""User and password before a host, and a password among the parameters of a URL."""


class Closes(Protocol):
    """Something that writes to a ledger and has an end of its own."""

    def close(self) -> None: ...


class Ledger:
    """Every provider attempt, one row each, and what each lever did for it.

        with Ledger.open("sqlite:///frugal.db") as ledger:
            for line in ledger.totals(by=["model"]):
                print(line.key["model"], line.cost_usd)

    Threads and processes may share one ledger file; a recorded attempt survives `kill -9`.
    """

    def __init__(self, store: Store, url: str) -> None:
        self.store = store
        self.url = url
        self._users: weakref.WeakSet[Closes] = weakref.WeakSet()

    @classmethod
    def open(cls, url: str | None = None, *, read_only: bool = False) -> Self:
        """Open or create a ledger.

        Args:
            url: `sqlite:///relative.db`, `sqlite:////absolute.db`, a plain path, or `memory://`.
                None: `$FRUGAL_LEDGER`, else `sqlite:///frugal.db` in the working directory.
            read_only: Read a ledger that must not change, such as a copy or another user's.

        Raises:
            LedgerError: the URL is of no known kind, or relative without a working directory.
            LedgerCorrupt, LedgerTooNew, LedgerUnavailable: the file cannot be used as it is.
        """
        url = url or os.environ.get("FRUGAL_LEDGER") or DEFAULT_URL
        return cls(SqliteStore(ledger_path(url), read_only=read_only), url)

    def record(self, attempt: Attempt, *, reservation_id: str | None = None) -> None:
        """Keep an attempt, and settle the reservation that was made for it. Never loses a row."""
        self.store.append(attempt, reservation_id=reservation_id)

    def attempts(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        framework: str | None = None,
        purpose: str | None = None,
        status: str | None = None,
        operation_id: str | None = None,
        run_id: str | None = None,
        thread_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Attempt]:
        """The attempts that match every argument given, newest last, read a page at a time."""
        named = {
            "model": model, "provider": provider, "framework": framework, "purpose": purpose,
            "status": status, "operation_id": operation_id, "run_id": run_id,
            "thread_id": thread_id,
        }  # fmt: skip
        equal = {name: value for name, value in named.items() if value is not None}
        which = AttemptFilter(equal=equal, tags=tags or {}, since=since, until=until)
        return self.store.attempts(which)

    def totals(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Totals]:
        """Sums over `[since, until)`, one line for each combination of `by`, dearest first.

        Args:
            by: Any of `model`, `provider`, `framework`, `purpose`, `status`, `day`, `hour` and the
                other labels of an attempt; or a tag, by its name or as `tag:<name>`.

        Raises:
            LedgerError: a name in `by` is neither a label nor a tag of any attempt.
        """
        return self.store.totals(by, since=since, until=until)

    def totals_together(
        self,
        groupings: Sequence[Sequence[str]],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[list[Totals]]:
        """`totals` by each grouping, of one moment: they agree even while other calls are recorded.

        Raises:
            LedgerError: as `totals`.
        """
        return self.store.totals_together(groupings, since=since, until=until)

    def record_effect(self, effect: Effect) -> None:
        """Keep what a lever did: as safe on return as an attempt. The same id twice is one row."""
        self.store.append_effect(effect)

    def record_effects(self, effects: Iterable[Effect]) -> None:
        """Keep several, in their order. Each is safe by itself: they may be of many operations."""
        for effect in effects:
            self.store.append_effect(effect)

    def effects(
        self,
        *,
        operation_id: str | None = None,
        lever: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Effect]:
        """The effects that match every argument given, newest last, read a page at a time."""
        return self.store.effects(
            EffectFilter(operation_id=operation_id, lever=lever, since=since, until=until)
        )

    def effect_totals(
        self,
        by: Sequence[str] = ("lever",),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[EffectTotals]:
        """Sums over the effects in `[since, until)`, one line for each combination of `by`: the
        one that kept out most tokens first.

        Args:
            by: Any of `lever`, `kind`, `provider`, `model` and `day`.

        Raises:
            LedgerError: a name in `by` is none of these.
        """
        return self.store.effect_totals(by, since=since, until=until)

    def read_period(
        self,
        work: Callable[[PeriodBooks], T],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> T:
        """What `work` makes of the books of `[since, until)`, all of one moment.

        Meanwhile other threads that use this `Ledger` wait, except those that record: for long work
        open one of its own, to be read only. `work` may be called again where the file was busy.
        """
        return self.store.read_period(work, since=since, until=until)

    def tag_names(self) -> list[str]:
        """The names of all tags that any attempt carries."""
        return self.store.tag_names()

    def estimated_notes(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 5
    ) -> list[tuple[str, int]]:
        """Why usage had to be estimated: the most frequent notes, and how many attempts carry each.

        Only attempts whose usage is not wholly the provider's word are looked at.
        """
        return self.store.estimated_notes(since=since, until=until, limit=limit)

    def close_first(self, user: Closes) -> None:
        """Close `user` before this ledger, as long as it lives: it may still have rows to write."""
        self._users.add(user)

    def close(self) -> None:
        """Let go of the file. Raises `LedgerUnavailable` if attempts are still unwritten."""
        for user in list(self._users):
            user.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self.url!r})"


def ledger_path(url: str) -> Path | None:
    """The absolute path of the file a URL names; None for memory.

    Raises:
        LedgerError: the URL is of no known kind.
        LedgerUnavailable: it is relative, and the working directory is gone.
    """
    try:
        return path_of_url(url)
    except ValueError as error:
        raise LedgerError(f"ledger URL {shown_url(url)!r}: {error}") from None
    except FileNotFoundError as error:
        path = url.removeprefix("sqlite:///")
        raise LedgerUnavailable(
            f"there is no ledger at {path}: the working directory was deleted. Change to another "
            "one, or set $FRUGAL_LEDGER to an absolute path."
        ) from error


def shown_url(url: str) -> str:
    """A URL as it may be printed: another program's may carry a password."""
    return _SECRETS.sub(lambda found: "***@" if found[0].endswith("@") else "***", url)
