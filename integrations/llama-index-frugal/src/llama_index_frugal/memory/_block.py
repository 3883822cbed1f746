"""`SummaryMemoryBlock`: summaries of what LlamaIndex's own `Memory` lets go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemoryBlock
from pydantic import Field

from frugal_chains.dispatch.memory import SummaryRequest, summarized
from frugal_chains.memory import merge_summaries, parse_summary
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._about import is_large, who_answers
from llama_index_frugal._request import message_facts
from llama_index_frugal.memory._asking import Asks, Steps, adriven, driven

HEADING: Final = "[Summary of earlier messages]\n"


class SummaryMemoryBlock(BaseMemoryBlock[str]):
    """Keeps summaries of what a `Memory` flushes.

        memory = Memory.from_defaults(
            token_limit=10_000,
            memory_blocks=[SummaryMemoryBlock(llm=small_llm)],
            insert_method=InsertMethod.USER,
        )

    Give `InsertMethod.USER`: by default a `Memory` puts blocks in front of the system prompt, and
    each new summary makes the provider's cache lose everything. A summary is made once for what is
    flushed together and stays as it is, until all of them are over `segments_tokens`: then they are
    merged by code. If the LLM fails, or answers with no summary, sentences are picked: a `Memory`
    never hands over its messages a second time.

    `SummarizingMemory` does without a `Memory` around it, and decides by prices when to compact.

    Attributes:
        llm: Who writes summaries; None: sentences are picked.
        summary_tokens: Of one summary, at most.
        segments_tokens: Of all.
        segments: The summaries, oldest first; plain texts, to be kept and given to another block.
        model: Whose tokens are counted; empty: those of `llm`.
    """

    name: str = "summary"
    description: str | None = "Summaries of earlier messages."
    llm: LLM | None = Field(default=None, exclude=True, repr=False)
    summary_tokens: int = Field(default=100, gt=15)
    segments_tokens: int = Field(default=800, gt=31)
    segments: list[str] = Field(default_factory=list)
    model: str = ""

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        return HEADING + "\n".join(self.segments) if self.segments else ""

    async def _aput(self, messages: list[ChatMessage]) -> None:
        said = [message_facts(m) for m in messages if m.role != MessageRole.SYSTEM]
        if not said:
            return
        count = self._count()

        def steps(*, ask: bool) -> Steps[str]:
            return summarized(said, budget_tokens=self.summary_tokens, count=count, ask=ask)

        try:
            asks = self.llm is not None
            made = await adriven(steps(ask=asks), self._put, large=is_large(messages))
        except BaseException:  # cancelled: nobody hands these messages over again
            self._add(driven(steps(ask=False), self._put), count)
            raise
        self._add(made, count)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The newest summaries that fit, if this block may be cut (its `priority` is not 0)."""
        count = self._count()
        room = count(content) - tokens_to_truncate
        kept = [*self.segments]
        while kept and count(HEADING + "\n".join(kept)) > room:
            kept.pop(0)
        return HEADING + "\n".join(kept) if kept else None

    def _count(self) -> Callable[[str], int]:
        named, provider = ("", "") if self.model or self.llm is None else who_answers(self.llm)
        return TokenCounter().text_counter(model=self.model or named, provider=provider or None)

    def _put(self, request: SummaryRequest) -> Any:
        assert self.llm is not None, "sentences are picked without asking"
        return Asks(self.llm).put("a", ())(request)

    def _add(self, text: str, count: Callable[[str], int]) -> None:
        if not text:
            return
        segments = [*self.segments, text]
        if sum(map(count, segments)) > self.segments_tokens:
            parts = [parse_summary(segment) for segment in segments]
            half = self.segments_tokens // 2
            segments = [merge_summaries(parts, budget_tokens=half, count=count).text()]
        self.segments = segments
