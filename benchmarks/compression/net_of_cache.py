"""Whether compressed tool outputs make any conversation dearer, net of the provider's cache.

120 airline conversations of tau-bench are replayed call by call: every request is all messages
before an assistant's turn, in tokens of o200k. The provider's cache is simulated here, on tokens,
and shares nothing with the library: each request is compared with all earlier ones of its
conversation. What answers cost is left out: it is the same in all replays.

- *breakpoints* (Anthropic with an automatic breakpoint, OpenAI from GPT-5.6 on): what an earlier
  request ended with is read; a prompt of the least length or more is written up to its end.
- *steps* (OpenAI before that): the longest common beginning is read, in whole steps of 128.

Compression is off, lossless (`fit_payload` without a budget), or to half. What decides:

- *always*: every output is compressed;
- *sure*: `pays`, told only how long the prefix is;
- *sure, most 40 calls*: told as well that no conversation has more;
- *sure, with books*: told what has been kept out, and what that has saved so far, too;
- *sure, two forms*: as before; where half is refused, the lossless form is asked for;
- *sure, fitted*: told only how long the prefix is; where half is refused, the output is cut to the
  fewest tokens that pay (`fewest_that_pay`), or has its lossless form, whichever is shorter;
- *sure, fitted, with books*: the same, told what *sure, with books* is told;
- *until cached*: below the provider's least, where nothing is cached, nothing is frozen either:
  outputs are sent compressed, and as they were once that makes the prompt long enough.

    cd benchmarks && python -m compression.net_of_cache [--data FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from _figures import Figure, show
from numpy.typing import NDArray

from compression.data import DATA, DataAbsent
from compression.protocol import Bootstrap, Count, figure
from frugal_chains.compression import Ahead, fewest_that_pay, pays
from frugal_chains.compression.payload import fit_payload
from frugal_chains.pricing import CacheTerms, TokenPrices

Tokens = NDArray[np.int64]
Mode = Literal["lossless", "half"]
MODES: Final[tuple[Mode, ...]] = ("lossless", "half")
MOST_CALLS: Final = 40
"""The longest of the conversations has 30; agents have a limit on their steps."""


FRONTS: Final = (0, 32, 64, 96)
"""Where steps are, whether a prompt just reaches one depends on what stands in front of it."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Rules of a cache, and multiples of the price of fresh input."""

    min_tokens: int
    read: float
    write: float = 1.0
    step: int = 0
    """0: breakpoints at the end of each request."""
    fronts: tuple[int, ...] = (0,)
    """Tokens in front of a conversation: the definitions of its tools, which the data lack."""


PROVIDERS: Final[Mapping[str, Provider]] = {
    "Anthropic, 1024": Provider(1024, 0.1, 1.25),
    "Anthropic, 4096": Provider(4096, 0.1, 1.25),
    "OpenAI, 0.5": Provider(1024, 0.5, step=128, fronts=FRONTS),
    "OpenAI, 0.25": Provider(1024, 0.25, step=128, fronts=FRONTS),
    "OpenAI, 0.1": Provider(1024, 0.1, step=128, fronts=FRONTS),
    "OpenAI from 5.6": Provider(1024, 0.1, 1.25),
}
ALWAYS, SURE, UNTIL_CACHED = "always", "sure", "until cached"
BOOKS, TWO_FORMS = "sure, with books", "sure, two forms"
FITTED, FITTED_BOOKS = "sure, fitted", "sure, fitted, with books"
SHORT_TOKENS: Final = 8
"""By which an output may come out shorter than it was cut to."""
RULES: Final = (ALWAYS, SURE, f"sure, most {MOST_CALLS} calls", BOOKS)


class Cache:
    """What a provider keeps of one conversation."""

    def __init__(self, rules: Provider) -> None:
        self._rules = rules
        self._seen: list[Tokens] = []

    def bill(self, prompt: Tokens) -> float:
        """Of one request's input, in prices of a fresh token."""
        rules, read = self._rules, 0
        if len(prompt) < rules.min_tokens:
            return float(len(prompt))
        for earlier in reversed(self._seen):
            if len(earlier) <= read:
                continue
            common = _common(prompt, earlier)
            if rules.step:
                common -= common % rules.step
            elif common < len(earlier):
                continue
            if common >= rules.min_tokens:
                read = max(read, common)
        self._seen.append(prompt)
        return read * rules.read + (len(prompt) - read) * rules.write


