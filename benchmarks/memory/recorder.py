"""Models that answer from a script and write down what they are sent."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from memory.caches import PriceModel
from memory.protocol import Block, Call, Conversation, Kind, Purpose, Request, Role, Step
from memory.tokens import count, filler


class ScriptEnded(Exception):
    """An agent asks for more answers than its run has."""


@dataclass(slots=True)
class Recorder:
    """One conversation that is played through somebody's code."""

    conversation: Conversation
    summary_tokens: int
    """Every summary has so many."""
    requests: list[Request] = field(default_factory=list)
    _step: Step | None = None
    _summaries: list[str] = field(default_factory=list)
    _blocks: dict[tuple[object, ...], Block] = field(default_factory=dict)
    _rng: random.Random = field(default_factory=lambda: random.Random("summaries"))

    def __post_init__(self) -> None:
        for each in (*self.conversation.head, *self.conversation.messages):
            self._blocks[each.key] = each

    def at(self, step: Step) -> None:
        """What is sent from now on belongs to this call."""
        self._step = step

    def block(self, role: Role, text: str, calls: Sequence[Call] = (), answers: str = "") -> Block:
        """A message as it was sent, counted once."""
        key = (role, text, tuple(calls), answers)
        found = self._blocks.get(key)
        if found is None:
            kind: Kind = "message"
            if any(summary in text for summary in self._summaries[-1:]):
                kind = "summary"
            found = self._blocks[key] = Block(
                role=role,
                text=text,
                tokens=count(text) + sum(count(f"{c.name} {c.arguments}") for c in calls),
                calls=tuple(calls),
                answers=answers,
                kind=kind,
            )
        return found

    def answered(self, blocks: Iterable[Block]) -> Block:
        """The main model is asked; what it says."""
        step = self._now()
        self._note(blocks, step, "answer")
        return step.answer

    def summarised(self, blocks: Iterable[Block], *, form: str = "{}") -> str:
        """The summariser is asked, without breakpoints: it shares no cache. What it says."""
        step = self._now()
        text = filler(self.summary_tokens, self._rng, after=form.partition("{}")[0].strip())
        text = text.strip() + form.partition("{}")[2]
        self._note(blocks, step, "summary", output_tokens=count(text))
        self._summaries.append(text)
        return text

    def _now(self) -> Step:
        if self._step is None:
            raise ScriptEnded
        return self._step

    def _note(
        self, blocks: Iterable[Block], step: Step, purpose: Purpose, output_tokens: int = 0
    ) -> None:
        self.requests.append(
            Request(
                blocks=tuple(blocks),
                turn=step.turn,
                at_s=step.at_s,
                purpose=purpose,
                output_tokens=output_tokens,
                marks=() if purpose == "summary" else None,
            )
        )


@dataclass(frozen=True, slots=True)
class Peer:
    """A memory of somebody else's."""

    name: str
    play: Callable[[Recorder], None]
    summary_tokens: int
    priced: bool = False

    def requests(self, conversation: Conversation, model: PriceModel) -> Iterator[Request]:
        recorder = Recorder(conversation, self.summary_tokens)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.play(recorder)
        yield from recorder.requests
