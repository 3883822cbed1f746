"""`[[claim]]`: one figure that someone has claimed, of a scenario or of a price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frugal_chains.replay.sheet._keys import FIGURES, PRICE_FIGURES
from frugal_chains.replay.sheet._merge import broken
from frugal_chains.replay.sheet._sheet import BASELINE, Claim
from frugal_chains.replay.sheet._tables import BROKEN, WHERE, Reader, nearest

_OF_A_PRICE = ("model", "provider", "bucket", "tier", "price_of")


def claims(reader: Reader, rows: Any, scenarios: tuple[str, ...]) -> tuple[Claim, ...]:
    """The claims that can be checked; complains about the others."""
    if rows is BROKEN:
        return ()
    return tuple(found for row in rows if (found := _claim(reader, row, scenarios)))


def _claim(reader: Reader, row: Mapping[str, Any], scenarios: tuple[str, ...]) -> Claim | None:
    figures = [key for key in FIGURES if key in row]
    if len(figures) != 1:
        got = ", ".join(figures) or "none"
        reader.complain(row[WHERE], f"expected one of {', '.join(FIGURES)}, got {got}")
        return None
    (figure,) = figures
    fits = (
        _of_a_price(reader, row)
        if figure in PRICE_FIGURES
        else _of_a_scenario(reader, row, scenarios)
    )
    if not fits or broken(*row.values()):
        return None
    return Claim(
        text=row["text"],
        source=row.get("source", ""),
        figure=figure,  # type: ignore[arg-type]  # a key of FIGURES
        claimed=row[figure].likely,
        scenario="" if figure in PRICE_FIGURES else row.get("scenario", BASELINE),
        model=row.get("model", ""),
        provider=row.get("provider"),
        bucket=row.get("bucket", ""),
        tier=row.get("tier", "standard"),
        price_of=row.get("price_of", ""),
    )


def _of_a_price(reader: Reader, row: Mapping[str, Any]) -> bool:
    missing = [key for key in ("model", "bucket") if key not in row]
    extra = ["scenario"] if "scenario" in row else []
    return _complete(reader, row, missing, extra, "price")


def _of_a_scenario(reader: Reader, row: Mapping[str, Any], scenarios: Sequence[str]) -> bool:
    name = row.get("scenario", BASELINE)
    if name is not BROKEN and name not in scenarios:
        reader.complain(
            row[WHERE], f"scenario {name!r} is not in the sheet; {nearest(name, tuple(scenarios))}"
        )
        return False
    if name == BASELINE and "cost_usd" not in row:
        reader.complain(row[WHERE], "a saving is of a scenario; expected scenario")
        return False
    return _complete(reader, row, [], [key for key in _OF_A_PRICE if key in row], "scenario")


def _complete(
    reader: Reader, row: Mapping[str, Any], missing: list[str], extra: list[str], of: str
) -> bool:
    if missing:
        reader.complain(row[WHERE], f"a claim about a {of} needs {' and '.join(missing)}")
    if extra:
        reader.complain(row[WHERE], f"a claim about a {of} has no {', '.join(extra)}")
    return not missing and not extra