def _common(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    size = min(len(one), len(other))
    differ = np.flatnonzero(one[:size] != other[:size])
    return int(differ[0]) if len(differ) else size


@dataclass(slots=True)
class Talk:
    """A conversation: every message in tokens, and tool outputs compressed beside it."""

    task: str
    cut: Callable[[int, int], Tokens]
    """A tool output, by the number of its message, in so many tokens at most."""
    messages: list[Tokens] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    """Numbers of the assistant's messages: a request is what stands before one."""
    forms: dict[Mode, dict[int, Tokens]] = field(default_factory=dict)
    """Of tool outputs that became shorter, by their number."""


def replay(
    talk: Talk, rules: Provider, mode: Mode, rule: str, front: int = 0
) -> tuple[float, float]:
    """The bill of a conversation, without compression and with it."""
    off, on = Cache(rules), Cache(rules)
    first = np.full(front, -4, dtype=np.int64)
    sent: list[Tokens] = []
    bills = [0.0, 0.0]
    terms = CacheTerms(
        prices=TokenPrices(fresh=1, cache_read=rules.read, cache_write=rules.write),
        min_tokens=rules.min_tokens,
        step_tokens=rules.step or 1,
    )
    books = _Books(terms, talk, front)
    for number in range(len(talk.messages)):
        if number in talk.calls:
            if rule == UNTIL_CACHED and books.whole(number) >= rules.min_tokens:
                _restore(sent, talk, rules.min_tokens - front)
            books.called(sent)
            bills[0] += off.bill(np.concatenate([first, *talk.messages[:number]]))
            bills[1] += on.bill(np.concatenate([first, *sent]))
        sent.append(_form(talk, mode, rule, books, sent))
    return bills[0], bills[1]


def _form(talk: Talk, mode: Mode, rule: str, books: _Books, sent: Sequence[Tokens]) -> Tokens:
    """What is sent of the next message."""
    number = len(sent)
    original = talk.messages[number]
    two = rule in (TWO_FORMS, FITTED, FITTED_BOOKS)
    forms = [talk.forms[form].get(number) for form in (MODES[::-1] if two else (mode,))]
    short = [form for form in forms if form is not None]
    if not short or rule in (ALWAYS, UNTIL_CACHED):
        return short[0] if short else original
    terms, ahead = books.terms, books.ahead(rule, sent)

    def ok(form: Tokens) -> bool:
        return pays(len(original), len(form), terms, ahead).ok

    if rule in (FITTED, FITTED_BOOKS) and not ok(short[0]):
        fewest = fewest_that_pay(
            len(original), len(short[0]), terms, ahead, short_tokens=SHORT_TOKENS
        )
        if fewest is not None:
            short = sorted([*short, talk.cut(number, fewest)], key=len)
    return next((form for form in short if ok(form)), original)


class _Books:
    """What a caller knows: by the library's own arithmetic, not by the simulated cache."""

    def __init__(self, terms: CacheTerms, talk: Talk, front: int) -> None:
        self.terms, self._talk, self._front = terms, talk, front
        self._last = (0, 0)
        self._banked = 0.0
        self._calls = 0

    def whole(self, number: int) -> int:
        """Tokens in front of a message, nothing compressed."""
        return self._front + sum(map(len, self._talk.messages[:number]))

    def called(self, sent: Sequence[Tokens]) -> None:
        sizes = self.whole(len(sent)), self._front + sum(map(len, sent))
        bills = [
            self.terms.call_nanos(size, last) for size, last in zip(sizes, self._last, strict=True)
        ]
        self._banked += bills[0] - bills[1]
        self._last = sizes
        self._calls += 1

    def ahead(self, rule: str, sent: Sequence[Tokens]) -> Ahead:
        size = self._front + sum(map(len, sent))
        if rule in (SURE, FITTED):
            return Ahead(prefix_tokens=size)
        known = rule in (BOOKS, TWO_FORMS, FITTED_BOOKS)
        return Ahead(
            prefix_tokens=size,
            most_calls=max(1, MOST_CALLS - self._calls),
            saved_tokens=self.whole(len(sent)) - size if known else 0,
            banked_nanos=self._banked if known else 0.0,
        )


def _restore(sent: list[Tokens], talk: Talk, least: int) -> None:
    """Send outputs as they were until the prompt has the least length; those first that were
    shortened least."""
    missing = least - sum(map(len, sent))
    saved = [(len(talk.messages[at]) - len(each), at) for at, each in enumerate(sent)]
    for tokens, at in sorted(saved):
        if missing > 0 and tokens > 0:
            sent[at] = talk.messages[at]
            missing -= tokens


def load(data: Path, count: Count, encode: Callable[[str], Sequence[int]]) -> list[Talk]:
    path = data / "memory" / "tau_bench" / "data.jsonl.gz"
    if not path.exists():
        raise DataAbsent(f"no data at {path}: name the folder that holds memory/ with --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]

    @cache
    def fitted(text: str, query: str, budget: int | None) -> str:
        return fit_payload(text, query=query, budget_tokens=budget, count=count).text

    @cache
    def encoded(role: str, text: str) -> Tokens:
        # Numbers that no token has stand for the marks between messages.
        return np.array([-1, *encode(role), -2, *encode(text), -3], dtype=np.int64)

    return [_talk(row, fitted, encoded, count) for row in rows]


def _talk(
    row: Mapping[str, Any],
    fitted: Callable[[str, str, int | None], str],
    encoded: Callable[[str, str], Tokens],
    count: Count,
) -> Talk:
    outputs: dict[int, tuple[str, str]] = {}

    def cut(number: int, tokens: int) -> Tokens:
        text, query = outputs[number]
        marks = len(encoded("tool", text)) - count(text)
        return encoded("tool", fitted(text, query, max(1, tokens - marks)))

    talk = Talk(cut=cut, task=str(row["task_id"]), forms={mode: {} for mode in MODES})
    user = call = ""
    for number, message in enumerate(row["messages"]):
        role, text = message["role"], message["content"] or ""
        if role == "user":
            user = text
        elif role == "assistant":
            talk.calls.append(number)
            asked = [each["function"] for each in message.get("tool_calls") or ()]
            call = " ".join(f"{each['name']} {each['arguments']}" for each in asked)
            text = f"{text}\n{call}" if call else text
        elif role == "tool":
            outputs[number] = text, f"{user}\n{call}"
            for mode in MODES:
                budget = max(1, count(text) // 2) if mode == "half" else None
                short = encoded(role, fitted(*outputs[number], budget))
                if len(short) < len(encoded(role, text)):
                    talk.forms[mode][number] = short
        talk.messages.append(encoded(role, text))
    return talk


def figures(
    data: Path = DATA,
    *,
    count: Count,
    encode: Callable[[str], Sequence[int]],
    draws: int = 1000,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Figure]:
    """All figures; `quick`: of every fifth conversation."""
    talks = load(data, count, encode)[:: 5 if quick else 1]
    found: dict[str, Figure] = {}
    for name, rules in PROVIDERS.items():
        groups = [talk.task for talk in talks for _ in rules.fronts]
        boot = Bootstrap(groups, draws=draws, seed=seed)
        for mode in MODES:
            more = (TWO_FORMS, FITTED, FITTED_BOOKS) if rules.step and mode == "half" else ()
            for rule in (*RULES, *more, *(() if rules.step else (UNTIL_CACHED,))):
                bills = np.array(
                    [
                        replay(talk, rules, mode, rule, front)
                        for talk in talks
                        for front in rules.fronts
                    ]
                )
                found |= _figures(f"net of cache, {name}, {mode}, {rule}: ", bills, boot, rule)
    return found


def _figures(key: str, bills: NDArray[np.float64], boot: Bootstrap, rule: str) -> dict[str, Figure]:
    off, on = bills[:, 0], bills[:, 1]
    # In whole millionths of a token: sums of floats differ in the last digit.
    higher = (np.round(on - off, 6) > 0).astype(np.float64)
    return {
        key + "higher bills": figure(
            boot.mean(higher),
            unit="%",
            better="lower",
            asked=None if rule == ALWAYS else 0.0,
            scale=100,
        ),
        key + "highest rise": Figure(
            value=round(float(np.max(100 * (on - off) / off, initial=0.0)), 4),
            better="lower",
            unit="% of input",
        ),
        key + "bill": figure(boot.ratio(on, np.ones_like(on)), unit="fresh tokens", better="lower"),
        key + "saved": figure(boot.ratio(off - on, off), unit="% of input", scale=100),
    }


def main() -> int:
    from frugal_chains.tokens._encodings import shared_encodings

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    encoding = shared_encodings().get("o200k_base")
    if encoding is None:
        print("the ranks of o200k_base are not there: pip install frugal-chains[offline]")
        return 2
    found = figures(
        asked.data,
        count=lambda text: len(encoding.encode_ordinary(text)),
        encode=encoding.encode_ordinary,
        quick=asked.quick,
    )
    show("net of cache", found)
    return 0 if all(each.reached for each in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
