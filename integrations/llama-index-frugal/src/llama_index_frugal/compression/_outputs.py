"""What tools return, compressed once: the work behind `compressed_tool`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.tools import ToolMetadata, ToolOutput

from frugal_chains.compression.payload import argument_words
from frugal_chains.dispatch import PayloadCompressor, Prefix
from llama_index_frugal._around import Around

Arguments = Sequence[tuple[str, Any]]
"""Of a call, with their names; the name of a positional one is empty."""


class Outputs:
    """Compresses the outputs of tools. Safe for threads, and shared by copies of a tool.

    Args:
        compressor: What does it.
        prefix: What stands in front of the outputs, or what tells it.
    """

    def __init__(self, compressor: PayloadCompressor, prefix: Prefix | None) -> None:
        self._compressor, self._prefix = compressor, prefix

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
            prefix=self._prefix,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return _written(output, found.text)

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
            prefix=self._prefix,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return _written(output, found.text)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self


def _written(output: ToolOutput, text: str) -> ToolOutput:
    if text == output.content:
        return output
    first = next(n for n, block in enumerate(output.blocks) if isinstance(block, TextBlock))
    blocks = [
        block.model_copy(update={"text": text}) if n == first else block
        for n, block in enumerate(output.blocks)
        if n == first or not isinstance(block, TextBlock)
    ]
    return output.model_copy(update={"blocks": blocks})


def _may_change(metadata: ToolMetadata, output: Any, call: Around) -> bool:
    return (
        call.wanted
        and isinstance(output, ToolOutput)
        and not output.is_error
        and not metadata.return_direct  # for a person, not for a model
        and bool(output.content)
    )


def _query(metadata: ToolMetadata, arguments: Arguments) -> str:
    """The tool, and what it was asked."""
    return f"{metadata.name or ''}\n{argument_words(arguments)}"
