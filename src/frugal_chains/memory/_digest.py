"""`digest`: a summary of dropped messages without any model, to an exact budget."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts
from frugal_chains.memory._digest_lines import Line, offered
from frugal_chains.memory._finished import finished
from frugal_chains.memory._summary import HEADINGS, SECTIONS, Summary, unmarked

CHARS_PER_TOKEN: Final = 4
"""Of English in o200k_base, nearly: only for the order in which lines are tried."""

LINE_TOKENS: Final = 2.0
"""Added to a line's length in that order: short lines are not worth more than they say."""

LEAST: Final = 0.05
"""A line that tells less than this is not worth its tokens, however many are left."""

MISSES: Final = 64
"""Lines in a row that do not fit before the digest counts as full."""

ROUNDS: Final = 3


def digest(
    messages: Sequence[MessageFacts], *, budget_tokens: int, count: Callable[[str], int]
) -> Summary:
    """What a later question is most likely to ask of the messages, in their own words.

    A line is worth what it names that no chosen line names yet (ids, dates, amounts, names), and
    how it is said ("remember", "my ... is", "let's go with"); what the person says counts more
    than what the assistant says. Lines with the most worth per token come first. The same input
    gives the same bytes in every process; the time is linear in the messages, of each of which the
    first and last `LOOKED_AT` characters are looked at.

    Args:
        messages: In their order; any roles, calls without results, results without calls.
        budget_tokens: What `text()` of the result may have, at most, by `count`.
        count: Tokens of a text.

    Raises:
        MemoryPlanError: a budget below 0.
    """
    if budget_tokens < 0:
        raise MemoryPlanError(f"a budget of {budget_tokens} tokens: expected 0 or more")
    lines = offered(messages)
    chooser = _Chooser(lines, count)
    for _ in range(ROUNDS):
        chooser.fill(budget_tokens)
    return chooser.fitting(budget_tokens)


class _Chooser:
    """Chooses lines one by one: the one that tells the most new per token is next."""

    def __init__(self, lines: Sequence[Line], count: Callable[[str], int]) -> None:
        self._lines = lines
        self._count = count
        self._told: dict[str, float] = {}
        self._chosen: list[Line] = []
        self._spent = 0
        self._heap = [(-self._worth(line), at) for at, line in enumerate(lines)]
        heapq.heapify(self._heap)

    def _worth(self, line: Line) -> float:
        """What it tells that no chosen line tells, per token."""
        new = sum(w - min(w, self._told.get(thing, 0.0)) for thing, w in line.things.items())
        worth = line.factor * new + (line.base if new else 0.0)
        if worth < LEAST:
            return 0.0
        return worth / (len(line.text) / CHARS_PER_TOKEN + LINE_TOKENS)

    def fill(self, budget: int) -> None:
        """Adds lines until the budget is used, by a sum that is never far below the true count."""
        misses = 0
        skipped: list[tuple[float, int]] = []
        while self._heap and misses < MISSES:
            worth, at = heapq.heappop(self._heap)
            line = self._lines[at]
            now = -self._worth(line)
            if now == 0.0:
                continue
            if now > worth:  # it tells less than it did: back into the row
                heapq.heappush(self._heap, (now, at))
                continue
            cost = self._cost(line)
            if self._spent + cost > budget:
                misses += 1
                skipped.append((worth, at))
                continue
            self._choose(line, cost)
        for entry in skipped:
            heapq.heappush(self._heap, entry)
        self._drop_listed_twice()
        self._spent = self._count(self._summary().text())

    def _drop_listed_twice(self) -> None:
        """Takes out ids that another chosen line holds as well."""
        told = "\n".join(line.text for line in self._chosen if line.section != "identifiers")
        self._chosen = [
            line
            for line in self._chosen
            if line.section != "identifiers" or not all(thing in told for thing in line.things)
        ]

    def _choose(self, line: Line, cost: int) -> None:
        self._chosen.append(line)
        self._spent += cost
        for thing, weight in line.things.items():
            self._told[thing] = max(self._told.get(thing, 0.0), weight)

    def _cost(self, line: Line) -> int:
        new = all(other.section != line.section for other in self._chosen)
        heading = f"{HEADINGS[line.section]}:\n" if new and line.section != "narrative" else ""
        return self._count(f"{heading}{line.text}\n")

    def fitting(self, budget: int) -> Summary:
        """What was chosen, less what was chosen last where the exact count asks for it."""
        found = self._summary()
        while self._chosen and self._count(found.text()) > budget:
            self._chosen.pop()
            found = self._summary()
        return found

    def _summary(self) -> Summary:
        ordered = sorted(self._chosen, key=lambda line: line.place)
        by_section = {s: [unmarked(x.text) for x in ordered if x.section == s] for s in SECTIONS}
        tasks = by_section["open_tasks"]
        done = finished(tasks, [*by_section["decisions"], *by_section["facts"]])
        by_section["open_tasks"] = [task for task in tasks if task not in done]
        return Summary(**{section: tuple(found) for section, found in by_section.items()})
