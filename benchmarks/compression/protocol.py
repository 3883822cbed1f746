"""How a compressor is measured: passages in, kept texts out, and a budget that is a cap.

A prompt is a question and *passages*, each with a short source label (`[3] Title`, `Professor E:`).
What is sent is the kept text of every passage under its label, in the order of the passages, with
an empty line between two. A passage of which nothing is kept leaves no label behind. The budget
is on all of that, labels included: tokens of the whole prompt over the ratio, rounded down.

A figure is a mean over observations (a question with its gold passage at one position, a tool
output, ...). Its interval is a percentile bootstrap over *groups* of observations: a question's
positions, a meeting's questions, a task's trials rise and fall together. Two compressors are
compared on the same draws and on the observations that both have seen, so the interval of a
difference is about the questions that they treat differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
from _figures import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]
Count = Callable[[str], int]
"""Tokens of a text."""

SEPARATOR: Final = "\n\n"
"""Between two passages of a prompt."""


class Passage(NamedTuple):
    """One text with where it is from."""

    label: str
    """What stands before the text, with the space or line feed between the two; may be empty."""
    text: str


class Compressor(Protocol):
    """What is measured."""

    def __call__(
        self, query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> Sequence[str] | str:
        """Shorten a prompt to a budget.

        Args:
            query: What is asked of the passages.
            passages: All of them, in the order in which they stand in the prompt.
            budget_tokens: What `rendered` may come to, labels and separators included.
            count: Tokens of a text (o200k).

        Returns:
            The kept text of each passage, empty where nothing is kept. Or one string: the whole
            prompt as it would be sent, of compressors that do not say what became of a passage.
        """
        ...


Kept = Sequence[str] | str
Set = Literal["nq20", "qmsum", "kv75", "taubench"]
SETS: Final[tuple[Set, ...]] = ("nq20", "qmsum", "kv75", "taubench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A compressor in the run."""

    name: str
    compress: Compressor
    sets: tuple[Set, ...] = SETS
    """What it is run on."""
    sample: int | None = None
    """Of slow ones: how many groups of a set are run, the first ones of a shuffled order."""
    timed: Compressor | None = None
    """What its speed is taken of, where that is another object: one that remembers nothing."""
    timed_prompts: int | None = None
    """How many prompts a slow one is timed on."""
    note: str = ""
    """What a reader of its figures has to know."""


def rendered(passages: Sequence[Passage], kept: Kept) -> str:
    """The prompt as it is sent."""
    if isinstance(kept, str):
        return kept
    pairs = zip(passages, kept, strict=True)
    return SEPARATOR.join(passage.label + text for passage, text in pairs if text)


def whole(passages: Sequence[Passage]) -> str:
    """The prompt with nothing left out."""
    return rendered(passages, [passage.text for passage in passages])


def texts_of(kept: Kept) -> str:
    """Everything that was kept, without labels."""
    return kept if isinstance(kept, str) else "\n".join(kept)


class Bootstrap:
    """The draws of one set: the same for every compressor and every figure on it.

    Args:
        groups: Of each observation, what is drawn together.
        draws: How many draws.
        seed: Of the draws.
    """

    def __init__(self, groups: Sequence[str], *, draws: int, seed: int) -> None:
        numbers: dict[str, int] = {}
        self._group = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
        size = len(numbers)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(size, np.full(size, 1 / size), draws).astype(np.float64)
        # The first "draw" takes every group once: the figures themselves.
        self._weights = np.concatenate([np.ones((1, size)), drawn])

    def mean(self, values: Array) -> Array:
        """The mean of the observations on every draw, shape (1 + draws,); nan is not observed."""
        return self.ratio(values, np.where(np.isnan(values), np.nan, 1.0))

    def ratio(self, above: Array, below: Array) -> Array:
        """The sum of one over the sum of another on every draw."""
        seen = ~(np.isnan(above) | np.isnan(below))
        sums = [
            self._weights
            @ np.bincount(
                self._group, weights=np.where(seen, each, 0.0), minlength=self._weights.shape[1]
            )
            for each in (above, below)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw without any: nan
            quotient: Array = sums[0] / sums[1]
        return quotient


def figure(
    drawn: Array,
    *,
    unit: str,
    better: Literal["higher", "lower"] = "higher",
    asked: float | None = None,
    scale: float = 1.0,
) -> Figure:
    """A figure of the results file: the first of the draws, with the middle 95 % of the others."""
    rest = drawn[1:][~np.isnan(drawn[1:])]
    low, high = np.quantile(rest, (0.025, 0.975)) if len(rest) else (np.nan, np.nan)
    return Figure(
        value=round(float(scale * drawn[0]), 4),
        better=better,
        unit=unit,
        asked=asked,
        low=round(float(scale * low), 4),
        high=round(float(scale * high), 4),
    )
