"""`PromptCompressor`: between a prompt and its model, fewer tokens of context."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage, convert_to_messages
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import Runnable, RunnableConfig

from frugal_chains.compression.shape import LOSSLESS_FORMS, checked_lossless
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import report_effect
from langchain_frugal._around import Around, around
from langchain_frugal.compression._frozen import Frozen, Squeezed
from langchain_frugal.compression._messages import Piece, pieces_of, with_piece
from langchain_frugal.compression._parts import Parts, question_last
from langchain_frugal.compression._repeats import without_repeats

Prompt = PromptValue | str | Sequence[Any]
"""What chat models take: a prompt value, messages (or what becomes some), or a text."""
LEVER: Final = "compression.payload"
Selector = Callable[[BaseMessage], bool]
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


def carries_context(message: BaseMessage) -> bool:
    """Outputs of tools that went well, and what people say."""
    if isinstance(message, ToolMessage):
        return message.status != "error"
    return isinstance(message, HumanMessage)


class PromptCompressor(Runnable[Any, Any]):
    """Compresses the context in a prompt: `prompt | PromptCompressor(budget_tokens=800) | model`.

    Of what goes in, the same kind comes out. Outputs of tools and the context in human messages
    (all but the paragraphs that ask) are brought to a shorter lossless form, and if that is still
    over the budget, to the fields, records and sentences that the question needs. Ids, tool calls,
    system prompts, answers of the model and blocks that are no text stay as they are, and so does
    everything up to the last cache marker.

    An output of a tool that repeats an earlier one of the prompt, or a passage of it, becomes a
    reference to that: `[same as tool output 2]`.

    Each message is compressed by itself, and by what stands before it: in every later request of a
    conversation its bytes are the same, so that a provider's prompt cache goes on holding. For the
    same reason the budget is a plain number and there is no embedder: what depends on who answers
    today, or on a remote model's last digits, would not stay. Context that stands before the first
    human message (in a system prompt, by `select`) is compressed for that message.

    A call is left alone with `enabled=False`, `invoke(prompt, compress=False)`, or
    `{"compress": False}` under `configurable` or `metadata` of its config.

    Args:
        budget_tokens: Of the context in each message; the question beside it is not counted.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        select: Which messages are compressed, decided by each alone.
        split: Of the text of a human message, where its context stands and what is asked.
        forms: Lossless forms to choose among; none: texts keep theirs.
        patterns: Of the application: what they match is never cut.
        repeats: False: what repeats is sent again.
        enabled: False: prompts pass as they are.
        counter: The token counter.

    Raises:
        CompressionError: a budget below 1 token, or a form that is unknown or loses something.
    """

    def __init__(
        self,
        budget_tokens: int,
        *,
        model: str = "",
        provider: str = "",
        select: Selector = carries_context,
        split: Callable[[str], Parts] = question_last,
        forms: Collection[str] = LOSSLESS_FORMS,
        patterns: Sequence[re.Pattern[str]] = (),
        repeats: bool = True,
        enabled: bool = True,
        counter: TokenCounter | None = None,
    ) -> None:
        if budget_tokens < 1:
            raise CompressionError(f"budget_tokens is {budget_tokens}; give a budget of 1 or more")
        self.enabled = enabled
        self._select, self._split, self._repeats = select, split, repeats
        self._frozen = Frozen(
            budget_tokens,
            model=model,
            provider=provider,
            forms=checked_lossless(forms),
            patterns=patterns,
            counter=counter,
        )

    def invoke(self, input: Prompt, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._call_with_config(self._compressed, input, config, **kwargs)

    async def ainvoke(
        self, input: Prompt, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return await self._acall_with_config(self._acompressed, input, config, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> PromptCompressor:
        """A copied chain compresses with the same one: nothing about it changes."""
        return self

    # -- parts ---------------------------------------------------------------------------------

    def _compressed(
        self, prompt: Prompt, run_manager: object, config: RunnableConfig, compress: bool = True
    ) -> Any:
        call = around(config)
        if not (self.enabled and compress and call.wanted):
            return prompt
        messages = _messages(prompt)
        pieces = pieces_of(messages, self._select, self._split)
        found = [self._frozen.squeezed(piece.texts, piece.query) for piece in pieces]
        found = self._once(messages, pieces, found)
        return self._written(prompt, messages, pieces, found, call)

    async def _acompressed(
        self, prompt: Prompt, run_manager: object, config: RunnableConfig, compress: bool = True
    ) -> Any:
        call = around(config)
        if not (self.enabled and compress and call.wanted):
            return prompt
        messages = _messages(prompt)
        pieces = pieces_of(messages, self._select, self._split)
        found = []
        for piece in pieces:
            if sum(map(len, piece.texts)) > _LONG_CHARS:
                work = self._frozen.squeezed
                found.append(await asyncio.to_thread(work, piece.texts, piece.query))
            else:
                found.append(self._frozen.squeezed(piece.texts, piece.query))
        if sum(len(text) for each in found for text in each.texts) > _LONG_CHARS:
            found = await asyncio.to_thread(self._once, messages, pieces, found)
        else:
            found = self._once(messages, pieces, found)
        return self._written(prompt, messages, pieces, found, call)

    def _once(
        self, messages: Sequence[BaseMessage], pieces: Sequence[Piece], found: list[Squeezed]
    ) -> list[Squeezed]:
        if not self._repeats:
            return found
        return without_repeats(messages, pieces, found, self._frozen.count)

    def _written(
        self, prompt: Prompt, messages: Sequence[BaseMessage], pieces: Sequence[Piece],
        found: Sequence[Squeezed], call: Around,
    ) -> Any:  # fmt: skip
        self._report(found, call)
        new = [*messages]
        for piece, squeezed in zip(pieces, found, strict=True):
            if squeezed.texts != piece.texts:
                new[piece.at] = with_piece(messages[piece.at], piece, squeezed.texts)
        return _like(prompt, new)

    def _report(self, found: Sequence[Squeezed], call: Around) -> None:
        """One effect for the request, whatever the number of messages."""
        if not found:
            return
        report_effect(
            LEVER,
            tokens_before=sum(each.tokens_before for each in found),
            tokens_after=sum(each.tokens_after for each in found),
            exact=self._frozen.exact,
            model=self._frozen.model,
            provider=self._frozen.provider,
            detail={
                "messages": len(found),
                "changed": sum(each.tokens_before != each.tokens_after for each in found),
                "budget_tokens": self._frozen.budget_tokens,
            },
            operation_id=call.operation_id,
            trackers=call.trackers,
        )


def _messages(prompt: Prompt) -> list[BaseMessage]:
    if isinstance(prompt, str):
        return [HumanMessage(prompt)]
    if isinstance(prompt, StringPromptValue):
        return [HumanMessage(prompt.text)]
    if isinstance(prompt, PromptValue):
        return prompt.to_messages() if isinstance(prompt, ChatPromptValue) else []
    if isinstance(prompt, Sequence):
        return convert_to_messages(cast(Any, prompt))
    raise CompressionError(
        f"a {type(prompt).__name__} is no prompt; give a prompt value, a list of messages or a text"
    )


def _like(prompt: Prompt, messages: Sequence[BaseMessage]) -> Any:
    """The same kind as the prompt; the prompt itself where it would be the same."""
    if isinstance(prompt, str):
        return messages[0].content
    if isinstance(prompt, StringPromptValue):
        return prompt.model_copy(update={"text": messages[0].content})
    if isinstance(prompt, ChatPromptValue):
        return prompt.model_copy(update={"messages": [*messages]})
    return prompt if isinstance(prompt, PromptValue) else [*messages]
