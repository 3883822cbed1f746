"""How often a decision changes with the wording, how long it takes, and what a model weighs.

The perturbations are written for this benchmark; the synonyms are in no table of the library. The
threshold is the one that sends half of the requests to the strong model: the place where a decision
is closest.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from _figures import Figure

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import (
    Candidate,
    RoutingFacts,
    RoutingPolicy,
    Trade,
    decide,
    question_of,
)
from frugal_chains.routing.gain import BlendedGain, to_bytes
from routing.protocol import Interval, drawn, in_figure, interval

SYNONYMS: Final[Mapping[str, str]] = {
    "find": "determine", "calculate": "compute", "big": "large", "large": "big", "small": "little",
    "show": "display", "begin": "start", "start": "begin", "buy": "purchase", "purchase": "buy",
    "quick": "fast", "fast": "quick", "total": "overall", "correct": "right", "wrong": "incorrect",
    "following": "below", "explain": "describe", "describe": "explain", "usually": "commonly",
    "many": "numerous", "important": "significant", "main": "primary", "primary": "main",
    "reason": "cause", "result": "outcome", "help": "assist", "need": "require", "get": "obtain",
    "given": "provided", "statement": "claim", "best": "optimal", "also": "additionally",
    "because": "since", "however": "but", "people": "persons", "child": "kid", "car": "automobile",
    "money": "cash", "job": "occupation", "house": "home", "entire": "whole", "often": "frequently",
}  # fmt: skip
"""One word for another of the same meaning."""
_HEADS: Final = (
    "Please ", "Hi! ", "Hello there, ", "Could you please tell me: ", "Hey, can you help me with ",
    "Kindly answer: ", "Good morning. ", "I would like you to answer: ",
)  # fmt: skip
_TAILS: Final = (
    " Thanks!",
    " Thank you very much.",
    " Please.",
    " Thanks in advance!",
    "\n\nCheers",
)


def in_capitals(text: str, rng: random.Random) -> str:
    """All letters large, or all small."""
    return text.upper() if rng.random() < 0.5 else text.lower()


def respaced(text: str, rng: random.Random) -> str:
    """Spaces doubled, tabs and line breaks between words, blanks at both ends."""
    return "  " + re.sub(r"\s+", lambda _: rng.choice((" ", "  ", "\n", " \t")), text) + " \n"


def wrapped(text: str, rng: random.Random) -> str:
    """Polite words before, after, or both."""
    head = rng.choice(_HEADS) if rng.random() < 0.7 else ""
    return head + text + (rng.choice(_TAILS) if not head or rng.random() < 0.5 else "")


def reworded(text: str, rng: random.Random) -> str:
    """One word replaced by a synonym; unchanged where none occurs."""
    found = [hit for hit in re.finditer(r"[A-Za-z]+", text) if hit.group().lower() in SYNONYMS]
    if not found:
        return text
    hit = rng.choice(found)
    word = SYNONYMS[hit.group().lower()]
    word = word.capitalize() if hit.group()[0].isupper() else word
    return text[: hit.start()] + word + text[hit.end() :]


PERTURBATIONS: Final[Mapping[str, Callable[[str, random.Random], str]]] = {
    "case": in_capitals,
    "white space": respaced,
    "polite wrappers": wrapped,
    "synonyms": reworded,
}


def unchanged(
    model: BlendedGain, prompts: Sequence[str], *, draws: int, seed: int
) -> dict[str, Interval]:
    """The share of decisions that stay, by perturbation and as the mean of all of them.

    Only prompts that a perturbation changes count for it.
    """
    stronger = int(np.argmax(model.base))
    rng, before = random.Random(seed), _gains(model, prompts, stronger)
    limit = float(np.median(before))
    moved, stays = [], []
    for change in PERTURBATIONS.values():
        texts = [change(prompt, rng) for prompt in prompts]
        after = _gains(model, texts, stronger)
        moved.append([text != prompt for text, prompt in zip(texts, prompts, strict=True)])
        stays.append((before > limit) == (after > limit))
    changed = np.array(moved, dtype=np.float64)
    stayed = changed * np.array(stays)
    each = np.array(
        [stayed @ weight / (changed @ weight) for weight in drawn(len(prompts), draws, seed)]
    )
    found = np.column_stack([each, each.mean(axis=1)])
    names = (*(f"unchanged under {name}" for name in PERTURBATIONS), "unchanged, mean of all")
    return {name: interval(one[0], one[1:]) for name, one in zip(names, found.T, strict=True)}


def _gains(model: BlendedGain, prompts: Sequence[str], stronger: int) -> np.ndarray[Any, Any]:
    scores = model.predict_many(prompts)
    return np.asarray(scores[:, stronger] - np.delete(scores, stronger, axis=1).max(axis=1))


_TIMED: Final = 400
_PASSES: Final = 7
_TIMING_DRAWS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of one decision, in milliseconds."""

    p50: Interval
    p99: Interval


