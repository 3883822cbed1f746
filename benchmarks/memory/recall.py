"""Facts that are said once and asked for fifty turns later: are they in the prompt?

Every fact is about one of several people, and of one of several kinds, so each shares its person
with other facts and its kind with others; it stands at the beginning of a message of 300 tokens.
The question words it otherwise. It comes alone, or before other words up to 300 tokens. Neither it
nor any answer holds the value. What summaries say is made up and holds no fact, anybody's: a fact
is in the prompt if it is there word for word, kept or recalled. The bill is of the same
configuration on a chat in which nothing is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from _figures import Figure

from memory.baselines import NoMemory
from memory.measure import Runs, higher, lower
from memory.ours import EITHER
from memory.prices import PRICE_MODELS
from memory.protocol import Block, Conversation, System
from memory.tokens import filler
from memory.traffic import ASSISTANT_TOKENS, GAP_S, USER_TOKENS, block, constant, system_prompt

LATER: Final = 50
"""Turns between a fact and its question."""
FACTS: Final = 40
SEEDS: Final = (0, 1, 2)
PRICED: Final = "Sonnet"
_PEOPLE: Final = (
    "Henderson", "Okafor", "Lindqvist", "Marchetti", "Yamada", "Castellanos", "Petrov", "Adeyemi",
    "Novak", "Rasmussen",
)  # fmt: skip
_KINDS: Final = (
    ("The delivery address of {who} is {value}.", "Where should we deliver the order of {who}?"),
    ("{who} has the contract number {value}.", "Which contract number does {who} have?"),
    ("The allergy that {who} told us about is {value}.", "Is {who} allergic to anything?"),
    ("{who} wants the meeting on {value}.", "On which day does {who} want the meeting?"),
    ("We agreed on a discount of {value} for {who}.", "What discount did we agree on with {who}?"),
    ("The server of {who} listens at {value}.", "At what address does the server of {who} listen?"),
    ("{who} pays with the card that ends in {value}.", "With which card does {who} pay?"),
    ("The project of {who} has the code name {value}.", "What is the project of {who} called?"),
)  # fmt: skip


def planted(
    seed: int = 0, *, facts: int = FACTS, later: int = LATER, alone: bool = True
) -> Conversation:
    """A chat in which two of four turns tell a fact, and each is asked for `later` turns on.

    Args:
        seed: Of the order of the facts and of all other words.
        facts: How many.
        later: After how many turns. By 50, those that ask are no turns that tell.
        alone: Whether the questions are all that is said.
    """
    rng = random.Random(f"planted {seed}")
    pairs = [(who, kind) for who in _PEOPLE for kind in range(len(_KINDS))]
    rng.shuffle(pairs)
    told = {4 * (at // 2) + 4 + at % 2: pair for at, pair in enumerate(pairs[:facts])}
    messages: list[Block] = []
    wanted: dict[int, str] = {}
    values = {turn: _value(kind, turn, rng) for turn, (_, kind) in told.items()}
    last = max(told) + later
    for turn in range(1, last + 1):
        said = []
        for at, form in ((turn, 0), (turn - later, 1)):
            if at in told:
                who, kind = told[at]
                said.append(_KINDS[kind][form].format(who=who, value=values[at]))
                if form:
                    wanted[turn] = values[at]
        size = 0 if alone and turn in wanted else USER_TOKENS
        messages.append(block("user", filler(size, rng, after=" ".join(said))))
        messages.append(block("assistant", filler(ASSISTANT_TOKENS, rng)))
    return Conversation(
        name="planted",
        group=f"planted {seed} {alone}",
        system=system_prompt(rng),
        messages=tuple(messages),
        at_s=tuple(GAP_S * at for at in range(last)),
        wanted=wanted,
    )


def _value(kind: int, turn: int, rng: random.Random) -> str:
    """Of its kind, and nobody else's."""
    number = 1000 + 37 * turn + rng.randrange(30)
    return (
        f"{number} Elm Road, Aldersey",
        f"KT-{number}-Q",
        f"E{number} colouring",
        f"day {number} of the plan",
        f"{number / 100:.2f} percent",
        f"10.44.{turn}.{rng.randrange(200)}",
        f"{number}",
        f"Falcon{number}",
    )[kind]


def asked() -> dict[str, float]:
    numbers: dict[str, float] = {}
    for ours in EITHER:
        numbers[f"recall, {ours}: facts in the prompt"] = 95.0
        numbers[f"recall, {PRICED}, {ours}: bill of 100 turns, of no memory"] = 0.42
    return numbers


def figures(
    systems: Sequence[System], runs: Runs, *, seeds: Sequence[int] = SEEDS
) -> dict[str, Figure]:
    """Of every system: facts found, and what those chats and a plain one cost on Sonnet."""
    found: dict[str, Figure] = {}
    alone = [planted(seed) for seed in seeds]
    among = [planted(seed, alone=False) for seed in seeds]
    for system in (NoMemory(), *systems):
        share = _found_percent(system, runs, alone)
        of_chats, of_plain = (_of_none(system, runs, chats) for chats in (alone, [constant(100)]))
        hidden = _found_percent(system, runs, among)
        if share is None or hidden is None or of_chats is None or of_plain is None:
            continue
        key = f"recall, {system.name}: "
        found[key + "facts in the prompt"] = higher(share, "%")
        found[key + "facts in the prompt, asked among other words"] = higher(hidden, "%")
        key = f"recall, {PRICED}, {system.name}: "
        found[key + "bill of these chats, of no memory"] = lower(of_chats, "x")
        found[key + "bill of 100 turns, of no memory"] = lower(of_plain, "x")
    runs.forget()
    return found


def _found_percent(system: System, runs: Runs, chats: Sequence[Conversation]) -> float | None:
    """Of the facts that are asked for, how many are in the prompt of the question."""
    hits: list[bool] = []
    for chat in chats:
        sent = runs.requests(system, chat, PRICE_MODELS[PRICED])
        if sent is None:
            return None
        prompts = {each.turn: each.blocks for each in sent if each.purpose == "answer"}
        hits += [
            any(value in part.text for part in prompts[turn]) for turn, value in chat.wanted.items()
        ]
    return 100 * sum(hits) / len(hits)


def _of_none(system: System, runs: Runs, chats: Sequence[Conversation]) -> float | None:
    none, spent = (runs.nanos(each, chats, PRICE_MODELS[PRICED]) for each in (NoMemory(), system))
    return None if none is None or spent is None else float(spent.sum() / none.sum())
