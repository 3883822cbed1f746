"""Attempts to put into a ledger, and what a ledger must then say, computed the slow way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from frugal_chains.ledger import Attempt, Totals, microseconds, new_id
from frugal_chains.pricing import Free, Priced, Unpriced
from frugal_chains.usage import COUNT_FIELDS, Usage

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def attempt(at: datetime = NOON, *, nanos: int | None = 1000, **changes: Any) -> Attempt:
    """An ordinary attempt; `nanos` None leaves it unpriced."""
    price = Unpriced(reason="no list has it") if nanos is None else priced(nanos)
    facts: dict[str, Any] = {
        "id": new_id(microseconds(at)),
        "operation_id": uuid.uuid4().hex,
        "at_us": microseconds(at),
        "framework": "langchain",
        "provider": "openai",
        "model": "gpt-4o",
        "usage": Usage(input_tokens=100, output_tokens=10, cache_read_tokens=40),
        "price": price,
    }
    return Attempt(**facts | changes)


def priced(nanos: int) -> Priced:
    return Priced(nanos=nanos, output_nanos=nanos, price_id="list 1")


# -- any attempt at all ------------------------------------------------------------------------

_COUNTS = st.integers(0, 2**40)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_IDS = st.one_of(
    st.uuids().map(lambda u: u.hex),
    st.uuids().map(lambda u: u.hex.upper()),
    st.text("0123456789abcdef -", min_size=31, max_size=37),
    _TEXT,
)
_SECONDS = st.one_of(st.none(), st.integers(0, 10**10).map(lambda us: us / 1e6))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any possible usage: the parts never exceed what holds them."""
    read_audio, read_rest, write_5m, write_1h, plain = (draw(_COUNTS) for _ in range(5))
    audio, image = draw(st.integers(0, plain)), 0
    image = draw(st.integers(0, plain - audio))
    output = draw(_COUNTS)
    return Usage(
        input_tokens=read_audio + read_rest + write_5m + write_1h + plain,
        output_tokens=output,
        cache_read_tokens=read_audio + read_rest,
        cache_write_5m_tokens=write_5m,
        cache_write_1h_tokens=write_1h,
        reasoning_tokens=draw(st.integers(0, output)),
        input_audio_tokens=read_audio + audio,
        cache_read_audio_tokens=read_audio,
        output_audio_tokens=draw(st.integers(0, output // 2)),
        input_image_tokens=image,
        output_image_tokens=draw(st.integers(0, output // 2)),
        web_searches=draw(_COUNTS),
        code_executions=draw(_COUNTS),
        file_searches=draw(_COUNTS),
        source=draw(st.sampled_from(["provider", "estimated", "mixed"])),
    )


_PRICES = st.one_of(
    st.builds(
        Priced, nanos=_COUNTS, input_nanos=_COUNTS, cache_read_nanos=_COUNTS,
        cache_write_nanos=_COUNTS, output_nanos=_COUNTS, fee_nanos=_COUNTS, price_id=_TEXT,
    ),
    st.builds(Free, price_id=_TEXT),
    st.builds(Unpriced, reason=_TEXT),
)  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Any attempt: every field at any value it may have."""
    at = draw(st.datetimes(datetime(2023, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
    return Attempt(
        id=new_id(microseconds(at)),
        operation_id=draw(_IDS),
        at_us=microseconds(at),
        framework=draw(_TEXT),
        provider=draw(_TEXT),
        model=draw(_TEXT),
        model_asked=draw(_TEXT),
        purpose=draw(st.sampled_from(["answer", "draft", "summary", "embed", "judge"])),
        status=draw(st.sampled_from(["ok", "error", "aborted", "cached"])),
        error_kind=draw(_TEXT),
        streamed=draw(st.booleans()),
        service_tier=draw(_TEXT),
        latency_s=draw(_SECONDS),
        first_token_s=draw(_SECONDS),
        usage=draw(usages()),
        price=draw(_PRICES),
        note=draw(_TEXT),
        run_id=draw(_IDS),
        parent_id=draw(_IDS),
        thread_id=draw(_TEXT),
        tags=draw(st.dictionaries(_TEXT, _TEXT, max_size=3)),
        decision=draw(st.one_of(st.none(), st.dictionaries(_TEXT, _JSON, max_size=3))),
        prints=draw(st.one_of(st.none(), st.dictionaries(_TEXT, _JSON, max_size=3))),
    )


_OFFSETS = st.one_of(
    st.integers(-2 * 86_400_000_000, 2 * 86_400_000_000),
    # on the edges of days and hours, and one microsecond beside them
    st.tuples(st.integers(-48, 48), st.sampled_from([-1, 0, 1])).map(
        lambda t: t[0] * 3_600_000_000 + t[1]
    ),
)


def _busy_row(offset_us: int, dice: int) -> list[Attempt]:
    """One attempt out of a few labels, and sometimes the end of it that comes late."""

    def pick(*choices: Any) -> Any:
        nonlocal dice
        dice, chosen = divmod(dice, len(choices))
        return choices[chosen]

    operation = pick(*(uuid.UUID(int=i, version=4).hex for i in range(6)), "")
    common: dict[str, Any] = {
        "operation_id": operation,
        "provider": pick("openai", "anthropic"),
        "model": pick("a", "b", "c"),
        "purpose": pick("answer", "draft"),
        "tags": pick({}, {"tenant": "x"}, {"tenant": "y", "b": "1"}, {"b": "2"}),
    }
    usage = Usage(
        input_tokens=(read := pick(0, 7, 2**40)) + pick(0, 3, 1000),
        cache_read_tokens=read,
        output_tokens=pick(0, 1, 5),
        web_searches=pick(0, 2),
        source=pick("provider", "estimated", "mixed"),
    )
    at = NOON + timedelta(microseconds=offset_us)
    status = pick("ok", "aborted", "error")
    first = attempt(at, status=status, usage=usage, nanos=pick(None, 0, 1, 10**12), **common)
    if status != "aborted" or pick(True, False):
        return [first]
    end = attempt(at, nanos=pick(3, None), usage=Usage(input_tokens=pick(5, 6)), **common)
    return [first, end._replace(id=first.id)]


busy_books = st.lists(
    st.tuples(_OFFSETS, st.integers(0, 2**40)).map(lambda drawn: _busy_row(*drawn)), max_size=30
).map(lambda rows: [*(row[0] for row in rows), *(late for row in rows for late in row[1:])])
"""Many attempts over four days: few labels, so that groups are shared; some ends come late."""
moments = st.one_of(st.none(), _OFFSETS.map(lambda us: NOON + timedelta(microseconds=us)))


# -- the books, the slow way -------------------------------------------------------------------


@dataclass
class _Line:
    attempts: int = 0
    operations: int = 0
    nanos: int = 0
    unpriced: int = 0
    estimated: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNT_FIELDS, 0))


class SlowBooks:
    """What a ledger must hold after these appends, by the rules of `Store`."""

    def __init__(self, appended: Iterable[Attempt] = ()) -> None:
        self.rows: dict[str, Attempt] = {}
        self.opens: set[str] = set()
        """Attempts that were the first of their operation to be written."""
        for row in appended:
            self.append(row)

    def append(self, new: Attempt) -> None:
        old = self.rows.get(new.id)
        if old is None:
            seen = {row.operation_id for row in self.rows.values()}
            if new.operation_id not in seen or not new.operation_id:
                self.opens.add(new.id)
        elif not (old.status == "aborted" and new.status != "aborted"):
            return
        self.rows[new.id] = new

    def totals(
        self, by: Sequence[str], since: datetime | None, until: datetime | None
    ) -> dict[tuple[str, ...], _Line]:
        lines: dict[tuple[str, ...], _Line] = {}
        for row in self.rows.values():
            if (since is None or row.at >= since) and (until is None or row.at < until):
                key = tuple(_dimension(name)(row) for name in by)
                self._add(lines.setdefault(key, _Line()), row)
        return lines

    def _add(self, line: _Line, row: Attempt) -> None:
        line.attempts += 1
        line.operations += row.id in self.opens
        line.nanos += row.price.nanos or 0
        line.unpriced += isinstance(row.price, Unpriced)
        line.estimated += row.usage.source != "provider"
        for name in COUNT_FIELDS:
            line.counts[name] += getattr(row.usage, name)


def _dimension(name: str) -> Callable[[Attempt], str]:
    times: Mapping[str, str] = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
    if name in times:
        return lambda row: row.at.strftime(times[name])
    if name in ("tenant", "b") or name.startswith("tag:"):
        return lambda row: row.tags.get(name.removeprefix("tag:"), "")
    return lambda row: str(getattr(row, name))


def as_lines(found: Iterable[Totals]) -> dict[tuple[str, ...], _Line]:
    """The answer of a ledger, in the shape of the slow one."""
    lines = {}
    for line in found:
        assert line.cost_usd == Decimal(line.nanos) / 10**9
        lines[tuple(line.key.values())] = _Line(
            attempts=line.attempts,
            operations=line.operations,
            nanos=line.nanos,
            unpriced=line.unpriced,
            estimated=line.estimated,
            counts={name: getattr(line.usage, name) for name in COUNT_FIELDS},
        )
    return lines
