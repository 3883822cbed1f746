"""`FaithfulSummarizer`: for LangChain's own `SummarizationMiddleware`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from frugal_chains.dispatch.memory import summarized
from frugal_chains.errors import MemoryPlanError
from frugal_chains.tokens import TokenCounter
from langchain_frugal._long import is_long
from langchain_frugal._who import who
from langchain_frugal.memory._asking import aasking, adriven, asking, driven
from langchain_frugal.memory._messages import facts_at
from langchain_frugal.memory._models import Model

NOTHING = "(nothing to note)"


class FaithfulSummarizer(Runnable[Any, str]):
    """Summarises everything it is given, and never with an error text.

        SummarizationMiddleware(
            model, trigger=("tokens", 20_000), trim_tokens_to_summarize=None,
            summarizer=FaithfulSummarizer(small_model),
        )

    Without `trim_tokens_to_summarize=None` the middleware hands over the last 4,000 tokens alone.
    Long histories are summarised in parts. Where the model fails, refuses or answers with something
    else, sentences of the messages are picked.

    Args:
        model: Who is asked; None: sentences are picked, no model is asked.
        summary_tokens: Of the summary, at most.
        counter: The token counter.

    Raises:
        MemoryPlanError: a summary of less than 32 tokens.
    """

    def __init__(
        self,
        model: Model | None = None,
        *,
        summary_tokens: int = 800,
        counter: TokenCounter | None = None,
    ) -> None:
        if summary_tokens < 32:
            raise MemoryPlanError(f"summary_tokens is {summary_tokens}: give 32 or more")
        self._model, self._tokens = model, summary_tokens
        name, provider = who(model) if model is not None else ("", "")
        counts = counter or TokenCounter()
        self._count = counts.text_counter(model=name, provider=provider or None)

    def invoke(
        self, input: Sequence[BaseMessage], config: RunnableConfig | None = None, **kwargs: Any
    ) -> str:
        return self._call_with_config(self._summary, input, config, **kwargs)

    async def ainvoke(
        self, input: Sequence[BaseMessage], config: RunnableConfig | None = None, **kwargs: Any
    ) -> str:
        return await self._acall_with_config(self._asummary, input, config, **kwargs)

    # -- parts -----------------------------------------------------------------------------------

    def _summary(
        self, messages: Sequence[BaseMessage], run_manager: object, config: RunnableConfig
    ) -> str:
        ask = asking(self._model, messages, config)
        return str(driven(self._flow(messages), ask)) or NOTHING

    async def _asummary(
        self, messages: Sequence[BaseMessage], run_manager: object, config: RunnableConfig
    ) -> str:
        ask = aasking(self._model, messages, config)
        return str(await adriven(self._flow(messages), ask, long=is_long(messages))) or NOTHING

    def _flow(self, messages: Sequence[BaseMessage]) -> Any:
        facts = [facts_at(messages, at) for at in range(len(messages))]
        return summarized(
            facts, budget_tokens=self._tokens, count=self._count, ask=self._model is not None
        )
