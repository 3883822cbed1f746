"""`prices.toml`: a user's own prices, aliases, multipliers and free models.

    [alias]
    "my-azure-gpt4o" = "azure:gpt-4o"       # a deployment
    "ft:gpt-4o-mini:acme*" = "openai:ft:gpt-4o-mini-2024-07-18"

    [[price]]                               # stands alone: nothing is taken from the list price
    provider = "openai"
    model = "gpt-4o*"                       # exact, or a glob
    from = 2026-01-01                       # both days included, UTC
    until = 2026-12-31
    input = 2.00                            # USD per 1,000,000 tokens
    cache_read = 1.00
    output = 8.00
    web_search = 10.00                      # USD per 1,000 calls
    batch = 0.5                             # tiers, as multiples of the prices above
    [[price.above]]                         # the whole request, once it has more input tokens
    tokens = 200_000
    input = 4.00
    cache_read = 2.00
    output = 12.00

    [[multiplier]]                          # on top of the list price
    provider = "anthropic"
    discount = 0.9                          # you pay 90 % of it, fees included; an uplift is 1.1
    [[multiplier]]
    provider = "azure"
    batch = 0.5                             # of the standard token prices

    [[free]]
    provider = "my-vllm"

The last active entry that matches wins, so a new price is appended with its own `from` and an old
attempt keeps the price of its day. Names are the same in either case, and every alias applies to a
name once.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugal_chains.errors import PriceFileError
from frugal_chains.pricing._aliases import Aliases, misspelt_provider
from frugal_chains.pricing._entries import Multiplier, PriceEntry, end_of, start_of
from frugal_chains.pricing._file_lines import key_lines, line_of
from frugal_chains.pricing._resolve import Overrides
from frugal_chains.pricing._tables import BUCKETS, FEES, TIERS, Band, Bucket, PriceList
from frugal_chains.providers import provider_id

if TYPE_CHECKING:
    from frugal_chains.pricing._file_schema import Dated, Document, Price

_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)$")

# What pydantic calls a mismatch, in the words of someone writing TOML.
_EXPECTED: Mapping[str, str] = {
    "missing": "this key",
    "string_type": "a string",
    "int_type": "a whole number",
    "greater_than": "a whole number above 0",
    "date_type": "a date such as 2026-01-31",
    "list_type": "an array of tables, written [[{table}]]",
    "dict_type": "a table, written [{table}]",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "string_too_short": "a name that is not empty",
}


def read_price_file(path: Path) -> Overrides:
    """Read and check a `prices.toml`.

    Raises:
        PriceFileError: the file cannot be read, or says something that is not understood. The
            message names file, line, field and what was expected.
    """
    try:
        content = path.read_bytes()
        text = content.decode()
    except OSError as error:
        raise PriceFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PriceFileError(f"{path}:{line}: expected UTF-8 text") from error
    reader = _Reader(path, text)
    document = reader.validated(reader.parsed())
    digest = hashlib.sha256(content).hexdigest()[:8]
    return _overrides(document, reader, f"prices.toml {digest}")


class _Reader:
    """One file's text, for errors that point into it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.lines = key_lines(text)

    def error(self, where: Sequence[str | int], complaint: str) -> PriceFileError:
        field = ".".join(str(part) for part in where if isinstance(part, str))
        return PriceFileError(f"{self.path}:{line_of(where, self.lines)}: {field}: {complaint}")

    def parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            at = _AT_LINE.search(str(error))
            line = int(at[1]) if at else self.text.count("\n") + 1
            complaint = _AT_LINE.sub("", str(error)).strip()
            raise PriceFileError(f"{self.path}:{line}: expected valid TOML: {complaint}") from error

    def validated(self, data: dict[str, Any]) -> Document:
        from pydantic import ValidationError

        from frugal_chains.pricing._file_schema import Document

        try:
            return Document.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise self.error(first["loc"], _complaint(first)) from error


