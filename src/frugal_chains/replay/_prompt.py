"""`Prompts`: recorded requests as blocks of a prompt, each text counted once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from frugal_chains.dispatch import PromptBlock
from frugal_chains.facts import MessageFacts, RequestFacts, ToolFacts
from frugal_chains.replay._cache import PromptPart
from frugal_chains.tokens import TokenCounter

_REMEMBERED: Final = 100_000
"""Blocks that are not counted again, the least recently used go first."""
Kind = Literal["tools", "system", "user", "assistant", "tool"]
_SIGNS: Final = ('"', "\\", "\n")
SEGMENT: Final = "segment"
"""Name of a message that stands for others, as `MessageFacts.name`."""


class Traits(NamedTuple):
    """What tokenizers may count in another way."""

    kind: Kind
    chars: int
    signs: int
    """Quotes, backslashes and ends of lines: what JSON puts another sign in front of."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request as it is sent, in the provider's order: tools, system prompt, messages."""

    blocks: tuple[PromptBlock, ...]
    """For whoever plans its markers."""
    parts: tuple[PromptPart, ...]
    """The same, with their sizes."""

    traits: tuple[Traits, ...]
    """What is known of each besides."""


_Known: TypeAlias = tuple[PromptBlock, PromptPart, Traits]


class Prompts:
    """Reads requests.

    Args:
        counter: Of tokens.
    """

    def __init__(self, counter: TokenCounter | None = None) -> None:
        self._counter = counter or TokenCounter()
        self._known: OrderedDict[tuple[str, str, int], _Known] = OrderedDict()
        self._empty: dict[tuple[str, str], int] = {}

    def read(self, request: RequestFacts, *, model: str, provider: str) -> Prompt:
        """A request for a model."""
        pairs = [self._pair(each, model, provider) for each in _in_order(request)]
        if pairs:
            once = self._once(model, provider)
            block, first, traits = pairs[0]
            pairs[0] = block, PromptPart(first.key, first.tokens + once, first.positions), traits
        return Prompt(
            tuple(block for block, _, _ in pairs),
            tuple(part for _, part, _ in pairs),
            tuple(traits for _, _, traits in pairs),
        )

    def tokens(self, request: RequestFacts, *, model: str, provider: str) -> int:
        """Of a whole request."""
        read = self.read(request, model=model, provider=provider)
        return sum(part.tokens for part in read.parts)

    def _once(self, model: str, provider: str) -> int:
        """What every request has once, in front of its first block."""
        key = (model, provider)
        if key not in self._empty:
            self._empty[key] = self._request(RequestFacts(), model, provider)
        return self._empty[key]

    def _pair(self, piece: ToolFacts | MessageFacts, model: str, provider: str) -> _Known:
        key = (model, provider, hash(piece))
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
            return found
        alone = (
            RequestFacts(tools=(piece,))
            if isinstance(piece, ToolFacts)
            else RequestFacts(messages=(piece,))
        )
        tokens = max(0, self._request(alone, model, provider) - self._once(model, provider))
        block = _block(piece)
        found = block, PromptPart(key[2], tokens, _positions(piece)), _traits(piece, block.text)
        self._known[key] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _request(self, request: RequestFacts, model: str, provider: str) -> int:
        counted = self._counter.count_request(request, model=model, provider=provider or None)
        return counted.tokens


def _in_order(request: RequestFacts) -> Iterator[ToolFacts | MessageFacts]:
    yield from request.tools
    yield from (each for each in request.messages if each.role == "system")
    yield from (each for each in request.messages if each.role != "system")


def _block(piece: ToolFacts | MessageFacts) -> PromptBlock:
    if isinstance(piece, ToolFacts):
        return PromptBlock(
            kind="tools",
            text=f"{piece.name}\n{piece.description}\n{piece.parameters}",
            name=piece.name,
        )
    run: Literal["", "calls", "results"] = (
        "calls" if piece.tool_calls else "results" if piece.role == "tool" else ""
    )
    said: Iterable[str] = (f"{c.id} {c.name} {c.arguments}" for c in piece.tool_calls)
    return PromptBlock(
        kind="system" if piece.role == "system" else "message",
        text="\n".join((piece.role, piece.text, piece.tool_call_id, *said)),
        segment=piece.name == SEGMENT,
        run=run,
    )


def _traits(piece: ToolFacts | MessageFacts, text: str) -> Traits:
    kind: Kind = "tools" if isinstance(piece, ToolFacts) else piece.role
    return Traits(kind, len(text), sum(map(text.count, _SIGNS)))


def _positions(piece: ToolFacts | MessageFacts) -> int:
    if isinstance(piece, ToolFacts):
        return 1
    return max(1, bool(piece.text) + bool(piece.tool_calls))
