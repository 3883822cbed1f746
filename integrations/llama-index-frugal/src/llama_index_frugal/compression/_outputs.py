"""What tools return, compressed once: the work behind `compressed_tool`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.tools import ToolMetadata, ToolOutput

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.payload import Payload
from frugal_chains.dispatch import PayloadCompressor
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCounter
from llama_index_frugal.compression._around import Around
from llama_index_frugal.compression._originals import FETCH, kept_in

Arguments = Sequence[tuple[str, Any]]
"""Of a call, with their names; the name of a positional one is empty."""

_MARKER: Final = "\n[shortened; all of it: {fetch}({handle})]"
_HANDLE_CHARS: Final = 24
"""Of a handle, and so the most tokens that it has."""
_SEAM_TOKENS: Final = 2
"""Two texts joined may have a few more tokens than both."""
_LEAST_WITH_MARKER: Final = 64
"""Tokens: the marker has about 30, and something of the output should be left."""
_LOSING: Final = ("fields", "extract")
"""Steps of a payload after which something is gone."""
_ARGUMENT_CHARS: Final = 2_000
"""Of a tool call: more is a file that is written, not what is looked for."""


class Outputs:
    """Compresses the outputs of tools. Safe for threads, and shared by copies of a tool.

    Args:
        compressor: What does it.
        archive: Where originals are put, or None.
        marked: Whether a shortened output ends with a line that names its original's handle.
    """

    def __init__(
        self, compressor: PayloadCompressor, archive: Archive | None, *, marked: bool
    ) -> None:
        self._compressor, self._archive, self._marked = compressor, archive, marked

    def fit(
        self,
        metadata: ToolMetadata,
        arguments: Arguments,
        output: ToolOutput,
        call: Around,
    ) -> ToolOutput:
        """The output with its text within the budget; a new one, where that changes anything."""
        if not _may_change(metadata, output, call):
            return output
        found = self._compressor.compress(
            _query(metadata, arguments),
            output.content,
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return self._written(output, found)

    async def afit(
        self,
        metadata: ToolMetadata,
        arguments: Arguments,
        output: ToolOutput,
        call: Around,
    ) -> ToolOutput:
        """As `fit`."""
        if not _may_change(metadata, output, call):
            return output
        found = await self._compressor.acompress(
            _query(metadata, arguments),
            output.content,
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        if self._archive is not None:  # a file: not the loop's time
            return await asyncio.to_thread(self._written, output, found)
        return self._written(output, found)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def _written(self, output: ToolOutput, found: Payload) -> ToolOutput:
        text, original = found.text, output.content
        if text == original:
            return output
        if found.step in _LOSING and self._archive is not None:
            handle = kept_in(self._archive, original)
            if handle and self._marked:
                text += _MARKER.format(fetch=FETCH, handle=handle)
        first = next(n for n, block in enumerate(output.blocks) if isinstance(block, TextBlock))
        blocks = [
            block.model_copy(update={"text": text}) if n == first else block
            for n, block in enumerate(output.blocks)
            if n == first or not isinstance(block, TextBlock)
        ]
        return output.model_copy(update={"blocks": blocks})


def with_room_for_marker(
    budget: int | ContextBudget, counter: TokenCounter, *, model: str, provider: str
) -> ContextBudget:
    """What is left of a budget beside the line that names the original.

    Raises:
        CompressionError: that is hardly anything.
    """
    given = ContextBudget(tokens=budget) if isinstance(budget, int) else budget
    floor = (given.least_tokens,) if given.limit_usd is not None else ()
    least = min((given.tokens, *given.by_tier.values(), *floor))
    if least < _LEAST_WITH_MARKER:
        raise CompressionError(
            f"a budget of {least} tokens has no room for the line that names the original; give "
            f"{_LEAST_WITH_MARKER} or more, or no archive"
        )
    line = _MARKER.format(fetch=FETCH, handle="")
    room = counter.count_text(line, model=model, provider=provider or None).tokens
    room += _HANDLE_CHARS + _SEAM_TOKENS
    return replace(
        given,
        tokens=max(1, given.tokens - room),
        by_tier={tier: max(1, limit - room) for tier, limit in given.by_tier.items()},
        least_tokens=max(1, given.least_tokens - room),
    )


def _may_change(metadata: ToolMetadata, output: Any, call: Around) -> bool:
    return (
        call.wanted
        and isinstance(output, ToolOutput)
        and not output.is_error
        and not metadata.return_direct  # for a person, not for a model
        and bool(output.content)
    )


def _query(metadata: ToolMetadata, arguments: Arguments) -> str:
    """The tool, and what it was asked: names and values, without the quotes of JSON."""
    parts = [f"{name} {_plain(value)}".strip() for name, value in arguments]
    return "\n".join((metadata.name or "", "\n".join(parts)[:_ARGUMENT_CHARS]))


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value[:_ARGUMENT_CHARS]
    if not isinstance(value, Mapping | list | tuple | int | float | None):
        return ""  # an object of the application: what it prints is not what was asked
    try:
        found = json.dumps(value, ensure_ascii=False, default=lambda _: "")
    except (TypeError, ValueError, RecursionError):  # keys of other kinds, cyclic, too deep
        return ""
    return found.replace('"', "")[:_ARGUMENT_CHARS]