def _complaint(error: Any) -> str:
    kind, where = error["type"], error["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(where)
    if kind == "missing":
        return "expected this key, which is missing"
    if kind == "value_error":
        return f"expected {error['ctx']['error']}, got {error['input']!r}"
    expected = _EXPECTED.get(kind, error["msg"]).format(table=where[0])
    return f"expected {expected}, got {error['input']!r}"


def _unknown_key(where: Sequence[str | int]) -> str:
    from frugal_chains.pricing._file_schema import KNOWN_KEYS

    tables = tuple(part for part in where[:-1] if isinstance(part, str))
    known = KNOWN_KEYS[tables]
    close = difflib.get_close_matches(str(where[-1]), known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(known)}"
    return f"expected a known key; {hint}"


def _overrides(document: Document, reader: _Reader, price_id: str) -> Overrides:
    _check_names(document, reader)
    named = [row.provider for row in document.price] + [row.provider for row in document.free]
    return Overrides(
        aliases=Aliases(
            targets=_targets(document.alias, reader),
            providers=frozenset(provider_id(name) for name in named),
        ),
        entries=tuple(_entry(row, i, reader) for i, row in enumerate(document.price)),
        multipliers=tuple(_multiplier(row, i, reader) for i, row in enumerate(document.multiplier)),
        free=tuple((provider_id(row.provider), row.model.lower()) for row in document.free),
        price_id=price_id,
    )


def _check_names(document: Document, reader: _Reader) -> None:
    """What could never match is a mistake: a misspelt provider, or one in front of the model."""
    for table in ("price", "multiplier", "free"):
        for index, row in enumerate(getattr(document, table)):
            provider = provider_id(row.provider)
            if (meant := misspelt_provider(provider)) is not None:
                raise reader.error(
                    (table, index, "provider"),
                    f"expected a provider; did you mean `{meant}`? got {row.provider!r}",
                )
            prefix, *rest = re.split(r"[:/]", row.model, maxsplit=1)
            if rest and provider_id(prefix) == provider:
                raise reader.error(
                    (table, index, "model"), f"expected {rest[0]!r}, as `provider` is given apart, "
                    f"got {row.model!r}"
                )  # fmt: skip


def _targets(aliases: Mapping[str, str], reader: _Reader) -> dict[str, str]:
    """The aliases by the name that look-ups use: lower case, the provider in its own spelling."""
    targets: dict[str, str] = {}
    for name, target in aliases.items():
        where = ("alias", name)
        if name.count("*") > 1 or target.count("*") > name.count("*"):
            raise reader.error(
                where, f"expected at most one `*`, and in the target only if the name "
                f"has one, got {target!r}"
            )  # fmt: skip
        provider, colon, model = target.partition(":")
        if colon and not (provider.strip() and model.strip()):
            raise reader.error(where, f"expected `provider:model` or `model`, got {target!r}")
        provider, colon, model = name.lower().partition(":")
        spelled = f"{provider_id(provider)}:{model}" if colon else provider
        if spelled in targets:
            raise reader.error(where, "expected each name once, in whatever case")
        targets[spelled] = target
        _check_circle(name, aliases, reader)
    return targets


def _check_circle(name: str, aliases: Mapping[str, str], reader: _Reader) -> None:
    seen = [name]
    while (target := aliases.get(seen[-1], "")) and target not in seen:
        seen.append(target)
    if target:
        circle = " -> ".join((*seen, target))
        raise reader.error(("alias", name), f"expected an end, got a circle: {circle}")


def _entry(row: Price, index: int, reader: _Reader) -> PriceEntry:
    where = ("price", index)
    _check_dates(row, where, reader)
    if row.input is None:
        raise reader.error(where, "expected at least `input`, the price of 1,000,000 input tokens")
    line = line_of(where, reader.lines)
    return PriceEntry(
        id=f"line {line}",
        provider=provider_id(row.provider),
        models=(row.model.lower(),),
        prices=PriceList(
            bands=tuple(_bands(row, where, reader)),
            per_thousand={fee: price for fee in FEES if (price := getattr(row, fee)) is not None},
        ),
        factors={tier: f for tier in TIERS[1:] if (f := getattr(row, tier)) is not None},
        since=start_of(row.from_) if row.from_ else None,
        until=end_of(row.until) if row.until else None,
        source=f"prices.toml line {line}",
    )


def _bands(row: Price, where: tuple[str, int], reader: _Reader) -> list[Band]:
    bands = [Band(per_mtok=_priced(row))]
    for i, above in enumerate(row.above):
        at = (*where, "above", i)
        band = Band(above_tokens=above.tokens, per_mtok=_priced(above))
        if band.above_tokens <= bands[-1].above_tokens:
            raise reader.error(
                (*at, "tokens"), f"expected more than {bands[-1].above_tokens:,}, the band before, "
                f"got {above.tokens:,}"
            )  # fmt: skip
        if missing := sorted(bands[0].per_mtok.keys() - band.per_mtok.keys()):
            raise reader.error(
                at, f"expected every price that the entry gives, got none for {', '.join(missing)}"
            )
        bands.append(band)
    return bands


def _priced(row: Any) -> dict[Bucket, Decimal]:
    return {b: price for b in BUCKETS if (price := getattr(row, b)) is not None}


def _multiplier(row: Any, index: int, reader: _Reader) -> Multiplier:
    where = ("multiplier", index)
    _check_dates(row, where, reader)
    factors = {tier: f for tier in TIERS[1:] if (f := getattr(row, tier)) is not None}
    if row.discount is None and not factors:
        raise reader.error(where, f"expected `discount` or one of {', '.join(TIERS[1:])}")
    return Multiplier(
        provider=provider_id(row.provider),
        models=(row.model.lower(),),
        since=start_of(row.from_) if row.from_ else None,
        until=end_of(row.until) if row.until else None,
        discount=row.discount,
        factors=factors,
    )


def _check_dates(row: Dated, where: tuple[str, int], reader: _Reader) -> None:
    if row.from_ and row.until and row.until < row.from_:
        raise reader.error(
            (*where, "until"), f"expected {row.from_} or later, the day of `from`, got {row.until}"
        )
