"""`RoutingDecisionModel`: our decision as the classifier of LangChain's own router.

Needs langchain-core 1.8, the first with `langchain_core.decisions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.decisions import (  # type: ignore[import-not-found, unused-ignore]
    BaseDecisionModel,
    Choice,
    ChoiceAnswer,
    ClassifierRequest,
    ClassifierResponse,
    Question,
    State,
)
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig
from pydantic import Field

from frugal_chains.errors import RoutingError
from frugal_chains.routing import RoutingDecision
from langchain_frugal.routing._model import RoutingChatModel


class RoutingDecisionModel(BaseDecisionModel):  # type: ignore[misc, unused-ignore]
    """Answers a `Choice` between tiers, candidates or models with the router's decision.

        ModelRouterMiddleware(
            choices={"gatekeeper": ModelChoice(small, "easy"), "specialist": ModelChoice(big, "")},
            instructions="Who should answer?",
            classifier=RoutingDecisionModel(router=routing_chat_model),
        )

    The labels are names that the router knows; their descriptions are not read. A decision sends
    nothing to any provider: it is a plain run in traces, and no row of the ledger.
    """

    model: str = "frugal-router"
    router: Any = Field(exclude=True)

    @property
    def _provider(self) -> str:
        return "frugal"

    def invoke(
        self, input: ClassifierRequest, config: RunnableConfig | None = None, **_: Any
    ) -> ClassifierResponse:
        # The base class reports a model call, with tokens that somebody bills.
        return self._call_with_config(self._answered, input, config)

    async def ainvoke(
        self, input: ClassifierRequest, config: RunnableConfig | None = None, **_: Any
    ) -> ClassifierResponse:
        return await self._acall_with_config(self._aanswered, input, config)

    def _answered(self, request: ClassifierRequest) -> ClassifierResponse:
        return self._classify(request["state"], dict(request["questions"]))

    async def _aanswered(self, request: ClassifierRequest) -> ClassifierResponse:
        return await self._aclassify(request["state"], dict(request["questions"]))

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        decision = cast(RoutingChatModel, self.router).decide(_messages(state))
        names = _names(decision)
        answers = {id_: _answer(id_, question, names) for id_, question in questions.items()}
        return ClassifierResponse(model=self.model, answers=answers)


def _names(decision: RoutingDecision) -> list[str]:
    """Who should answer, best first: by candidate, model and tier."""
    if decision.action != "call":
        raise RoutingError(f"no model is to be asked: {decision.detail}; use a RoutingChatModel")
    weighed = {each.name: each for each in decision.weighed}
    names: list[str] = []
    for name in (decision.candidate, *decision.fallbacks):
        each = weighed.get(name)
        names += [name, each.model, each.tier] if each else [name]
    return names


def _answer(id_: str, question: Question, names: Sequence[str]) -> ChoiceAnswer:
    if not isinstance(question, Choice):
        raise RoutingError(f"question {id_!r} is a {type(question).__name__}; ask a Choice")
    chosen = next((name for name in names if name in question.criteria), None)
    if chosen is None:
        raise RoutingError(
            f"question {id_!r} has the labels {', '.join(question.criteria)}; the router knows "
            f"{', '.join(dict.fromkeys(names))}"
        )
    shares = {label: float(label == chosen) for label in question.criteria}
    return ChoiceAnswer(type="choice", choice=chosen, probabilities=shares, confidence=1.0)


def _messages(state: Any) -> list[BaseMessage]:
    if isinstance(state, Mapping) and "messages" in state:
        state = state["messages"]
    if isinstance(state, BaseMessage):
        return [state]
    if isinstance(state, Sequence) and not isinstance(state, str):
        return convert_to_messages(cast(Any, state))
    return [HumanMessage(str(state))]
