"""One request of the application may be several attempts: which one answered it, which did not.

A cascade asks a cheap model first and a stronger one where the draft does not hold; a failed call
is made again. Without either the application would have sent one of them. So of every request one
attempt is kept, and the others are overheads: drafts or retries.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from frugal_chains.ledger import Followed, Purpose

TRIED_AGAIN: Final[tuple[Purpose, ...]] = ("draft", "retry")
"""Purposes of attempts that may not be the only one of their request; one that failed may not be
either."""
_PURPOSES: Final = frozenset(("answer", *TRIED_AGAIN))
_FIRST: Final = "cascade"
"""Why the first of several steps is taken; the why of a simple call is not written."""
_SECOND_SAMPLE: Final = "agreement"
"""Why a draft is asked for again: only to compare."""
_ANSWERED: Final = frozenset(("ok", "cached"))
_WORTH: Final = {"ok": 2, "cached": 2, "aborted": 1, "error": 0}


class Request(NamedTuple):
    """What was tried for one request. A tuple because there may be one for every attempt."""

    kept: Followed | None
    """None: a retry of something that is not known here."""
    lost: tuple[Followed, ...] = ()


def routing_of(attempt: Followed) -> Mapping[str, Any] | None:
    """The routing decision that an attempt follows."""
    return mapping(attempt.decision.get("routing")) if attempt.decision else None


def step_of(routing: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Which step of the decision it is; empty: the chosen model was simply called."""
    return (mapping(routing.get("step")) if routing else None) or {}


def mapping(value: Any) -> Mapping[str, Any] | None:
    """A part of a decision, if it is what it should be: a decision may be anybody's."""
    # A dict or nothing, nearly always: told ten times as fast as any mapping.
    if type(value) is dict:
        return value
    return value if value is not None and isinstance(value, Mapping) else None


def requests_of(attempts: Sequence[Followed]) -> Iterator[Request]:
    """The requests of one operation, in no order. Of each, the last attempt that brought an answer
    is kept; else the last one.

    Attempts of a cascade belong together by their decision, retries by their parent. Where several
    requests are alike in that, an attempt goes to the newest that still waits for an answer.

    Args:
        attempts: Of one operation. Those that could answer nobody (summaries, classifiers,
            embeddings, judges) are left out.
    """
    waiting: dict[Hashable, list[list[Followed]]] = {}
    for attempt in sorted(attempts, key=itemgetter(0)):
        purpose = attempt.labels.purpose
        if purpose not in _PURPOSES:
            continue
        routing = routing_of(attempt)
        is_first = _is_first(purpose, routing)
        if is_first and purpose == "answer" and attempt.labels.status in _ANSWERED:
            yield Request(attempt)
            continue
        if routing is None and purpose == "draft":
            yield Request(None, (attempt,))  # nothing says what became of it
            continue
        stack = waiting.setdefault(_key(attempt, routing), [])
        if not is_first and stack:
            tried = [*stack.pop(), attempt]
        elif purpose == "retry":
            yield Request(None, (attempt,))
            continue
        else:
            tried = [attempt]
        if _is_answered(tried):
            yield _request(tried)
        else:
            stack.append(tried)
    for stack in waiting.values():
        yield from map(_request, stack)


def request_alone(attempt: Followed) -> Request:
    """`requests_of` one attempt that nothing else was tried for, as far as the books tell: nearly
    always so, and told a few times as fast."""
    purpose = attempt.labels.purpose
    if purpose == "answer":
        return Request(attempt)
    if purpose == "draft" and routing_of(attempt) is not None:
        return Request(attempt)
    return Request(None, (attempt,) if purpose in TRIED_AGAIN else ())


def _is_first(purpose: Purpose, routing: Mapping[str, Any] | None) -> bool:
    return purpose != "retry" and step_of(routing).get("why", _FIRST) == _FIRST


_encode: Final = json.JSONEncoder(sort_keys=True, default=str).encode


def _key(attempt: Followed, routing: Mapping[str, Any] | None) -> Hashable:
    if routing is None:
        return "", attempt.parent_id
    return _encode({name: value for name, value in routing.items() if name != "step"})


def _is_answered(tried: list[Followed]) -> bool:
    """Whether the last attempt ends the request. A draft may still be given up; so may the retry of
    one."""
    last = tried[-1]
    if last.labels.status not in _ANSWERED:
        return False
    step = step_of(routing_of(last))
    return not any(a.labels.purpose == "draft" and step_of(routing_of(a)) == step for a in tried)


def _request(tried: list[Followed]) -> Request:
    best = max(range(len(tried)), key=lambda at: (_worth(tried[at]), at))
    return Request(tried[best], tuple(tried[:best] + tried[best + 1 :]))


def _worth(attempt: Followed) -> int:
    if step_of(routing_of(attempt)).get("why") == _SECOND_SAMPLE:
        return -1
    return _WORTH.get(attempt.labels.status, 0)
