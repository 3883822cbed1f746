"""A ledger's totals in Prometheus' text format 0.0.4.

prometheus.io/docs/instrumenting/exposition_formats, read 2026-11-22: in label values backslash,
quote and line feed are escaped, in help texts backslash and line feed; a metric's samples stand
together, its help and type before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from frugal_chains.ledger import Totals
from frugal_chains.money import usd_from_nanos

PROMETHEUS_QUESTION: Final = ("provider", "model", "purpose", "status", "error_kind")
"""By what the ledger's totals are asked for."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_LABELS: Final = ("provider", "model", "purpose", "status")
_COST: Final = "frugal_cost_usd_total"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], int]
"""By metric and labels; cost in nano-USD."""


class _Metric(NamedTuple):
    help: str
    read: Callable[[Totals], int]
    more: tuple[tuple[str, str], ...] = ()
    """Labels beside the usual ones."""


def _uncached(line: Totals) -> int:
    return line.usage.input_tokens - line.usage.cache_read_tokens - line.usage.cache_write_tokens


_TOKENS: Final = "Tokens, each in one bucket: the buckets sum to all tokens."
_METRICS: Final[Sequence[tuple[str, _Metric]]] = (
    ("frugal_attempts_total", _Metric("Requests in the ledger.", lambda line: line.attempts)),
    *(
        ("frugal_tokens_total", _Metric(_TOKENS, read, (("bucket", bucket),)))
        for bucket, read in {
            "input": _uncached,
            "cache_read": lambda line: line.usage.cache_read_tokens,
            "cache_write_5m": lambda line: line.usage.cache_write_5m_tokens,
            "cache_write_1h": lambda line: line.usage.cache_write_1h_tokens,
            "output": lambda line: line.usage.output_tokens,
        }.items()
    ),
    (
        "frugal_reasoning_tokens_total",
        _Metric("Output tokens spent on reasoning.", lambda line: line.usage.reasoning_tokens),
    ),
    (_COST, _Metric("Cost in USD of the requests that have a price.", lambda line: line.nanos)),
    (
        "frugal_unpriced_attempts_total",
        _Metric("Requests whose cost is unknown and missing.", lambda line: line.unpriced),
    ),
    (
        "frugal_estimated_attempts_total",
        _Metric("Requests with estimated usage.", lambda line: line.estimated),
    ),
)
_ERRORS: Final = "frugal_errors_total"
_HELP: Final[Mapping[str, str]] = {
    **{name: metric.help for name, metric in _METRICS},
    _ERRORS: "Requests that failed or were given up, by kind.",
}


def samples(lines: Iterable[Totals]) -> Samples:
    """The counters, of totals by `PROMETHEUS_QUESTION`. Zeros are left out but for attempts."""
    found: Samples = {}
    for line in lines:
        labels = tuple((name, line.key[name]) for name in _LABELS)
        for name, metric in _METRICS:
            value = metric.read(line)
            if value > 0:
                _add(found, name, (*labels, *metric.more), value)
        if line.key["status"] in ("error", "aborted"):
            _add(found, _ERRORS, (*labels, ("kind", line.key["error_kind"])), line.attempts)
    return found


def _add(found: Samples, name: str, labels: tuple[tuple[str, str], ...], value: int) -> None:
    found[name, labels] = found.get((name, labels), 0) + value


class Counters:
    """What was shown last, so that no counter goes down: the true end of a call that was given up
    takes its row from `aborted` to another status."""

    def __init__(self) -> None:
        self._shown: Samples = {}

    def rise(self, now: Samples) -> Samples:
        """The larger of what was shown and what is, by series; a series never goes away."""
        for key, value in now.items():
            self._shown[key] = max(value, self._shown.get(key, 0))
        return dict(self._shown)


def exposition(found: Samples) -> str:
    """The text that is scraped: metrics and series in a fixed order."""
    lines = []
    for name, text in _HELP.items():
        series = sorted(key for key in found if key[0] == name)
        if series:
            lines += [f"# HELP {name} {_help(text)}", f"# TYPE {name} counter"]
            lines += [f"{name}{_labels(key[1])} {_value(name, found[key])}" for key in series]
    return "".join(f"{line}\n" for line in lines)


def _value(name: str, value: int) -> str:
    return f"{usd_from_nanos(value):f}" if name == _COST else str(value)


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
