"""What the library's memory is compared with besides other libraries: policies written plainly.

`WaterMark` compacts down to what is kept, the new question included, whenever the history passes a
mark, with a request that is aligned with the cache: the prompt that was sent last, the answer to
it, and an instruction.
`RentOrBuy` is the same with the trigger that needs no mark: it adds up what carrying the history
above what is kept has cost, and compacts when the sum reaches the price of one compaction
(the break-even strategy of renting skis; Karlin et al. 1988). Both rewrite one summary each time,
or, where `appended`, put a further segment behind the others; when all come to more than
`SEGMENTS_TOKENS`, they become one text of half of that, without a model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from memory.caches import PriceModel
from memory.protocol import Block, Conversation, Request, Step
from memory.tokens import filler
from memory.traffic import block, whole_prompts

SUMMARY_TOKENS = 400
INSTRUCTION_TOKENS = 60
SEGMENTS_TOKENS = 800


@dataclass(frozen=True, slots=True)
class NoMemory:
    """Everything is sent, every time."""

    name: str = "no memory"
    priced: bool = False

    def requests(self, conversation: Conversation, model: PriceModel) -> Iterator[Request]:
        prompts = zip(conversation.steps(), whole_prompts(conversation), strict=True)
        for step, sent in prompts:
            yield Request(blocks=sent, turn=step.turn, at_s=step.at_s)


@dataclass(slots=True)
class _Held:
    """What a policy has of one conversation."""

    head: tuple[Block, ...]
    summary: tuple[Block, ...] = ()
    recent: list[Block] = field(default_factory=list)
    sent: tuple[Block, ...] = ()
    """The last request."""
    rent: float = 0.0

    def prompt(self) -> tuple[Block, ...]:
        return (*self.head, *self.summary, *self.recent)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterMark:
    """Compacts when the messages come to more than `high` tokens."""

    high: int
    kept: int = 2000
    summary_tokens: int = SUMMARY_TOKENS
    instruction_tokens: int = INSTRUCTION_TOKENS
    appended: bool = False
    name: str = ""
    priced: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"water mark {self.high:,}->{self.kept:,}")

    def due(self, held: _Held, model: PriceModel) -> bool:
        return _tokens(held.recent) > self.high

    def requests(self, conversation: Conversation, model: PriceModel) -> Iterator[Request]:
        rng = random.Random(f"{self.name} {conversation.name}")
        held = _Held(conversation.head)
        for step in conversation.steps():
            if step.new and self.due(held, model):
                yield from self._compact(held, step, rng)
            held.recent += step.new
            held.sent = held.prompt()
            yield Request(blocks=held.sent, turn=step.turn, at_s=step.at_s)
            held.recent.append(step.answer)

    def _compact(self, held: _Held, step: Step, rng: random.Random) -> Iterator[Request]:
        cut = _cut(held.recent, self.kept - _tokens(step.new))
        if not cut:
            return
        last = held.recent[-1]
        # Calls whose results only come with this step cannot be shown to anybody yet.
        known = held.sent if last.calls else (*held.sent, last)
        ask = block("user", filler(self.instruction_tokens, rng), kind="instruction")
        yield Request(
            blocks=(*known, ask),
            turn=step.turn,
            at_s=step.at_s,
            purpose="summary",
            output_tokens=self.summary_tokens,
            marks=(len(held.sent) - 1,),
        )
        segment = block("user", filler(self.summary_tokens, rng), kind="summary")
        held.summary = (*held.summary, segment) if self.appended else (segment,)
        if _tokens(held.summary) > max(SEGMENTS_TOKENS, self.summary_tokens):
            merged = filler(SEGMENTS_TOKENS // 2, rng)
            held.summary = (block("user", merged, kind="summary"),)
        del held.recent[:cut]
        held.rent = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RentOrBuy(WaterMark):
    """Compacts when the rent paid for old history reaches the price of one compaction."""

    high: int = 0
    name: str = "plain rent = buy"
    priced: bool = True

    def due(self, held: _Held, model: PriceModel) -> bool:
        read, write = (1.0, 1.0) if model.rules is None else (model.read, model.write)
        head, history = _tokens(held.head), _tokens(held.recent)
        carried = self.summary_tokens + (_tokens(held.summary) if self.appended else 0)
        above = max(0, history - self.kept)
        held.rent += read * above
        if model.rules is not None and head + history < model.rules.min_tokens:
            held.rent += (1 - read) * above
        price = (write - read) * (carried + self.kept)
        price += self.summary_tokens * model.output + self.instruction_tokens
        price += read * (head + carried + self.kept)
        return above > 0 and held.rent >= price


def _cut(recent: Sequence[Block], kept: int) -> int:
    """How many of the oldest messages go.

    The rest has at least so many tokens, as with the library, and begins where no tool's result is
    cut off from its call. Calls that wait for their results stay, whatever their size.
    """
    starts = [at for at, each in enumerate(recent) if each.role != "tool"]
    size, cut = 0, len(recent)
    for at in range(len(recent) - 1, -1, -1):
        if size >= kept and not (cut == len(recent) and recent[-1].calls):
            break
        size += recent[at].tokens
        if at in starts:
            cut = at
    return cut


def _tokens(blocks: Sequence[Block]) -> int:
    return sum(each.tokens for each in blocks)
