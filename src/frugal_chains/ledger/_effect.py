"""`Effect`: what one lever did for one request, and what that was worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from frugal_chains.errors import EffectError
from frugal_chains.ledger._ids import microseconds, new_id
from frugal_chains.money import usd_from_nanos

EffectKind = Literal["measured", "modelled"]

MOST_TOKENS: Final = 10**12
"""No request is as long. A few junk numbers beyond would overflow sums, which are of 64 bits."""
MOST_NANOS: Final = 10**15
"""A million dollars: no request saves or costs as much."""
DETAIL_CHARS: Final = 4096
"""As JSON. A detail is a few numbers and words of the lever's own; more must be somebody's text."""
_ID_DIGITS: Final = 32
_HEX: Final = frozenset("0123456789abcdef")
_encode = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":")).encode
_MILLISECOND_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a lever did: the request before and after, in tokens, and the net saving.

    A lever that looked at a request and left it alone has an effect too, with the same tokens
    before and after and the reason in `detail`.

    Raises:
        EffectError: a number that cannot be true, or a detail that is no small JSON.
    """

    operation_id: str
    """The operation whose attempts it belongs to; empty where none is known."""
    at: datetime
    """When it happened; aware. Kept as UTC, to the microsecond."""
    lever: str
    """Room and function, such as `compression.extract`."""
    tokens_before: int
    tokens_after: int
    """May be more than before: a loss is written down as one."""
    exact: bool
    """Whether both were counted with the model's own tokenizer."""
    model: str = ""
    """The model the tokens were counted for; empty where it was not known."""
    provider: str = ""
    net_nanos: int | None = None
    """Nano-USD saved, less what the lever itself cost; negative for a loss, None when unknown."""
    kind: EffectKind = "modelled"
    """Whether `net_nanos` was read off bills, or computed from prices and a forecast."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON of the lever's own: form, budget, counts, reason. Never text of the user."""
    tags: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    """32 hex digits, a UUIDv7 of `at`: sorts by time. Made when empty. The same id twice is one
    row, in every ledger it is recorded in."""

    def __post_init__(self) -> None:
        for name in ("tokens_before", "tokens_after"):
            _check(name, getattr(self, name), least=0, most=MOST_TOKENS)
        if self.net_nanos is not None:
            _check("net_nanos", self.net_nanos, least=-MOST_NANOS, most=MOST_NANOS)
        if self.kind not in ("measured", "modelled"):
            raise EffectError(f"kind is {self.kind!r}: say 'measured' or 'modelled'")
        if not isinstance(self.lever, str) or not self.lever:
            raise EffectError(f"lever is {self.lever!r}: name it, such as 'compression.extract'")
        for name in ("operation_id", "model", "provider"):
            if not isinstance(getattr(self, name), str):
                raise EffectError(
                    f"{name} is {getattr(self, name)!r}: give a text, empty if unknown"
                )
        if self.at.tzinfo is None or (at_us := microseconds(self.at)) < 0:
            raise EffectError(f"at is {self.at}: give an aware time after 1970")
        object.__setattr__(self, "at", self.at.astimezone(UTC))
        object.__setattr__(self, "exact", bool(self.exact))
        # Our own copies, as they will be read back.
        object.__setattr__(self, "detail", json.loads(detail_text(self.detail)))
        tags = {str(name): str(value) for name, value in self.tags.items()}
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "id", self.id or new_id(at_us))
        _check_id(self.id, at_us)

    @property
    def tokens_saved(self) -> int:
        """Tokens kept out of the request; negative when it grew."""
        return self.tokens_before - self.tokens_after

    @property
    def net_usd(self) -> Decimal | None:
        """Exact USD, or None when unknown."""
        return None if self.net_nanos is None else usd_from_nanos(self.net_nanos)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectTotals:
    """Sums over the effects that share `key`."""

    key: Mapping[str, str]
    """One value for each name in `by`."""
    effects: int
    operations: int
    """Operations in which the lever's first effect is in this group; an effect without one counts
    as an operation of its own. By lever, the groups of a period sum to the whole."""
    unchanged: int
    """Effects with as many tokens after as before: the lever left the request alone."""
    inexact: int
    """Effects whose tokens were not counted with the model's own tokenizer."""
    tokens_before: int
    tokens_after: int
    measured_nanos: int
    """Net saving of the effects whose `kind` is `measured`."""
    modelled_nanos: int
    """The same of those that are `modelled`: a claim to be checked, not a bill."""
    unvalued: int
    """Effects whose net saving is unknown, and is in neither sum."""

    @property
    def tokens_saved(self) -> int:
        """Tokens kept out of requests; negative when they grew."""
        return self.tokens_before - self.tokens_after

    @property
    def net_usd(self) -> Decimal:
        """Exact USD, measured and modelled together; read it together with `unvalued`."""
        return usd_from_nanos(self.measured_nanos + self.modelled_nanos)


def detail_text(detail: Mapping[str, Any]) -> str:
    """A detail as JSON, in one line of ASCII.

    Raises:
        EffectError: it is no plain JSON, or longer than `DETAIL_CHARS`.
    """
    try:
        text = _encode(dict(detail))
    except (TypeError, ValueError, RecursionError) as error:
        raise EffectError(f"detail is no plain JSON ({error}): numbers and short words") from error
    if len(text) > DETAIL_CHARS:
        raise EffectError(
            f"detail is {len(text):,} characters long, at most {DETAIL_CHARS:,} are kept: give "
            "counts and reasons, not texts"
        )
    return text


def _check(name: str, value: object, *, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise EffectError(f"{name} is {value!r}: give a whole number from {least:,} to {most:,}")


def _check_id(id_: str, at_us: int) -> None:
    """Effects are found by the time in their ids."""
    started = f"{at_us // 1000:0{_MILLISECOND_DIGITS}x}"
    digits = isinstance(id_, str) and len(id_) == _ID_DIGITS and _HEX.issuperset(id_)
    if not digits or not id_.startswith(started):
        raise EffectError(f"id is {id_!r}: leave it out, or give new_id() of the same moment")
