"""The shape of `prices.toml`. Imported only when there is such a file: pydantic takes a while."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

_MAX_DIGITS = 18
_MAX_USD = 1_000_000
"""A dollar a token: above it, the unit was mistaken."""
_MAX_FACTOR = 10
"""A larger one is a percentage, or a price, by mistake."""


def _number(value: Any) -> Decimal:
    """A TOML number as an exact Decimal. `bool` is an int to Python, and `nan` a TOML float."""
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal or not value.is_finite() or value < 0:
        raise ValueError("a number of at least 0")
    exponent = value.as_tuple().exponent
    if len(value.as_tuple().digits) > _MAX_DIGITS or abs(int(exponent)) > _MAX_DIGITS:
        raise ValueError(f"a number of at most {_MAX_DIGITS} digits")
    return value


def _usd(value: Any) -> Decimal:
    number = _number(value)
    if number > _MAX_USD:
        raise ValueError(f"USD per 1,000,000 tokens or 1,000 calls, at most {_MAX_USD:,}")
    return number


def _factor(value: Any) -> Decimal:
    number = _number(value)
    if number == 0:
        raise ValueError("a factor above 0; for what costs nothing write [[free]]")
    if number > _MAX_FACTOR:
        raise ValueError(f"a factor of at most {_MAX_FACTOR}, such as 0.9 to pay 90 %")
    return number


Usd = Annotated[Decimal, PlainValidator(_usd)]
Factor = Annotated[Decimal, PlainValidator(_factor)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Buckets(_Table):
    """USD per 1,000,000 tokens."""

    input: Usd | None = None
    cache_read: Usd | None = None
    cache_write_5m: Usd | None = None
    cache_write_1h: Usd | None = None
    input_audio: Usd | None = None
    cache_read_audio: Usd | None = None
    input_image: Usd | None = None
    output: Usd | None = None
    reasoning: Usd | None = None
    output_audio: Usd | None = None
    output_image: Usd | None = None


class Above(Buckets):
    tokens: Annotated[int, Field(gt=0)]


class Dated(_Table):
    from_: date | None = Field(default=None, alias="from")
    until: date | None = None
    batch: Factor | None = None
    flex: Factor | None = None
    priority: Factor | None = None
    fast: Factor | None = None


class Price(Dated, Buckets):
    provider: Text
    model: Text
    web_search: Usd | None = None
    code_execution: Usd | None = None
    file_search: Usd | None = None
    request: Usd | None = None
    above: list[Above] = []


class MultiplierRow(Dated):
    provider: Text = "*"
    model: Text = "*"
    discount: Factor | None = None


class FreeRow(_Table):
    provider: Text
    model: Text = "*"


class Document(_Table):
    alias: dict[Text, Text] = {}
    price: list[Price] = []
    multiplier: list[MultiplierRow] = []
    free: list[FreeRow] = []


def _keys(table: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in table.model_fields.items())


KNOWN_KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (): _keys(Document),
    ("price",): _keys(Price),
    ("price", "above"): _keys(Above),
    ("multiplier",): _keys(MultiplierRow),
    ("free",): _keys(FreeRow),
}
