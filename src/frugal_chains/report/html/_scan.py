"""One pass over single attempts, of which only so many are read: how long models took, and which
requests were sent again."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from math import ceil
from typing import Any, Final

from frugal_chains.ledger import Attempt, moment
from frugal_chains.report.alerts import RepeatShare
from frugal_chains.report.html._facts import (
    ModelLatency,
    Percentiles,
    RepeatedRequest,
    ScanFacts,
)

DEAREST: Final = 15
_ID_BYTES: Final = 8
_SHOWN_DIGITS: Final = 8
_NOT_OF_THE_REQUEST: Final = frozenset({"r"})
"""What the provider said of it: see `tracking`."""


@dataclass(slots=True)
class _Sent:
    """One request: the first attempt, and sums over all."""

    first: Attempt
    sent: int = 0
    nanos: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    last_us: int = 0


class Scan:
    """Takes attempts in the order in which they were made."""

    def __init__(self) -> None:
        self._count = 0
        self._first: datetime | None = None
        self._latencies: dict[tuple[str, str], tuple[array[float], array[float]]] = {}
        self._requests: dict[bytes, _Sent] = {}
        self._again = 0
        self._again_nanos = 0
        self._printed = 0

    def read(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            if self._first is None:
                self._first = attempt.at
            self._count += 1
            if attempt.status == "ok":
                self._time(attempt)
                if attempt.prints is not None:
                    self._request(attempt, attempt.prints)

    def _time(self, attempt: Attempt) -> None:
        if attempt.latency_s is None:
            return
        key = attempt.provider, attempt.model
        if key not in self._latencies:
            self._latencies[key] = array("d"), array("d")
        whole, first = self._latencies[key]
        whole.append(attempt.latency_s)
        if attempt.first_token_s is not None:
            first.append(attempt.first_token_s)

    def _request(self, attempt: Attempt, prints: Mapping[str, Any]) -> None:
        self._printed += 1
        nanos = attempt.price.nanos
        key = request_key(attempt, prints)
        if key in self._requests:
            self._again += 1
            self._again_nanos += nanos or 0
        else:
            self._requests[key] = _Sent(attempt._replace(prints=None, decision=None))
        known = self._requests[key]
        known.sent += 1
        known.nanos += nanos or 0
        known.unpriced += nanos is None
        known.input_tokens += attempt.usage.input_tokens
        known.last_us = max(known.last_us, attempt.at_us)

    def facts(self, *, of: int, dearest: int = DEAREST) -> ScanFacts:
        """Args: `of`, the attempts of the period."""
        repeats = RepeatShare(requests=self._printed, again=self._again, nanos=self._again_nanos)
        ranked = sorted(self._requests.items(), key=lambda item: (-item[1].nanos, item[0]))
        return ScanFacts(
            looked_at=self._count,
            of=max(of, self._count),
            first=self._first,
            latencies=tuple(self._by_model()),
            repeats=repeats if self._printed else None,
            dearest=tuple(_request(key, sent) for key, sent in ranked[:dearest] if sent.nanos),
        )

    def _by_model(self) -> Iterable[ModelLatency]:
        known = sorted(self._latencies.items(), key=lambda item: (-len(item[1][0]), item[0]))
        for (provider, model), (whole, first) in known:
            yield ModelLatency(
                provider=provider,
                model=model,
                attempts=len(whole),
                whole=percentiles(whole),
                streamed=len(first),
                first=percentiles(first) if first else None,
            )


def request_key(attempt: Attempt, prints: Mapping[str, Any]) -> bytes:
    """Equal for requests that are the same to the last token and setting, and went to one model."""
    asked = {name: prints[name] for name in prints if name not in _NOT_OF_THE_REQUEST}
    text = json.dumps(
        [attempt.provider, attempt.model_asked or attempt.model, asked],
        sort_keys=True,
        separators=(",", ":"),
        default=str,
    )
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).digest()


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Of at least one."""
    ordered = sorted(seconds)
    p50, p90, p99 = (ordered[max(0, ceil(q * len(ordered) / 100) - 1)] for q in (50, 90, 99))
    return Percentiles(p50_s=p50, p90_s=p90, p99_s=p99)


def _request(key: bytes, sent: _Sent) -> RepeatedRequest:
    return RepeatedRequest(
        print_id=key.hex()[:_SHOWN_DIGITS],
        provider=sent.first.provider,
        model=sent.first.model,
        feature=sent.first.tags.get("feature", ""),
        sent=sent.sent,
        nanos=sent.nanos,
        unpriced=sent.unpriced,
        input_tokens=sent.input_tokens,
        last=moment(sent.last_us),
    )
