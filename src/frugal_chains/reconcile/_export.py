"""`UsageExport`: what files of a console say, added up."""

from __future__ import annotations

from dataclasses import dataclass

Cell = tuple[str, str]
"""A day (`2026-11-03`, UTC) and a model as the export writes it."""


@dataclass(slots=True, kw_only=True)
class UsageExport:
    """What one or several files of a provider say, added up by day and model."""

    provider: str
    files: list[str]
    cells: dict[Cell, dict[str, int]]
    """By measure, `usd` in nano-USD."""
    days: frozenset[str] = frozenset()
    """That are compared: of tokens and of cost, where there are files of both. Between the first
    and the last day of a file, days without a row are days without usage."""
    left_out_days: int = 0
    """Days that some file covers and that are not compared."""
    holds: frozenset[str] = frozenset()
    """Kinds of files, as `Format.holds`."""
    measures: tuple[str, ...] = ()
    """In the order of `MEASURES`."""
    by_model: bool = True
    """Off where rows are not told apart by model."""
    credits_nanos: int = 0
    """Negative amounts, which are no usage and in no cell; at most 0."""
    cent_rows: int = 0
    """Amounts of money, where all are rounded to the cent; else 0."""
    offset_s: int = 0
    """How long after midnight UTC the days of the export begin."""

    @property
    def first_day(self) -> str:
        return min(self.days)

    @property
    def last_day(self) -> str:
        return max(self.days)

    def tells(self, purpose: str) -> bool:
        """Whether the files have the tokens of calls of that purpose."""
        return ("embeddings" if purpose == "embed" else "tokens") in self.holds

    def add(self, cell: Cell, amounts: dict[str, int]) -> None:
        """Add a row. Input that is told in parts becomes their sum."""
        if "uncached_tokens" in amounts:
            amounts["cache_write_tokens"] = (
                amounts.get("cache_write_tokens", 0)
                + amounts.get("cache_write_5m_tokens", 0)
                + amounts.get("cache_write_1h_tokens", 0)
            )
            parts = ("uncached_tokens", "cache_read_tokens", "cache_write_tokens")
            amounts["input_tokens"] = sum(amounts.get(part, 0) for part in parts)
            del amounts["uncached_tokens"]
        sums = self.cells.setdefault(cell, {})
        for measure, amount in amounts.items():
            sums[measure] = sums.get(measure, 0) + amount
