"""`SystemPromptCompressor`: the same messages, with fewer tokens of instructions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Self, TypeVar

from llama_index.core.base.llms.types import CachePoint, ChatMessage, MessageRole, TextBlock
from llama_index.core.llms import LLM

from frugal_chains.compression.prompt import DiffView
from frugal_chains.dispatch import Asked, PromptPolicy, ShortPrompt, SystemPrompts
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._around import around
from llama_index_frugal.compression._short_llm import short_llm

L = TypeVar("L", bound=LLM)

_SYSTEM: Final = frozenset({MessageRole.SYSTEM, MessageRole.DEVELOPER})
_MARKERS: Final = ("cache_control", "cachePoint")
"""Of a message or a block: what stands before one is in the provider's cache, by its bytes."""
_LONG_CHARS: Final = 2_000
"""From here on the work may take tens of milliseconds, once: not those of an event loop."""


class SystemPromptCompressor:
    """Shortens system prompts: a function of messages.

        policy = PromptPolicy(
            optional=("Baggage", "Refunds"),
            prefix=PrefixFacts(ahead=Ahead(prefix_tokens=900, calls=20, growth_tokens=300)),
        )
        compressor = SystemPromptCompressor(policy, model="gpt-4.1-mini")
        response = llm.chat(compressor(messages))

    Agents, chat engines and whatever else makes its messages itself get an LLM that does it:

        agent = FunctionAgent(llm=compressor.llm(llm), system_prompt=INSTRUCTIONS, tools=tools)

    Sections that the person asks nothing about are left out, and wordy instructions say the same in
    fewer words. What forbids, obliges, keeps people safe or fixes a format stays, unless its author
    calls the section `optional`. Only system messages at the beginning are changed, and of these
    nothing up to the last cache marker.

    The sections are chosen for the first message of the user. In later requests of the conversation
    they are the same, byte for byte; where a later message asks for others, these join at the end.
    Where that may cost more than it saves, net of the provider's prompt cache, everything stays as
    it is; say what is known of the conversations in `PromptPolicy.prefix`, or nothing may be left
    out at all. A history that loses its first messages is another conversation.

    A chat engine that writes the documents it has found into the system prompt should have a policy
    with `rewrite=False`, and documents without headings: they are no instructions.

    Inside a block of `instrument_tags({"compress": False})` messages pass as they are, and so they
    do with `enabled=False`; each part has a switch in the policy. `diff(messages)` shows what is
    done.

    Args:
        policy: What may be done; None: the defaults.
        model: Whose tokenizer counts and whose prices decide; empty: tokens are estimated, a little
            too high, and prices are taken for the worst.
        provider: Of the model, where its name alone does not tell.
        enabled: False: messages pass as they are.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        policy: PromptPolicy | None = None,
        *,
        model: str = "",
        provider: str = "",
        enabled: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self.enabled = enabled
        self._prompts = SystemPrompts(
            policy, model=model, provider=provider, counter=counter, prices=prices
        )

    def __call__(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """The messages with a shorter system prompt; what stays the same is the same object."""
        call = around()
        if not (self.enabled and call.wanted):
            return [*messages]
        read = _Read.of(messages, self._prompts)
        found = self._prompts.shorten(
            read.texts, read.asked, operation_id=call.operation_id, trackers=call.trackers
        )
        return read.written(messages, [each.text for each in found])

    async def acompress(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """As a call."""
        if sum(len(text) for n in _first_ones(messages) for text in _texts(messages[n])) > (
            _LONG_CHARS
        ):
            return await asyncio.to_thread(self, messages)
        return self(messages)

    def llm(self, llm: L) -> L:
        """A copy of an LLM that shortens the system prompt of every chat it is asked for.

        Not of a `complete`, which has no system prompt but a text. The LLM itself is not changed.
        """
        return short_llm(llm, self)

    def explain(self, messages: Sequence[ChatMessage]) -> list[ShortPrompt]:
        """What would be done to each text of the system prompt, and why. Nothing is written."""
        read = _Read.of(messages, self._prompts)
        return self._prompts.preview(read.texts, read.asked)

    def diff(self, messages: Sequence[ChatMessage], view: DiffView = "lines") -> str:
        """What would change in the system prompt; empty where nothing would."""
        return "\n".join(filter(None, (each.diff(view) for each in self.explain(messages))))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self


class _Read(NamedTuple):
    """The system prompt of a request, and what is known of the request."""

    at: tuple[int, ...]
    """Places of the messages it stands in."""
    texts: tuple[str, ...]
    """Of their blocks, in order."""
    asked: Asked

    @classmethod
    def of(cls, messages: Sequence[ChatMessage], prompts: SystemPrompts) -> _Read:
        frozen = max((n for n, message in enumerate(messages) if _is_marked(message)), default=-1)
        at = tuple(n for n in _first_ones(messages) if n > frozen)

        def behind_tokens() -> int:
            # All but the newest message: it is new to the cache whatever stands in front of it.
            said = [_text(m) for m in messages[:-1] if m.role not in _SYSTEM]
            return prompts.count("\n".join(said))

        asked = Asked(
            questions=tuple(_text(m) for m in messages if m.role == MessageRole.USER),
            answered=not (messages and messages[-1].role == MessageRole.USER),
            behind_tokens=behind_tokens,
        )
        return cls(at, tuple(text for n in at for text in _texts(messages[n])), asked)

    def written(self, messages: Sequence[ChatMessage], texts: Sequence[str]) -> list[ChatMessage]:
        """The messages with other texts."""
        new, left = [*messages], iter(texts)
        for n in self.at:
            own = [next(left) for _ in _texts(messages[n])]
            if own != _texts(messages[n]):
                new[n] = _with_texts(messages[n], own)
        return new


def _first_ones(messages: Sequence[ChatMessage]) -> Iterator[int]:
    for n, message in enumerate(messages):
        if message.role not in _SYSTEM:
            return
        yield n


def _texts(message: ChatMessage) -> list[str]:
    return [block.text for block in message.blocks if isinstance(block, TextBlock)]


def _text(message: ChatMessage) -> str:
    return "\n".join(_texts(message))


def _with_texts(message: ChatMessage, texts: Sequence[str]) -> ChatMessage:
    left = iter(texts)
    blocks = [
        block.model_copy(update={"text": next(left)}) if isinstance(block, TextBlock) else block
        for block in message.blocks
    ]
    return message.model_copy(update={"blocks": blocks})


def _is_marked(message: ChatMessage) -> bool:
    return any(name in message.additional_kwargs for name in _MARKERS) or any(
        isinstance(block, CachePoint) for block in message.blocks
    )
