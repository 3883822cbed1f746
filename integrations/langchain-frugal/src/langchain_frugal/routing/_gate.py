"""Answers and refusals at the gate, as calls of a model that is none: so they are in the books."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from frugal_chains.routing import RoutingDecision
from langchain_frugal._errors import RequestRefused


class GateModel(BaseChatModel):
    """Says what the policy says. Its row is `cached` and free, or an error of kind `refused`."""

    model: str
    text: str
    refuses: bool

    @classmethod
    def of(cls, decision: RoutingDecision) -> GateModel:
        refuses = decision.action == "refuse"
        name = decision.reason.removeprefix("gate:")
        # Never out of LangChain's cache: the policy may have changed since. It cannot stream, for
        # the events of a stream have no place for a cost of 0.
        model = f"{'guardrail' if refuses else 'canned'}:{name}"
        return cls(model=model, text=decision.text, refuses=refuses, cache=False)

    @property
    def _llm_type(self) -> str:
        return "frugal-gate"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="frugal", ls_model_name=self.model, ls_model_type="chat")

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        return self  # only refusals come here

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._said())])

    def _said(self) -> AIMessage:
        if self.refuses:
            raise RequestRefused(self.text)
        # LangChain marks answers that cost nothing, those out of its cache, with a cost of 0.
        free: Any = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
        return AIMessage(
            content=self.text,
            response_metadata={"model_name": self.model, "finish_reason": "stop"},
            usage_metadata={**free, "total_cost": 0},
        )
