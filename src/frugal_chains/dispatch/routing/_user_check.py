"""A function of the application as a validator: it may raise or hang, the call goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frugal_chains.dispatch._patience import GaveUp, Patience
from frugal_chains.facts import RequestFacts
from frugal_chains.routing.cascade import OK, AnswerFacts, Verdict


class UserCheck:
    """Ask a function of the application whether an answer will do.

    The function gets the question's facts and the answer's, and returns True (it will do), False or
    a reason (it will not), or a `Verdict`. One that raises or takes longer than `timeout_s` has not
    spoken: the answer counts as not validated by it, and the cascade's `notes` say so.

    It runs in a thread of its own, the only way to give up waiting for it; so this is the one
    validator with a clock, and no part of the pure `routing`. An asynchronous driver sends the
    outcome from a worker thread (`asyncio.to_thread(flow.send, outcome)`), so that the wait never
    holds the event loop.
    """

    def __init__(
        self,
        function: Callable[[RequestFacts, AnswerFacts], Verdict | bool | str | None],
        *,
        name: str = "",
        timeout_s: float = 1.0,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, got {timeout_s!r}")
        self.function = function
        self.name = name or getattr(function, "__name__", "user check")
        self.timeout_s = timeout_s
        self._patience = Patience(f"frugal-check-{self.name}", timeout_s)

    def __call__(self, request: RequestFacts, answer: AnswerFacts, /) -> Verdict:
        def ask() -> Any:
            try:
                return self.function(request, answer)
            except BaseException as error:  # also SystemExit: its thread is its end
                return error

        try:
            return self._read(self._patience.wait_for(ask))
        except GaveUp as error:
            return self._silent(str(error))

    def _read(self, said: Any) -> Verdict:
        match said:
            case Verdict():
                return said
            case True | None | "":
                return OK
            case False:
                return Verdict(code="user", detail=self.name)
            case str():
                return Verdict(code="user", detail=said)
            case BaseException():
                return self._silent(f"{type(said).__name__}: {said}"[:200])
        return self._silent(f"it returned {type(said).__name__}, not a bool, a text or a Verdict")

    def _silent(self, why: str) -> Verdict:
        return Verdict(detail=f"not validated by {self.name}: {why}")

    def __deepcopy__(self, _memo: object) -> UserCheck:
        return UserCheck(self.function, name=self.name, timeout_s=self.timeout_s)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.function, self.name, self.timeout_s)


def _rebuilt(function: Any, name: str, timeout_s: float) -> UserCheck:
    return UserCheck(function, name=name, timeout_s=timeout_s)
