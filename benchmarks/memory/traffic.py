"""Conversations: synthetic ones of exact sizes, and agents' runs of public sets.

The sets are no part of this repository; `--data` names the folder that holds `memory/`. A run's
tool definitions are not among them, so they are on nobody's bill.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from memory.protocol import Block, Call, Conversation, Role
from memory.tokens import count, filler

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Where the development splits are looked for, beside the repository."""
SETS: Final = ("tau_bench", "swe_agent")
SYSTEM_TOKENS, USER_TOKENS, ASSISTANT_TOKENS = 2000, 300, 400
GAP_S: Final = 30.0
"""Between two turns of a conversation that does not pause."""
AGENT_GAP_S: Final = 5.0
"""Between two calls of an agent."""
_LEAST_TOKENS: Final = 10


class DataAbsent(Exception):
    """The sets are not where they were looked for."""


def block(
    role: Role, text: str, *, calls: Sequence[Call] = (), answers: str = "", kind: str = "message"
) -> Block:
    """A message, counted."""
    tokens = count(text) + sum(count(f"{call.name} {call.arguments}") for call in calls)
    return Block(
        role=role,
        text=text,
        tokens=tokens,
        calls=tuple(calls),
        answers=answers,
        kind=kind,  # type: ignore[arg-type]
    )


def system_prompt(rng: random.Random, tokens: int = SYSTEM_TOKENS) -> Block:
    return block("system", filler(tokens, rng), kind="system")


def turns(
    name: str,
    sizes: Sequence[tuple[int, int]],
    *,
    seed: int,
    gaps_s: Sequence[float] | None = None,
    system_tokens: int = SYSTEM_TOKENS,
) -> Conversation:
    """A chat: sizes of each question and its answer, and the pause before each."""
    rng = random.Random(f"{name} {seed}")
    messages: list[Block] = []
    at_s, now = [], 0.0
    for number, (user, assistant) in enumerate(sizes):
        now += 0.0 if not number else GAP_S if gaps_s is None else gaps_s[number]
        at_s.append(now)
        messages.append(block("user", filler(user, rng)))
        messages.append(block("assistant", filler(assistant, rng)))
    return Conversation(
        name=name,
        group=f"{name} {seed}",
        system=system_prompt(rng, system_tokens),
        messages=tuple(messages),
        at_s=tuple(at_s),
    )


def constant(count_turns: int = 100, *, seed: int = 0) -> Conversation:
    """All questions and all answers are of one size."""
    return turns("constant", [(USER_TOKENS, ASSISTANT_TOKENS)] * count_turns, seed=seed)


def log_normal(count_turns: int = 100, *, seed: int = 0, sigma: float = 1.0) -> Conversation:
    """The same means; the sizes are log-normal."""
    rng = random.Random(f"log-normal {seed}")

    def drawn(mean: int) -> int:
        return max(_LEAST_TOKENS, round(mean * rng.lognormvariate(-sigma * sigma / 2, sigma)))

    sizes = [(drawn(USER_TOKENS), drawn(ASSISTANT_TOKENS)) for _ in range(count_turns)]
    return turns("log-normal", sizes, seed=seed)


def bursty(count_turns: int = 100, *, seed: int = 0) -> Conversation:
    """Small talk, and now and then three turns in a row with long texts: a mean of about 700."""
    rng = random.Random(f"bursty {seed}")
    sizes: list[tuple[int, int]] = []
    while len(sizes) < count_turns:
        if rng.random() < 0.06:
            sizes += [(rng.randint(1000, 2500), rng.randint(400, 1200)) for _ in range(3)]
        else:
            sizes.append((rng.randint(40, 150), rng.randint(80, 300)))
    return turns("bursty", sizes[:count_turns], seed=seed)


def idle_gaps(count_turns: int = 100, *, seed: int = 0, share: float = 0.2) -> Conversation:
    """Constant sizes; a share of the turns follows a pause of 6 minutes to 2 hours."""
    rng = random.Random(f"idle {seed}")
    gaps = [
        rng.uniform(360, 7200) if rng.random() < share else rng.uniform(5, 90)
        for _ in range(count_turns)
    ]
    sizes = [(USER_TOKENS, ASSISTANT_TOKENS)] * count_turns
    return turns("idle gaps", sizes, seed=seed, gaps_s=gaps)


TRAFFIC: Final[Mapping[str, Callable[..., Conversation]]] = {
    "constant": constant,
    "log-normal": log_normal,
    "bursty": bursty,
    "idle gaps": idle_gaps,
}


def tool_run(calls: int = 120, *, seed: int = 0, parallel: bool = True) -> Conversation:
    """One human turn, and an agent that calls tools so many times before it answers."""
    rng = random.Random(f"tools {seed}")
    messages = [block("user", filler(USER_TOKENS, rng))]
    for number in range(calls):
        several = 1 + (rng.randrange(3) if parallel and rng.random() < 0.3 else 0)
        asked = [
            Call(f"call_{number}_{at}", "search", json.dumps({"query": filler(12, rng)}))
            for at in range(several)
        ]
        messages.append(block("assistant", filler(40, rng), calls=asked))
        for call in asked:
            size = max(_LEAST_TOKENS, round(500 * rng.lognormvariate(-0.5, 1.0)))
            messages.append(block("tool", filler(size, rng), answers=call.id))
    messages.append(block("assistant", filler(ASSISTANT_TOKENS, rng)))
    return Conversation(
        name="tool run",
        group=f"tool run {seed}",
        system=system_prompt(rng),
        messages=tuple(messages),
        at_s=tuple(AGENT_GAP_S * at for at in range(calls + 1)),
    )


def public(name: str, data: Path = DATA) -> list[Conversation]:
    """The runs of a set, call by call.

    Raises:
        DataAbsent: the file is not there.
    """
    path = data / "memory" / name / "data.jsonl.gz"
    if not path.exists():
        raise DataAbsent(f"no data at {path}: name the folder that holds memory/ with --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [_run(name, number, row) for number, row in enumerate(rows)]


def _run(name: str, number: int, row: Mapping[str, Any]) -> Conversation:
    messages = [_message(each) for each in row["messages"]]
    systems = [each for each in messages if each.role == "system"]
    rest = tuple(each for each in messages if each.role != "system")
    answers = sum(each.role == "assistant" for each in rest)
    return Conversation(
        name=f"{name} {number}",
        group=str(row.get("task_id", row.get("name", number))),
        system=systems[0] if systems else None,
        messages=rest,
        at_s=tuple(AGENT_GAP_S * at for at in range(answers)),
    )


def _message(raw: Mapping[str, Any]) -> Block:
    calls = [
        Call(each["id"], each["function"]["name"], _object(each["function"]["arguments"]))
        for each in raw.get("tool_calls") or ()
    ]
    return block(
        raw["role"],
        raw["content"] or "",
        calls=calls,
        answers=raw.get("tool_call_id") or "",
        kind="system" if raw["role"] == "system" else "message",
    )


def _object(arguments: str) -> str:
    """Arguments as a JSON object, whatever the model wrote."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        parsed = None
    return json.dumps(parsed if isinstance(parsed, dict) else {"raw": arguments})


def whole_prompts(conversation: Conversation) -> Iterator[tuple[Block, ...]]:
    """The whole prompt of each call: what no memory sends."""
    sent: list[Block] = list(conversation.head)
    for step in conversation.steps():
        sent += step.new
        yield tuple(sent)
        sent.append(step.answer)
