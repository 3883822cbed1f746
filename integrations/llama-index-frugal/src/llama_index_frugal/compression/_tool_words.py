"""Tools as a model is shown them: with other words than their own, and `find_tool`."""

from __future__ import annotations

import asyncio
import copy
import json
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.tools.types import AsyncBaseTool
from pydantic import BaseModel

from frugal_chains.dispatch import ToolChoice, ToolChooser
from frugal_chains.facts import ToolFacts


@dataclass
class WordedMetadata(ToolMetadata):
    """Metadata whose schema is written out."""

    parameters: dict[str, Any] = field(default_factory=dict)

    def get_parameters_dict(self) -> dict[str, Any]:
        return copy.deepcopy(self.parameters)  # LLM classes write into what they are given


class WordedTool(AsyncBaseTool):
    """A tool of any kind behind other metadata."""

    def __init__(self, tool: BaseTool, metadata: ToolMetadata) -> None:
        self._tool, self._metadata = tool, metadata

    @property
    def metadata(self) -> ToolMetadata:
        return self._metadata

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        return self._tool(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        if isinstance(self._tool, AsyncBaseTool):
            return await self._tool.acall(*args, **kwargs)
        return await asyncio.to_thread(self._tool, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not of the tool: also while a copy has nothing yet
            raise AttributeError(name)
        return getattr(self._tool, name)


class Task(BaseModel):
    """Arguments of `find_tool`."""

    task: str


def worded(tool: BaseTool, text: ToolFacts) -> BaseTool:
    """A copy of a tool that is described in these words, and works as the tool does.

    The tool itself comes back where its metadata are of a class of their own: they may tell a
    model more than a name, a description and a schema.
    """
    own = tool.metadata
    if type(own) is not ToolMetadata:
        return tool
    metadata = WordedMetadata(
        description=text.description,
        name=own.name,
        fn_schema=own.fn_schema,
        return_direct=own.return_direct,
        parameters=json.loads(text.parameters),
    )
    if isinstance(tool, FunctionTool):  # as one: who calls it looks at its function
        same = copy.copy(tool)
        same._metadata = metadata
        if same.metadata is metadata:
            return same
    return WordedTool(tool, metadata)


def find_tool(text: ToolFacts, chooser: ToolChooser, choice: ToolChoice | None) -> FunctionTool:
    """The tool by which a model asks for others.

    Args:
        text: Its name, words and schema.
        chooser: Who looks for them.
        choice: Of the request that the model answers with a call of it, if that is known.
    """

    def find(task: str) -> str:
        return chooser.find(task, choice)

    async def afind(task: str) -> str:
        return await chooser.afind(task, choice)

    metadata = WordedMetadata(
        description=text.description,
        name=text.name,
        fn_schema=Task,
        parameters=json.loads(text.parameters),
    )
    return FunctionTool(fn=find, async_fn=afind, metadata=metadata)
