"""Prompt caches: what marked requests cost by Anthropic's rules, beside other ways to mark them.

    python benchmarks/bench_prompt_cache.py [--data FOLDER]

Conversations without any memory, so that the markers alone differ: a hundred constant turns,
log-normal, bursty and idle traffic, a long run of tools, and the agents' runs of tau-bench and
SWE-agent (`--data` names the folder that holds `memory/`; without it they are left out, and that is
said). Bills are those of `memory.caches`, which shares nothing with the library.

- *unmarked*: nothing is cached;
- *system*: the system prompt is marked, and nothing else;
- *end*: system prompt and the end of each request are marked, as Anthropic's automatic caching and
  LangChain's `AnthropicPromptCachingMiddleware` do, whatever the request's size;
- *ours*: `CacheKeeper` decides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _figures import Figure, show, write_results
from memory.caches import PriceModel, bill
from memory.ours import Counter, prices_of
from memory.prices import PRICE_MODELS
from memory.protocol import Block, Conversation, Request
from memory.tokens import NoRanks, count
from memory.traffic import DATA, SETS, TRAFFIC, DataAbsent, public, tool_run, whole_prompts

from frugal_chains.dispatch import CacheKeeper, PromptBlock

MODELS = ("Sonnet", "Haiku 4.5")
SEEDS = (0, 1, 2)
TURNS = 100

Marks = Callable[[Sequence[Block]], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Way:
    """How requests are marked: a function for each conversation, as some remember."""

    name: str
    of: Callable[[Conversation, PriceModel, list[float]], Marks]


def unmarked(conversation: Conversation, model: PriceModel, now: list[float]) -> Marks:
    return lambda blocks: ()


def system_only(conversation: Conversation, model: PriceModel, now: list[float]) -> Marks:
    return lambda blocks: _system(blocks)


def at_the_end(conversation: Conversation, model: PriceModel, now: list[float]) -> Marks:
    return lambda blocks: (*_system(blocks), len(blocks) - 1)


def ours(conversation: Conversation, model: PriceModel, now: list[float]) -> Marks:
    provider, name, book = prices_of(model)
    keeper = CacheKeeper(counter=Counter(), prices=book, clock=lambda: 1_790_000_000 + now[0])

    def marks(blocks: Sequence[Block]) -> tuple[int, ...]:
        read = [_prompt_block(block) for block in blocks]
        plan = keeper.plan(read, model=name, provider=provider, conversation=conversation.name)
        return tuple(sorted(marker.index for marker in plan.markers))

    return marks


WAYS = (
    Way("unmarked", unmarked),
    Way("system", system_only),
    Way("end", at_the_end),
    Way("ours", ours),
)


def requests(conversation: Conversation, model: PriceModel, way: Way) -> Iterator[Request]:
    """Every request of a conversation, whole and marked."""
    now = [0.0]
    marks = way.of(conversation, model, now)
    steps = zip(conversation.steps(), whole_prompts(conversation), strict=True)
    for step, blocks in steps:
        now[0] = step.at_s
        yield Request(blocks=blocks, turn=step.turn, at_s=step.at_s, marks=marks(blocks))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    try:
        count("ranks")
    except NoRanks as reason:
        print(reason, file=sys.stderr)
        return 2
    traffic = {
        kind: [make(TURNS, seed=seed) for seed in SEEDS] for kind, make in TRAFFIC.items()
    } | {"tool run": [tool_run(seed=seed) for seed in SEEDS]}
    complete = True
    for name in SETS:
        try:
            traffic[name] = public(name, asked.data)
        except DataAbsent as reason:
            print(reason, file=sys.stderr)
            complete = False
    found = figures(traffic)
    show("prompt cache", found)
    print("written:", write_results("prompt_cache", found, seed=0))
    if not complete:
        return 2
    return 0 if all(figure.reached for figure in found.values()) else 1


def figures(traffic: Mapping[str, Sequence[Conversation]]) -> dict[str, Figure]:
    """By model and kind of traffic: bills over that of unmarked requests, and what is read."""
    found: dict[str, Figure] = {}
    for name in MODELS:
        model = PRICE_MODELS[name]
        for kind, conversations in traffic.items():
            bills = {way.name: [_bill(each, model, way) for each in conversations] for way in WAYS}
            base = bills["unmarked"]
            for way, each in bills.items():
                if way == "unmarked":
                    continue
                ours_here = way == "ours"
                ratio = sum(b.nanos for b in each) / sum(b.nanos for b in base)
                worst = max(b.nanos / a.nanos for a, b in zip(base, each, strict=True))
                read = 100 * sum(b.read for b in each) / sum(b.tokens for b in each)
                key = f"{name}, {kind}, {way}: "
                found[key + "bill, of unmarked"] = Figure(
                    value=round(ratio, 4), better="lower", unit="x",
                    asked=1.0 if ours_here else None,
                )  # fmt: skip
                found[key + "dearest, of unmarked"] = Figure(
                    value=round(worst, 4), better="lower", unit="x"
                )
                found[key + "read"] = Figure(value=round(read, 2), better="higher", unit="%")
            best = min(sum(b.nanos for b in bills[way]) for way in ("system", "end"))
            mine = sum(b.nanos for b in bills["ours"])
            found[f"{name}, {kind}, ours: bill, of the better of the others"] = Figure(
                value=round(mine / best, 4), better="lower", unit="x"
            )
    return found


@dataclass(frozen=True, slots=True)
class _Sum:
    nanos: float = 0.0
    read: int = 0
    tokens: int = 0


def _bill(conversation: Conversation, model: PriceModel, way: Way) -> _Sum:
    total = _Sum()
    for charge in bill(list(requests(conversation, model, way)), model):
        split = charge.split
        total = replace(
            total,
            nanos=total.nanos + charge.nanos,
            read=total.read + split.read,
            tokens=total.tokens + split.fresh + split.read + split.written,
        )
    return total


def _system(blocks: Sequence[Block]) -> tuple[int, ...]:
    return tuple(at for at, block in enumerate(blocks) if block.kind == "system")[-1:]


def _prompt_block(block: Block) -> PromptBlock:
    calls = "".join(f" {call.id} {call.name} {call.arguments}" for call in block.calls)
    return PromptBlock(
        kind="system" if block.kind == "system" else "message",
        text=f"{block.role}: {block.text}{calls}{block.answers}",
        run="results" if block.role == "tool" else "calls" if block.calls else "",
    )


if __name__ == "__main__":
    sys.exit(main())
