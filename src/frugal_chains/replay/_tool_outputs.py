"""Tools' outputs, compressed as they would have been when they entered the conversation."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from frugal_chains.compression.payload import argument_words
from frugal_chains.dispatch import PayloadCompressor
from frugal_chains.facts import MessageFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.replay._setup import Compression
from frugal_chains.tokens import TokenCounter

_REMEMBERED: Final = 20_000
"""Outputs that are not compressed again: a request repeats all that came before."""


class ToolOutputs:
    """Of one setup.

    Args:
        compression: How it is set.
        counter: Of tokens.
        prices: Of models.
    """

    def __init__(
        self, compression: Compression, *, counter: TokenCounter, prices: PriceBook
    ) -> None:
        self._budget_tokens = compression.budget_tokens
        self._counter, self._prices = counter, prices
        self._compressors: dict[tuple[str, str], PayloadCompressor] = {}
        self._known: OrderedDict[tuple[str, str, int], str] = OrderedDict()

    def compressed(
        self, messages: Sequence[MessageFacts], *, model: str, provider: str
    ) -> tuple[MessageFacts, ...]:
        """The messages with the outputs as the model would have seen them."""
        question, calls = "", dict[str, str]()
        found = []
        for message in messages:
            if message.role == "user":
                question = message.text
            for call in message.tool_calls:
                calls[call.id] = f"{call.name}\n{_words(call.arguments)}"
            if message.role == "tool" and message.text:
                query = f"{question}\n{calls.get(message.tool_call_id, message.name)}"
                message = replace(message, text=self._text(query, message.text, model, provider))
            found.append(message)
        return tuple(found)

    def _text(self, query: str, text: str, model: str, provider: str) -> str:
        key = (model, provider, hash((query, text)))
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        made = self._compressor(model, provider).compress(query, text).text
        self._known[key] = made
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return made

    def _compressor(self, model: str, provider: str) -> PayloadCompressor:
        key = (model, provider)
        if key not in self._compressors:
            self._compressors[key] = PayloadCompressor(
                self._budget_tokens,
                model=model,
                provider=provider,
                counter=self._counter,
                prices=self._prices,
            )
        return self._compressors[key]


def _words(arguments: str) -> str:
    """As the adapters' queries have them."""
    try:
        return argument_words(json.loads(arguments or "{}").items())
    except (ValueError, AttributeError):
        return arguments
