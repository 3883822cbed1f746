"""`compressed_tool`: a tool whose output is compressed once, when it enters the conversation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.tools.types import AsyncBaseTool

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.payload import Payload
from frugal_chains.compression.shape import LOSSLESS_FORMS
from frugal_chains.dispatch import PayloadCompressor
from frugal_chains.errors import CompressionError
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal.compression._around import Around, around
from llama_index_frugal.compression._originals import FETCH, fetch_original_tool, kept_in
