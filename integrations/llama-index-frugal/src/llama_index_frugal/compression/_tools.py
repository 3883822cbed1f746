"""`compressed_tool`: a tool whose output is compressed once, when it enters the conversation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.tools.types import AsyncBaseTool

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.shape import LOSSLESS_FORMS, checked_lossless
from frugal_chains.dispatch import PayloadCompressor, Prefix
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._around import around
from llama_index_frugal.compression._originals import FETCH, fetch_original_tool
from llama_index_frugal.compression._outputs import Outputs

Tool = BaseTool | Callable[..., Any]
"""What agents take for a tool."""


def compressed_tool(
    tool: Tool,
    budget_tokens: int | ContextBudget | None,
    *,
    model: str = "",
    provider: str = "",
    forms: Collection[str] = LOSSLESS_FORMS,
    patterns: Sequence[re.Pattern[str]] = (),
    archive: Archive | None = None,
    marked: bool = False,
    prefix: Prefix | None = None,
    enabled: bool = True,
    counter: TokenCounter | None = None,
    prices: PriceBook | None = None,
) -> BaseTool:
    """The same tool, whose output is compressed before a conversation takes it in.

        agent = FunctionAgent(tools=[compressed_tool(search, 1500, model="gpt-4.1-mini")], ...)

    An output is brought to its shortest lossless form, and if that is still over the budget, to the
    fields, records and sentences that the tool's name and the call's arguments ask for. What enters
    the conversation then stays as it is, byte for byte, and so does a provider's prompt cache of
    it. Name, metadata and schema of the tool are its own; `raw_output`, errors, blocks that are no
    text, and outputs of a tool with `return_direct` are not touched; several blocks of text become
    one. Inside a block of `instrument_tags({"compress": False})` outputs pass as they are.

    Args:
        tool: A tool, or a function that is made one.
        budget_tokens: Of the text of one output; or how that depends on who will answer: the tag
            `route` names the tier. None: only lossless forms.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        forms: Lossless forms to choose among; none: outputs keep theirs.
        patterns: Of the application: what they match is never cut.
        archive: Where the originals of shortened outputs are put.
        marked: A shortened output ends with a line that names the handle of its original, and that
            is part of the budget. For an agent that has `fetch_original_tool(archive)`, as
            `compressed_tools` gives it.
        prefix: What surely stands in front of the tool's outputs (LlamaIndex does not show a tool
            the conversation), such as system prompt and tools, or a function that says it at each
            call. Where compressing an output to its budget may cost more than it saves, net of the
            provider's prompt cache, it is compressed less, or left as it was. None: every output is
            brought to its budget.
        enabled: False: the tool comes back as it is.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.

    Raises:
        CompressionError: a budget below 1 token, or below 64 with a mark; or a form that is unknown
            or loses something.
    """
    compressor = PayloadCompressor(
        budget_tokens,
        model=model,
        provider=provider,
        forms=checked_lossless(forms),
        patterns=patterns,
        archive=archive,
        marked=marked,
        counter=counter,
        prices=prices,
    )
    return _wrapped(_own(tool), Outputs(compressor, prefix)) if enabled else _own(tool)


def compressed_tools(
    tools: Iterable[Tool],
    budget_tokens: int | ContextBudget | None,
    *,
    exclude: Collection[str] = (),
    archive: Archive | None = None,
    **options: Any,
) -> list[BaseTool]:
    """All tools of an agent, each as `compressed_tool` makes it.

    Args:
        tools: Tools, or functions that are made tools.
        budget_tokens: Of the text of one output.
        exclude: Names of tools whose outputs are needed to the letter.
        archive: Where the originals of shortened outputs are put. The tool `fetch_original(handle)`
            is added, and a shortened output ends with a line that names its handle.
        options: Of `compressed_tool`.
    """
    options = {"archive": archive, "marked": archive is not None, **options}
    kept = {FETCH, *exclude}
    found = [
        own if own.metadata.name in kept else compressed_tool(own, budget_tokens, **options)
        for own in map(_own, tools)
    ]
    if archive is not None and all(tool.metadata.name != FETCH for tool in found):
        found.append(fetch_original_tool(archive))
    return found


class CompressedTool(AsyncBaseTool):
    """A tool of any kind, and what compresses its outputs."""

    def __init__(self, tool: BaseTool, outputs: Outputs) -> None:
        self._tool, self._outputs = tool, outputs

    @property
    def metadata(self) -> ToolMetadata:
        return self._tool.metadata

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        output = self._tool(*args, **kwargs)
        return self._outputs.fit(self.metadata, _arguments(args, kwargs), output, around())

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        if isinstance(self._tool, AsyncBaseTool):
            output = await self._tool.acall(*args, **kwargs)
        else:
            output = await asyncio.to_thread(self._tool, *args, **kwargs)
        return await self._outputs.afit(self.metadata, _arguments(args, kwargs), output, around())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not of the tool: also while a copy has nothing yet
            raise AttributeError(name)
        return getattr(self._tool, name)


class CompressedFunctionTool(FunctionTool):
    """The same for a `FunctionTool`: agents look at its function, and hand their context to it."""

    def __init__(self, tool: FunctionTool, outputs: Outputs) -> None:
        vars(self).update(vars(tool))
        self._tool, self._outputs = tool, outputs

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        output = self._tool.call(*args, **kwargs)
        return self._outputs.fit(self.metadata, _arguments(args, kwargs), output, around())

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        output = await self._tool.acall(*args, **kwargs)
        return await self._outputs.afit(self.metadata, _arguments(args, kwargs), output, around())


def _wrapped(tool: BaseTool, outputs: Outputs) -> BaseTool:
    if isinstance(tool, FunctionTool):
        return CompressedFunctionTool(tool, outputs)
    return CompressedTool(tool, outputs)


def _own(tool: Tool) -> BaseTool:
    """The tool itself, without a compression from before: outputs are compressed once."""
    if isinstance(tool, CompressedTool | CompressedFunctionTool):
        return tool._tool
    return tool if isinstance(tool, BaseTool) else FunctionTool.from_defaults(tool)


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [*(("", value) for value in args), *kwargs.items()]
