"""Signals: what a rule may ask of a request. They compose with `&`, `|` and `~`.

urgent = Keywords("outage", "down") & ~Tagged("plan", "free")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import time
from functools import cached_property
from typing import Any, Literal

from frugal_chains.routing._domains import Domains
from frugal_chains.routing._seen import Seen
from frugal_chains.routing._similar import Vector, cosine, overlap, trigrams
from frugal_chains.routing._text import Phrase, canonical


class Signal:
    """Something that holds for a request, or does not."""

    __slots__ = ()

    def why(self, seen: Seen) -> str:
        """The reason it holds, for a person to read; empty when it does not."""
        raise NotImplementedError

    def parts(self) -> tuple[Signal, ...]:
        """The signals it is composed of; itself where it is of none."""
        return (self,)

    def __and__(self, other: Signal) -> AllOf:
        return AllOf((*_parts(self, AllOf), *_parts(other, AllOf)))

    def __or__(self, other: Signal) -> AnyOf:
        return AnyOf((*_parts(self, AnyOf), *_parts(other, AnyOf)))

    def __invert__(self) -> Signal:
        return self.signal if isinstance(self, Not) else Not(self)


@dataclass(frozen=True)
class AllOf(Signal):
    """Every one of them holds. None at all: it always does."""

    signals: tuple[Signal, ...]

    def parts(self) -> tuple[Signal, ...]:
        return tuple(part for signal in self.signals for part in signal.parts())

    def why(self, seen: Seen) -> str:
        reasons = []
        for signal in self.signals:
            reason = signal.why(seen)
            if not reason:
                return ""
            reasons.append(reason)
        return " and ".join(reasons) or "always"


@dataclass(frozen=True)
class AnyOf(Signal):
    """At least one of them holds."""

    signals: tuple[Signal, ...]

    def parts(self) -> tuple[Signal, ...]:
        return tuple(part for signal in self.signals for part in signal.parts())

    def why(self, seen: Seen) -> str:
        return next((reason for signal in self.signals if (reason := signal.why(seen))), "")


@dataclass(frozen=True)
class Not(Signal):
    """It does not hold."""

    signal: Signal

    def parts(self) -> tuple[Signal, ...]:
        return self.signal.parts()

    def why(self, seen: Seen) -> str:
        return "" if self.signal.why(seen) else f"not {type(self.signal).__name__.lower()}"


ALWAYS = AllOf(())


def _parts(signal: Signal, kind: type[AllOf | AnyOf]) -> tuple[Signal, ...]:
    return signal.signals if isinstance(signal, kind) else (signal,)


# -- what is asked -----------------------------------------------------------------------------


@dataclass(frozen=True, init=False)
class Keywords(Signal):
    """One of the words or phrases occurs in the question, as whole words in any case.

    Signs are part of a name: `C++` and `C` are two words, and so are `.NET` and `net`.
    """

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", tuple(map(canonical, words)))

    @cached_property
    def _phrases(self) -> tuple[Phrase, ...]:
        return tuple(Phrase.of(word) for word in self.words if word)

    def why(self, seen: Seen) -> str:
        found = (phrase.text for phrase in self._phrases if phrase.is_in(seen.text))
        return next((f"the question has {text!r}" for text in found), "")


@dataclass(frozen=True)
class Pattern(Signal):
    """A regular expression is found in the question, as it was written. Case counts only where the
    pattern says so with `(?-i:...)`."""

    pattern: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)

    def why(self, seen: Seen) -> str:
        return (
            f"the question matches /{self.pattern}/" if self._compiled.search(seen.question) else ""
        )


@dataclass(frozen=True)
class SimilarTo(Signal):
    """The question resembles one of the example utterances.

    Without `vectors` by the letters they share, which tells wordings apart better than meanings;
    `embedded` compares meanings, with the embedder of the policy.
    """

    examples: tuple[str, ...]
    at_least: float = 0.5
    """Cosine, 0 to 1."""
    vectors: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    @classmethod
    def embedded(
        cls, examples: Sequence[str], embedder: Callable[[Sequence[str]], Any], *, at_least: float
    ) -> SimilarTo:
        """With the examples' vectors, made now by the embedder that also embeds the requests."""
        texts = [canonical(example) for example in examples]
        vectors = tuple(tuple(map(float, vector)) for vector in embedder(texts))
        return cls(tuple(examples), at_least, vectors)

    @cached_property
    def _trigrams(self) -> tuple[Vector, ...]:
        return tuple(trigrams(canonical(example)) for example in self.examples)

    def why(self, seen: Seen) -> str:
        best, example = self._nearest(seen)
        return f"{best:.2f} like {example!r}" if best >= self.at_least else ""

    def _nearest(self, seen: Seen) -> tuple[float, str]:
        if self.vectors:
            asked = seen.facts.embedding
            if asked is None:
                return 0.0, ""
            likeness = [cosine(asked, vector) for vector in self.vectors]
        else:
            likeness = [overlap(seen.trigrams, known) for known in self._trigrams]
        return max(zip(likeness, self.examples, strict=True), default=(0.0, ""))


