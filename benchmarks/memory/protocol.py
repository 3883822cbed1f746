"""How a memory is measured: a conversation in, every request that it sends out.

A conversation is its messages in order; each message of the assistant is one *call*, whose prompt
would be everything before it. A system plays the conversation call by call and yields the requests
it sends: those for answers, and those of its summariser. What an answer costs is left out, for it
is the same in all systems; what a summary costs is not. Requests are billed by `memory.caches`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from memory.caches import PriceModel

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["system", "message", "summary", "recall", "instruction"]
Purpose = Literal["answer", "summary"]


class Call(NamedTuple):
    """A tool call that an assistant's message asks for. Ids may repeat in a conversation."""

    id: str
    name: str
    arguments: str
    """A JSON object, as `json.dumps` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One message, of a conversation or as it is sent."""

    role: Role
    text: str
    tokens: int
    """Of the text and of the calls, by `o200k_base`; without what a provider puts around them."""
    calls: tuple[Call, ...] = ()
    answers: str = ""
    """Of a tool's message: the id of the call it answers."""
    kind: Kind = "message"

    @property
    def key(self) -> tuple[object, ...]:
        """Two blocks with the same key are the same bytes to a provider."""
        return (self.role, self.text, self.calls, self.answers)

    @property
    def parts(self) -> int:
        """How many content blocks it is to Anthropic: a text, and each call."""
        return max(1, bool(self.text) + len(self.calls))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent to a provider once."""

    blocks: tuple[Block, ...]
    turn: int
    """The number of the call it belongs to, from 1. A summary that is written after an answer
    belongs to the call of that answer."""
    at_s: float
    """Seconds since the conversation began."""
    purpose: Purpose = "answer"
    output_tokens: int = 0
    """What is billed of the output: a summary's length, 0 for answers."""
    marks: tuple[int, ...] | None = None
    """Numbers of the blocks after which a breakpoint stands, four at most. None: after the last
    block of kind `system`, after the last of kind `summary`, and at the end."""
    model: str = "main"
    """Each model has a cache of its own."""
    price: float = 1.0
    """Of that model, as a multiple of the main model's."""

    @property
    def tokens(self) -> int:
        return sum(block.tokens for block in self.blocks)


class Step(NamedTuple):
    """One call: what is new before it, and what was answered."""

    turn: int
    new: tuple[Block, ...]
    answer: Block
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages in order, without the system prompt."""

    name: str
    group: str = ""
    """What is drawn together: copies of one task."""
    system: Block | None
    messages: tuple[Block, ...]
    at_s: tuple[float, ...]
    """When each call is made; as many as there are messages of the assistant."""
    wanted: Mapping[int, str] = field(default_factory=dict)
    """By number of a call: a text that its prompt has to hold."""

    @property
    def head(self) -> tuple[Block, ...]:
        return () if self.system is None else (self.system,)

    def steps(self) -> Iterator[Step]:
        """The calls; what follows the last answer is left out."""
        new: list[Block] = []
        turn = 0
        for message in self.messages:
            if message.role == "assistant":
                yield Step(turn + 1, tuple(new), message, self.at_s[turn])
                turn += 1
                new.clear()
            else:
                new.append(message)


class System(Protocol):
    """What is measured."""

    @property
    def name(self) -> str: ...

    @property
    def priced(self) -> bool:
        """Whether what it sends depends on the price model."""
        ...

    def requests(self, conversation: Conversation, model: PriceModel) -> Iterable[Request]:
        """Everything that is sent, in order.

        Raises:
            NotImplementedError: it does not exist yet; the benchmark says "not run".
        """
        ...


def last_turns(requests: Sequence[Request]) -> int:
    """How many calls there were."""
    return max((request.turn for request in requests), default=0)
