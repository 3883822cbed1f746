"""`PriceFacts`: what is known about one model's price, and what to write where nothing is."""

from __future__ import annotations

import glob
import json
from dataclasses import dataclass
from decimal import Decimal

from frugal_chains.money import usd_from_nanos
from frugal_chains.pricing import Explanation, Price, Priced, Unpriced
from frugal_chains.usage import Usage

BLANK = "..."
"""Stands for a number only the user knows. Left as it is, the file is refused, never read as 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFacts:
    """Everything `frugal prices` shows."""

    asked: str
    """The model, as typed."""
    price: Explanation
    standard: Explanation
    """The same model at the same moment in the standard tier."""
    history: tuple[Explanation, ...]
    """The first holds from the beginning, each later one from its `at`."""
    price_file: str = ""
    """The user's own prices, where there are any."""
    usage: Usage | None = None
    charge: Price | None = None
    """What `usage` would cost."""

    @property
    def unpriced(self) -> bool:
        return self.price.outcome == "unpriced" or isinstance(self.charge, Unpriced)


def charge_parts(charge: Priced) -> dict[str, Decimal]:
    """The parts of a charge that are not zero, in USD; they sum to its cost."""
    return {
        part: usd_from_nanos(nanos)
        for part, nanos in (
            ("input", charge.input_nanos),
            ("cache_read", charge.cache_read_nanos),
            ("cache_write", charge.cache_write_nanos),
            ("output", charge.output_nanos),
            ("fees", charge.fee_nanos),
        )
        if nanos
    }


def price_snippet(facts: PriceFacts) -> str:
    """Lines for a `prices.toml` that give an unpriced model a price; empty when it has one."""
    price, standard = facts.price, facts.standard
    if price.outcome != "unpriced":
        return ""
    row = f"provider = {_toml(price.provider or '*')}\nmodel = {_toml(glob.escape(price.model))}\n"
    if standard.outcome == "priced" and standard.price_id.startswith("prices.toml"):
        return f"# in the entry that gives its price:\n{price.tier} = {BLANK}  # times the price\n"
    if standard.outcome == "priced":
        return f"[[multiplier]]\n{row}{price.tier} = {BLANK}  # times the standard price\n"
    name = f"{price.provider}:{price.model}" if price.provider else price.model
    return (
        f"# its price:\n[[price]]\n{row}"
        f"input = {BLANK}   # USD per 1,000,000 tokens\noutput = {BLANK}\n\n"
        f"# or, if it costs nothing:\n# [[free]]\n{_commented(row)}\n"
        "# or, if it is another name of a listed model:\n"
        f'# [alias]\n# {_toml(name)} = "openai:gpt-4o"\n'
    )


def _commented(lines: str) -> str:
    return "".join(f"# {line}\n" for line in lines.splitlines())


def _toml(text: str) -> str:
    """A TOML basic string. JSON escapes the same characters, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