def latency(
    model: BlendedGain,
    prompts: Sequence[str],
    embed: Callable[[str], Sequence[float]] | None = None,
) -> Latency:
    """Time whole decisions between two priced models, the embedding included where there is one.

    Counting the request's tokens is not part of it: the ledger needs the count whoever decides.
    Of several passes over the prompts the fastest one counts: the others tell what else ran on the
    machine (the same pass takes .30 and .52 ms within a minute where processors are shared).
    """
    policy = RoutingPolicy(gain=model, trade=Trade(min_gain=0.1))
    candidates = (
        Candidate(name="weak", tier="workhorse", model="gpt-4o-mini", provider="openai"),
        Candidate(name="strong", tier="specialist", model="gpt-4o", provider="openai"),
    )
    prices = PriceBook.load()
    facts = [_facts(prompt) for prompt in prompts[:_TIMED]]
    for each in facts[:20]:  # the first ones warm up
        decide(_embedded(each, model, embed), policy, candidates, prices)
    passes = []
    for _ in range(_PASSES):
        taken = []
        for each in facts:
            start = time.perf_counter()
            decide(_embedded(each, model, embed), policy, candidates, prices)
            taken.append(1e3 * (time.perf_counter() - start))
        passes.append(taken)
    best = np.array(min(passes, key=lambda taken: float(np.median(taken))))
    rng = np.random.default_rng(0)
    drawn_ms = rng.choice(best, (_TIMING_DRAWS, len(best)))
    p50, p99 = (
        interval(float(np.quantile(best, part)), np.quantile(drawn_ms, part, axis=1))
        for part in (0.5, 0.99)
    )
    return Latency(p50=p50, p99=p99)


def _embedded(
    facts: RoutingFacts, model: BlendedGain, embed: Callable[[str], Sequence[float]] | None
) -> RoutingFacts:
    if embed is None:
        return facts
    text = model.distinct(question_of(facts.request))
    return replace(facts, embedding=embed(text))


def _facts(prompt: str) -> RoutingFacts:
    return RoutingFacts(
        request=RequestFacts(messages=(MessageFacts(role="user", text=prompt),)),
        at=datetime.now().astimezone(),
        input_tokens={"weak": len(prompt) // 4, "strong": len(prompt) // 4},
    )


def memory_mb(model: BlendedGain) -> float:
    """What the model's arrays and texts take in memory, in MB."""
    return _bytes(model) / 1e6


def stored_mb(model: BlendedGain) -> float:
    """What the model takes in a file, in MB."""
    return len(to_bytes(model)) / 1e6


def _bytes(value: object) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple):
        return sum(len(each) for each in value if isinstance(each, str))
    if is_dataclass(value):
        return sum(_bytes(getattr(value, field.name)) for field in fields(value))
    return 0


def figures(
    model: BlendedGain, prompts: Sequence[str], *, draws: int, seed: int
) -> dict[str, Figure]:
    """Stability, latency and size of one model, on prompts it has not learned from."""
    found = {
        name: in_figure(share, asked=98.0, better="higher", unit="% of decisions", scale=100)
        for name, share in unchanged(model, prompts, draws=draws, seed=seed).items()
    }
    found |= _in_figures("latency without embedder", latency(model, prompts), asked_ms=0.3)
    found["memory of 10,000 calibration rows"] = _memory(model)
    found["stored model"] = Figure(value=stored_mb(model), better="lower", unit="MB")
    return found


def with_embedder(
    model: BlendedGain, prompts: Sequence[str], embed: Callable[[str], Sequence[float]]
) -> dict[str, Figure]:
    """The time of decisions that embed their question first."""
    found = _in_figures(
        "latency with the local embedder", latency(model, prompts, embed), asked_ms=8.0
    )
    found["memory of 10,000 rows, embeddings included"] = _memory(model)
    return found


def _in_figures(name: str, took: Latency, *, asked_ms: float) -> dict[str, Figure]:
    return {
        f"{name}, p50": in_figure(took.p50, asked=asked_ms, better="lower", unit="ms"),
        f"{name}, p99": in_figure(took.p99, better="lower", unit="ms"),
    }


def _memory(model: BlendedGain) -> Figure:
    each = max(1.0, 10_000 / model.rows)
    return Figure(value=memory_mb(model) * each, better="lower", unit="MB at most")
