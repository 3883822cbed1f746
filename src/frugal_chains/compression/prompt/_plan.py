"""Which sections of a system prompt are sent, and why."""

from __future__ import annotations

from dataclasses import dataclass

from frugal_chains.compression.prompt._diff import DiffView, diff_text
from frugal_chains.compression.prompt._prefix import PrefixChange


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionFate:
    """What became of one section."""

    index: int
    name: str
    kept: bool
    reason: str
    """Kept: `always`, `earlier` (sent before in this conversation), `when`, `rule`, `safety`,
    `format`, `language` (one whose rules cannot be recognised), `relevant`, `no signal` (the
    request says nothing about any section), `cache` (leaving it out would cost more), `off`.
    Left out: `irrelevant`, `budget`."""
    tokens: int
    score: float
    """BM25 of the request, 0 or more; only comparable within one plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlan:
    """Which sections are sent, in which order, and why."""

    kept: tuple[int, ...]
    """In the order they are sent: their own, but behind those sent `earlier`."""
    added: tuple[int, ...]
    """Of `kept`, those not sent earlier in this conversation."""
    fates: tuple[SectionFate, ...]
    """One for each section, in their order."""
    text: str
    full_text: str
    tokens_before: int
    tokens_after: int
    budget_tokens: int | None
    reason: str
    """`chosen`, `all needed`, `no signal`, `cache` (refused: it would cost more), or `off`."""
    change: PrefixChange | None = None
    """The arithmetic of the cache, where it was asked for and there was something to weigh."""

    @property
    def dropped(self) -> tuple[SectionFate, ...]:
        return tuple(fate for fate in self.fates if not fate.kept)

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after

    @property
    def fits(self) -> bool:
        """False: what has to be kept alone is over the budget. Nothing of it was left out."""
        return self.budget_tokens is None or self.tokens_after <= self.budget_tokens

    def diff(self, view: DiffView = "lines") -> str:
        """What was left out, as a diff."""
        return diff_text(self.full_text, self.text, view)
