"""`SystemPromptCompressor`: between a prompt and its model, fewer tokens of instructions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import Runnable, RunnableConfig

from frugal_chains.compression.prompt import DiffView
from frugal_chains.dispatch import Asked, PromptPolicy, ShortPrompt, SystemPrompts
from frugal_chains.errors import CompressionError
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import Around, around
from langchain_frugal._content import is_marked, texts_of, with_texts

Prompt = PromptValue | str | Sequence[Any]
"""What chat models take: a prompt value, messages (or what becomes some), or a text."""
_LONG_CHARS: Final = 2_000
"""From here on the work may take tens of milliseconds, once: not those of an event loop."""


class SystemPromptCompressor(Runnable[Any, Any]):
    """Shortens system prompts: `prompt | SystemPromptCompressor(policy) | model`.

        policy = PromptPolicy(
            optional=("Baggage", "Refunds"),
            prefix=PrefixFacts(ahead=Ahead(prefix_tokens=0, most_calls=1)),  # it asks once
        )
        chain = prompt | SystemPromptCompressor(policy, model="gpt-4.1-mini") | model

    Sections that the person asks nothing about are left out, and wordy instructions say the same in
    fewer words. What forbids, obliges, keeps people safe or fixes a format stays, unless its author
    calls the section `optional`. Of what goes in, the same kind comes out; only system messages at
    the beginning are changed, and of these nothing up to the last cache marker.

    The sections are chosen for the first human message. In later requests of the conversation they
    are the same, byte for byte; where a later message asks for others, these join at the end. Where
    that may cost more than it saves, net of the provider's prompt cache, everything stays as it is;
    say what is known of the conversations in `PromptPolicy.prefix`, or nothing may be left out at
    all. A history that loses its first messages is another conversation, and few-shot examples in
    human messages are read as what the person asks.

    A call is left alone with `enabled=False`, `invoke(prompt, compress=False)`, or
    `{"compress": False}` under `configurable` or `metadata` of its config; each part has a switch
    in the policy. `diff(prompt)` shows what is done to a prompt.

    Args:
        policy: What may be done; None: the defaults.
        model: Whose tokenizer counts and whose prices decide; empty: tokens are estimated, a little
            too high, and prices are taken for the worst.
        provider: Of the model, where its name alone does not tell.
        enabled: False: prompts pass as they are.
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

    def invoke(self, input: Prompt, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._call_with_config(self._compressed, input, config, **kwargs)

    async def ainvoke(
        self, input: Prompt, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return await self._acall_with_config(self._acompressed, input, config, **kwargs)

    def explain(self, prompt: Prompt) -> list[ShortPrompt]:
        """What would be done to each text of the system prompt, and why. Nothing is written."""
        read = Read.of(_messages(prompt), self._prompts)
        return self._prompts.preview(read.texts, read.asked)

    def diff(self, prompt: Prompt, view: DiffView = "lines") -> str:
        """What would change in the system prompt; empty where nothing would."""
        return "\n".join(filter(None, (each.diff(view) for each in self.explain(prompt))))

    def shortened(self, messages: Sequence[BaseMessage], call: Around) -> list[BaseMessage]:
        """The messages with a shorter system prompt: what `invoke` does, for a known call."""
        read = Read.of(messages, self._prompts)
        found = self._prompts.shorten(
            read.texts, read.asked, operation_id=call.operation_id, trackers=call.trackers
        )
        return read.written(messages, [each.text for each in found])

    async def ashortened(self, messages: Sequence[BaseMessage], call: Around) -> list[BaseMessage]:
        """As `shortened`."""
        if sum(len(text) for message in messages for text in _system(message)) > _LONG_CHARS:
            return await asyncio.to_thread(self.shortened, messages, call)
        return self.shortened(messages, call)

    def wants(self, call: Around) -> bool:
        """Whether anything may be done in this call."""
        return self.enabled and call.wanted

    def __deepcopy__(self, memo: dict[int, Any]) -> SystemPromptCompressor:
        """A copied chain compresses with the same one: nothing about it changes."""
        return self

    # -- parts ---------------------------------------------------------------------------------

    def _compressed(
        self, prompt: Prompt, run_manager: object, config: RunnableConfig, compress: bool = True
    ) -> Any:
        call = around(config)
        if not (compress and self.wants(call)):
            return prompt
        messages = _messages(prompt)
        return _like(prompt, messages, self.shortened(messages, call))

    async def _acompressed(
        self, prompt: Prompt, run_manager: object, config: RunnableConfig, compress: bool = True
    ) -> Any:
        call = around(config)
        if not (compress and self.wants(call)):
            return prompt
        messages = _messages(prompt)
        return _like(prompt, messages, await self.ashortened(messages, call))


class Read(NamedTuple):
    """The system prompt of a request, and what is known of the request."""

    at: tuple[int, ...]
    """Places of the messages it stands in."""
    texts: tuple[str, ...]
    """Of their blocks, in order."""
    asked: Asked

    @classmethod
    def of(cls, messages: Sequence[BaseMessage], prompts: SystemPrompts) -> Read:
        frozen = max((at for at, message in enumerate(messages) if is_marked(message)), default=-1)
        at = tuple(n for n in _first_ones(messages) if n > frozen)
        questions = tuple(_text(m) for m in messages if isinstance(m, HumanMessage))

        def behind_tokens() -> int:
            # All but the newest message: it is new to the cache whatever stands in front of it.
            said = [_text(m) for m in messages[:-1] if not isinstance(m, SystemMessage)]
            return prompts.count("\n".join(said))

        asked = Asked(
            questions=questions,
            answered=not (messages and isinstance(messages[-1], HumanMessage)),
            behind_tokens=behind_tokens,
        )
        texts = tuple(text for n in at for text in texts_of(cast(Any, messages[n].content)))
        return cls(at, texts, asked)

    def written(self, messages: Sequence[BaseMessage], texts: Sequence[str]) -> list[BaseMessage]:
        """The messages with other texts; those that stay the same are the same objects."""
        new, left = [*messages], iter(texts)
        for n in self.at:
            content = cast(Any, messages[n].content)
            old = texts_of(content)
            own = [next(left) for _ in old]
            if own != old:
                new[n] = messages[n].model_copy(update={"content": with_texts(content, own)})
        return new


def _first_ones(messages: Sequence[BaseMessage]) -> Iterator[int]:
    for n, message in enumerate(messages):
        if not isinstance(message, SystemMessage):
            return
        yield n


def _system(message: BaseMessage) -> list[str]:
    return texts_of(cast(Any, message.content)) if isinstance(message, SystemMessage) else []


def _text(message: BaseMessage) -> str:
    return "\n".join(texts_of(cast(Any, message.content)))


def _messages(prompt: Prompt) -> list[BaseMessage]:
    if isinstance(prompt, ChatPromptValue):
        return prompt.to_messages()
    if isinstance(prompt, str | PromptValue):  # what a person says
        return []
    if isinstance(prompt, Sequence):
        return convert_to_messages(cast(Any, prompt))
    raise CompressionError(
        f"a {type(prompt).__name__} is no prompt; give a prompt value, a list of messages or a text"
    )


def _like(prompt: Prompt, old: Sequence[BaseMessage], new: Sequence[BaseMessage]) -> Any:
    """The same kind as the prompt; the prompt itself where nothing has changed."""
    if all(one is other for one, other in zip(old, new, strict=True)):
        return prompt
    if isinstance(prompt, ChatPromptValue):
        return prompt.model_copy(update={"messages": [*new]})
    return [*new]