@dataclass(frozen=True)
class InDomain(Signal):
    """The question belongs to a domain, as far as `domains` can tell."""

    name: str
    domains: Domains = field(repr=False)
    at_least: float = 0.5
    """Share of the likeness to all domains, 0 to 1."""

    def why(self, seen: Seen) -> str:
        share = self.domains.shares(seen.trigrams, seen.facts.embedding).get(self.name, 0.0)
        return f"{share:.2f} of the domain {self.name!r}" if share >= self.at_least else ""


# -- how it is asked ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Range(Signal):
    at_least: int = 0
    at_most: int | None = None

    def _reason(self, number: int, what: str) -> str:
        inside = self.at_least <= number and (self.at_most is None or number <= self.at_most)
        return f"{number:,} {what}" if inside else ""


@dataclass(frozen=True, kw_only=True)
class InputTokens(_Range):
    """The whole request is so long, both ends included."""

    def why(self, seen: Seen) -> str:
        return self._reason(seen.input_tokens, "tokens of input")


@dataclass(frozen=True, kw_only=True)
class Depth(_Range):
    """The conversation has so many turns of the user, this one and both ends included."""

    def why(self, seen: Seen) -> str:
        return self._reason(seen.depth, "turns")


@dataclass(frozen=True)
class WantsStructure(Signal):
    """The answer has to fit a schema."""

    def why(self, seen: Seen) -> str:
        return "a structured answer" if seen.facts.request.output_schema else ""


@dataclass(frozen=True)
class UsesTools(Signal):
    """Tools are offered; with names, one of these."""

    names: tuple[str, ...] = ()

    def why(self, seen: Seen) -> str:
        offered = [tool.name for tool in seen.facts.request.tools]
        if not self.names:
            return f"{len(offered)} tools offered" if offered else ""
        return next((f"the tool {name} offered" for name in self.names if name in offered), "")


@dataclass(frozen=True)
class Tolerance(Signal):
    """How much a wrong answer hurts, where the application says so."""

    level: Literal["low", "normal", "high"]

    def why(self, seen: Seen) -> str:
        holds = seen.facts.error_tolerance == self.level
        return f"{self.level} tolerance for errors" if holds else ""


@dataclass(frozen=True)
class Tagged(Signal):
    """A tag of the request has a value; without one, any."""

    name: str
    value: str | None = None

    def why(self, seen: Seen) -> str:
        value = seen.facts.tags.get(self.name)
        holds = value is not None and self.value in (None, value)
        return f"tagged {self.name}={value}" if holds else ""


@dataclass(frozen=True)
class Hours(Signal):
    """It is between two times of the day, the second one excluded; it may be past midnight.

    In the time zone of the decision's own clock.
    """

    start: time
    end: time

    def why(self, seen: Seen) -> str:
        now = seen.facts.at.time()
        if self.start <= self.end:
            inside = self.start <= now < self.end
        else:
            inside = now >= self.start or now < self.end
        return f"between {self.start:%H:%M} and {self.end:%H:%M}" if inside else ""
