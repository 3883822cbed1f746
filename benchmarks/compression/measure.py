"""Runs a compressor over a set, and turns what it kept into figures."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from _figures import Figure

from compression.atoms import intact
from compression.data import Case, holds, sampled
from compression.protocol import (
    Array,
    Bootstrap,
    Compressor,
    Contender,
    Count,
    Kept,
    Set,
    figure,
    rendered,
    texts_of,
    whole,
)

RATIOS: Final[Mapping[Set, tuple[int, ...]]] = {
    "nq20": (2, 4, 8),
    "qmsum": (2, 4, 8),
    "kv75": (8,),
    "taubench": (2,),
}
COMPARED: Final[Mapping[Set, tuple[str, ...]]] = {
    "nq20": ("answer kept", "answer kept, whole words"),
    "qmsum": ("gold turns kept, by tokens", "gold turns kept, by turns"),
    "kv75": ("pair kept",),
    "taubench": ("used values kept", "new used values kept"),
}
"""What differences are told of; the first is what a table shows."""
Share = tuple[float, float]
"""A part and what it is a part of; summed over a set before they are divided."""
_SMALL_TOKENS: Final = 64
"""Tool outputs below this are no case: halving them is not worth a call."""


def _nq20(case: Case, kept: Kept, count: Count) -> dict[str, Share]:
    text = texts_of(kept).lower()
    answers = [answer.lower() for answer in case.answers]
    found = float(any(answer in text for answer in answers))
    return {
        "answer kept": (found, 1.0),
        f"answer kept, gold at {case.kind}": (found, 1.0),
        "answer kept, whole words": (float(any(holds(text, answer) for answer in answers)), 1.0),
    }


def _qmsum(case: Case, kept: Kept, count: Count) -> dict[str, Share]:
    """The part of each gold turn that was kept, by tokens; a turn is kept from half of it on."""
    assert not isinstance(kept, str), "turns cannot be told apart in a text"
    tokens = [(count(kept[at]), count(case.passages[at].text)) for at in sorted(case.gold)]
    part = sum(min(a, b) for a, b in tokens) / sum(b for _, b in tokens)
    turns = sum(2 * a >= b for a, b in tokens) / len(tokens)
    return {"gold turns kept, by tokens": (part, 1.0), "gold turns kept, by turns": (turns, 1.0)}


def _kv75(case: Case, kept: Kept, count: Count) -> dict[str, Share]:
    """Key and value are there, with hardly anything between them."""
    key, value = map(re.escape, case.answers)
    pair = re.search(rf"{key}\W{{1,16}}{value}", texts_of(kept))
    found = float(pair is not None)
    return {"pair kept": (found, 1.0), f"pair kept, {case.kind}": (found, 1.0)}


def _taubench(case: Case, kept: Kept, count: Count) -> dict[str, Share]:
    text = texts_of(kept)
    return {
        name: (float(sum(holds(text, value) for value in values)), float(len(values)))
        for name, values in (("used values kept", case.used), ("new used values kept", case.new))
    }


_FOUND: Final[Mapping[Set, Callable[[Case, Kept, Count], dict[str, Share]]]] = {
    "nq20": _nq20,
    "qmsum": _qmsum,
    "kv75": _kv75,
    "taubench": _taubench,
}


@dataclass(slots=True)
class _Column:
    """One ratio of one compressor: a number for each case, nan where it was not run."""

    size: int
    parts: dict[str, Array] = field(default_factory=dict)
    wholes: dict[str, Array] = field(default_factory=dict)

    def put(self, at: int, shares: Mapping[str, Share]) -> None:
        for name, (part, of) in shares.items():
            self.parts.setdefault(name, np.full(self.size, np.nan))[at] = part
            self.wholes.setdefault(name, np.full(self.size, np.nan))[at] = of


def measured(name: Set, cases: Sequence[Case], count: Count) -> list[Case]:
    """The cases of a set that are run: of tool outputs, the longer ones."""
    if name != "taubench":
        return list(cases)
    return [case for case in cases if count(whole(case.passages)) >= _SMALL_TOKENS]


class Measurement:
    """All compressors on one set.

    Args:
        name: The set.
        cases: Its prompts.
        count: Tokens of a text.
        draws: Of the bootstrap.
        seed: Of the draws and of samples.
    """

    def __init__(
        self, name: Set, cases: Sequence[Case], count: Count, *, draws: int, seed: int
    ) -> None:
        self.name, self.cases = name, measured(name, cases, count)
        self._count, self._seed = count, seed
        self._bootstrap = Bootstrap([case.group for case in self.cases], draws=draws, seed=seed)
        # A prompt stands here once for each position or question: the same passages, one count.
        texts = [whole(case.passages) for case in self.cases]
        tokens = {text: count(text) for text in dict.fromkeys(texts)}
        self._before = [tokens[text] for text in texts]
        self._columns: dict[tuple[str, int], _Column] = {}

    def run(self, contender: Contender, *, sample: int | None = None) -> None:
        """Compress every case to every ratio; `sample` groups of them, or as the contender says."""
        limits = [limit for limit in (contender.sample, sample) if limit is not None]
        chosen = sampled(self.cases, min(limits, default=None), seed=self._seed)
        for ratio in RATIOS[self.name]:
            column = _Column(len(self.cases))
            for at in chosen:
                column.put(at, self._observe(contender.compress, at, ratio))
            self._columns[contender.name, ratio] = column

    def _observe(self, compress: Compressor, at: int, ratio: int) -> dict[str, Share]:
        case, before = self.cases[at], self._before[at]
        budget = before // ratio
        kept = compress(case.query, case.passages, budget_tokens=budget, count=self._count)
        after = self._count(rendered(case.passages, kept))
        shares: dict[str, Share] = {
            **_FOUND[self.name](case, kept, self._count),
            "over budget": (float(after > budget), 1.0),
            "budget used": (after / budget, 1.0),
            "ratio": (float(before), float(max(after, 1))),
        }
        if not isinstance(kept, str):  # a whole prompt has words of the compressor's own
            whole_atoms, of = intact(case.passages, kept)
            shares["atoms intact"] = (float(whole_atoms), float(of))
        return shares

    def figures(self) -> dict[str, Figure]:
        """Of every compressor at every ratio."""
        found = {}
        for (name, ratio), column in self._columns.items():
            for metric, part in column.parts.items():
                of = column.wholes[metric]
                key = f"{self.name} {ratio}x, {name}: {metric}"
                if metric == "over budget":
                    found[key] = Figure(
                        value=float(np.nansum(part)), better="lower", unit="prompts"
                    )
                elif np.nansum(of):
                    unit, scale = ("x", 1.0) if metric == "ratio" else ("%", 100.0)
                    found[key] = figure(self._bootstrap.ratio(part, of), unit=unit, scale=scale)
        return found

    def less(self, ours: str, theirs: str) -> dict[str, Figure]:
        """What one compressor keeps more than another, in points, on the same draws and cases."""
        found: dict[str, Figure] = {}
        for ratio in RATIOS[self.name]:
            pair = [self._columns.get((each, ratio)) for each in (ours, theirs)]
            if pair[0] is None or pair[1] is None:
                continue
            a, b = pair[0], pair[1]
            for metric in COMPARED[self.name]:
                both = ~(np.isnan(a.parts[metric]) | np.isnan(b.parts[metric]))
                drawn = [
                    self._bootstrap.ratio(
                        np.where(both, each.parts[metric], np.nan), each.wholes[metric]
                    )
                    for each in (a, b)
                ]
                key = f"{self.name} {ratio}x, {ours} less {theirs}: {metric}"
                found[key] = figure(drawn[0] - drawn[1], unit="points", scale=100.0)
        return found


@dataclass(frozen=True, slots=True)
class _Spent:
    """Seconds that one prompt took."""

    wall: float
    cpu: float
    counting: float
    """Of the processor's time, what went into counting tokens."""


