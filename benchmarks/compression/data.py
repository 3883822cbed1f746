"""The sets: what is asked, of which passages, and what must not get lost.

None of them is part of this repository; `--data` names the folder that holds `compression/` and
`memory/`. Sources and licences stand in the note, `docs/notes/compression-benchmarks.md`.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from compression.protocol import Passage

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Where the development splits are looked for, beside the repository."""
POSITIONS: Final = ("begin", "middle", "end", "random")
"""Where the passage with the answer stands among the others."""
KV_FORMS: Final = ("text", "records")
"""One JSON text with a pair on each line, or a passage for each pair."""


class DataAbsent(Exception):
    """The sets are not where they were looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One prompt, and what has to be found in what is left of it."""

    group: str
    """What is drawn together in a bootstrap."""
    kind: str = ""
    """The position in nq20, the form in kv75, the tool in taubench."""
    query: str
    passages: tuple[Passage, ...]
    answers: tuple[str, ...] = ()
    """nq20: accepted answers, any of which will do. kv75: key and value, both are needed."""
    gold: frozenset[int] = frozenset()
    """qmsum: numbers of the passages that the answer is from."""
    used: tuple[str, ...] = ()
    """taubench: values of the output that the agent used in a later call."""
    new: tuple[str, ...] = ()
    """taubench: those of them that had stood nowhere in the conversation before the output."""


def nq20(data: Path = DATA, *, seed: int = 0) -> list[Case]:
    """Questions over 20 passages of Wikipedia, one of which holds the answer, at each position.

    The other passages come in one shuffled order for all positions of a question. An answer is
    never in a label.
    """
    cases = []
    for number, row in enumerate(_rows(data, "compression/nq20/data.jsonl.gz")):
        rng = random.Random(f"{seed} {number}")
        others = [(each["title"], each["text"]) for each in row["distractors"]]
        rng.shuffle(others)
        gold = (row["gold"]["title"], row["gold"]["text"])
        last = len(others)
        places = (0, last // 2, last, rng.randrange(last + 1))
        for position, place in zip(POSITIONS, places, strict=True):
            documents = [*others[:place], gold, *others[place:]]
            cases.append(
                Case(
                    group=str(number),
                    kind=position,
                    query=row["question"],
                    passages=tuple(
                        Passage(f"[{at}] {title}\n", text)
                        for at, (title, text) in enumerate(documents, start=1)
                    ),
                    answers=tuple(row["answers"]),
                )
            )
    return cases


def qmsum(data: Path = DATA) -> list[Case]:
    """Questions about a meeting, with the turns that the answer was written from."""
    cases = []
    for number, row in enumerate(_rows(data, "compression/qmsum/data.jsonl.gz")):
        turns = tuple(
            Passage(f"{turn['speaker']}: ", turn["content"]) for turn in row["meeting_transcripts"]
        )
        for asked in row["specific_query_list"]:
            spans = asked["relevant_text_span"]
            gold = chain.from_iterable(range(int(first), int(last) + 1) for first, last in spans)
            cases.append(
                Case(
                    group=str(number),
                    query=asked["query"],
                    passages=turns,
                    gold=frozenset(at for at in gold if at < len(turns) and turns[at].text),
                )
            )
    return [case for case in cases if case.gold]


def kv75(data: Path = DATA) -> list[Case]:
    """A value among 75 pairs of random UUIDs, asked for by its key, in both forms."""
    cases = []
    for number, row in enumerate(_rows(data, "compression/kv75/data.jsonl.gz")):
        pairs = row["ordered_kv_records"]
        text = json.dumps(dict(pairs), indent=1)
        lines = tuple(Passage("", f'"{key}": "{value}"') for key, value in pairs)
        for form, passages in zip(KV_FORMS, ((Passage("", text),), lines), strict=True):
            cases.append(
                Case(
                    group=str(number),
                    kind=form,
                    query=f'What is the value of the key "{row["key"]}"?',
                    passages=passages,
                    answers=(row["key"], row["value"]),
                )
            )
    return cases


def taubench(data: Path = DATA) -> list[Case]:
    """Tool outputs of an airline's agent, each with the values that later calls took from it.

    The query is what the agent knew when the output came: the user's last message, the tool and
    its arguments. A value is a leaf of a later call's arguments, or a number in an arithmetic
    expression, of two characters or more, that is a key or a leaf of the output. Values that stand
    in the agent's policy (names of cabins, ...) are left out: it needs no output for them.
    """
    runs = {
        (row["task_id"], row["trial"]): row["messages"]
        for row in _rows(data, "memory/tau_bench/data.jsonl.gz")
    }
    cases = []
    for row in _rows(data, "compression/taubench/tool_outputs.jsonl.gz"):
        messages = runs[row["task_id"], row["trial"]]
        at = row["message_index"]
        before, later = messages[:at], messages[at + 1 :]
        policy = messages[0]["content"]
        held = _scalars_of_text(row["content"])
        used = [
            value
            for value in dict.fromkeys(chain.from_iterable(map(_called_with, later)))
            if len(value) > 1 and value in held and not holds(policy, value)
        ]
        said = "\n".join(map(_said, before))
        user = next(m["content"] for m in reversed(before) if m["role"] == "user")
        cases.append(
            Case(
                group=str(row["task_id"]),
                kind=row["tool"],
                query=f"{user}\n{row['tool']} {row['arguments']}",
                passages=(Passage("", row["content"]),),
                used=tuple(used),
                new=tuple(value for value in used if not holds(said, value)),
            )
        )
    return cases


def holds(text: str, value: str) -> bool:
    """Whether a value stands in a text on its own, and not as a part of a longer one."""
    return _alone(value).search(text) is not None


@cache
def _alone(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?<!\w\.){re.escape(value)}(?![\w-])(?!\.\w)")


def _called_with(message: Mapping[str, Any]) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = json.loads(function["arguments"])
        if function["name"] == "calculate":
            yield from re.findall(r"\d+(?:\.\d+)?", arguments["expression"])
        elif function["name"] != "think":
            yield from _scalars(arguments, keys=False)


def _said(message: Mapping[str, Any]) -> str:
    calls = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return "\n".join([message.get("content") or "", *calls])


def _scalars_of_text(text: str) -> frozenset[str]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return frozenset(re.findall(r"[\w.-]*\w", text))
    return frozenset(_scalars(parsed, keys=True))


def _scalars(value: Any, *, keys: bool) -> Iterator[str]:
    """Texts and numbers inside a JSON value; `true`, `false` and `null` are none."""
    match value:
        case bool() | None:
            return
        case dict():
            if keys:
                yield from value
            for each in value.values():
                yield from _scalars(each, keys=keys)
        case list():
            for each in value:
                yield from _scalars(each, keys=keys)
        case str():
            yield value
        case _:
            yield json.dumps(value)


def sampled(cases: Sequence[Case], groups: int | None, *, seed: int) -> list[int]:
    """The numbers of the cases of some groups, the first ones of a shuffled order."""
    order = list(dict.fromkeys(case.group for case in cases))
    random.Random(seed).shuffle(order)
    chosen = set(order[:groups])
    return [at for at, case in enumerate(cases) if case.group in chosen]


def _rows(data: Path, name: str) -> list[dict[str, Any]]:
    path = data / name
    if not path.exists():
        raise DataAbsent(
            f"no data at {path}: name the folder that holds {name.split('/')[0]}/ with --data"
        )
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return rows