def speed(
    contender: Contender, cases: Sequence[Case], count: Count, *, rounds: int, ratio: int = 4
) -> dict[str, Figure]:
    """Tokens a second on one core, and the time for a prompt of 2,000 tokens, at one ratio.

    A second is one of processor time, of all threads: what else the machine does is not in it, and
    a library that works on several cores at once gains nothing. Counting is part of it, as it is of
    the work, and also told apart. Of several rounds over the same prompts the best is taken.
    """
    prompts = [case for case in cases if case.kind == "random"][: contender.timed_prompts]
    compress = contender.timed or contender.compress
    before = [count(whole(case.passages)) for case in prompts]
    best: list[_Spent] = []
    for _ in range(1 if contender.timed_prompts else rounds):
        spent = [
            _timed(compress, case, tokens // ratio, count)
            for case, tokens in zip(prompts, before, strict=True)
        ]
        best = [
            min(pair, key=lambda each: each.cpu) for pair in zip(best or spent, spent, strict=True)
        ]
    cpu, counting = (sum(each) for each in zip(*((s.cpu, s.counting) for s in best), strict=True))
    near = [s.wall for s, tokens in zip(best, before, strict=True) if 1800 <= tokens <= 2200]
    p50 = statistics.median(near or [each.wall for each in best])
    key = f"speed, {contender.name}"
    found = {
        f"{key}: tokens per second": _rate(sum(before) / cpu),
        f"{key}: p50 of a 2k-token prompt": Figure(
            value=round(1e3 * p50, 3), better="lower", unit="ms"
        ),
    }
    if counting:
        found[f"{key}: tokens per second, counting aside"] = _rate(sum(before) / (cpu - counting))
    return found


def _timed(compress: Compressor, case: Case, budget: int, count: Count) -> _Spent:
    counting = 0.0
    clock = time.thread_time

    def counted(text: str) -> int:
        nonlocal counting
        start = clock()
        tokens = count(text)
        counting += clock() - start
        return tokens

    wall, cpu = time.perf_counter(), time.process_time()
    compress(case.query, case.passages, budget_tokens=budget, count=counted)
    return _Spent(time.perf_counter() - wall, time.process_time() - cpu, counting)


def _rate(value: float) -> Figure:
    return Figure(value=round(value), better="higher", unit="tokens/s")
