"""Routers over scripted models, and what the tests ask of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from frugal_chains.dispatch import UserCheck
from frugal_chains.routing import (
    CannedAnswer,
    Cascade,
    Guardrail,
    Keywords,
    RoutingPolicy,
    Rule,
)
from frugal_chains.routing.cascade import AnswerFacts

WEAK, STRONG = "gpt-4o-mini", "gpt-4o"

POLICY = RoutingPolicy(
    rules=(Rule(name="proof", when=Keywords("prove"), to="workhorse"),),
    guardrails=(Guardrail(name="secrets", when=Keywords("password"), message="No secrets."),),
    canned_answers=(
        CannedAnswer(name="hours", when=Keywords("opening hours"), answer="From 9 to 5."),
    ),
    default_tier="gatekeeper",
)


def says_sure(_: object, answer: AnswerFacts) -> bool:
    return "sure" in answer.text


CASCADE = RoutingPolicy(
    default_tier="gatekeeper", cascade=Cascade(validators=(UserCheck(says_sure),))
)


class Runs(BaseCallbackHandler):
    """Every start and end, and whose child it is."""

    run_inline = True

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.parents: dict[Any, Any] = {}
        self.kinds: dict[Any, str] = {}
        self.metadata: dict[str, Mapping[str, Any]] = {}
        self.tokens: list[str] = []

    def _start(self, kind: str, run_id: Any, parent_run_id: Any, metadata: Any) -> None:
        self.seen.append(f"{kind} start")
        self.kinds[run_id], self.parents[run_id] = kind, parent_run_id
        self.metadata[kind] = metadata or {}

    def on_chain_start(self, *_: Any, run_id: Any, **more: Any) -> None:
        self._start(more.get("name") or "chain", run_id, more["parent_run_id"], more["metadata"])

    def on_chat_model_start(self, *_: Any, run_id: Any, **more: Any) -> None:
        self._start("LLM", run_id, more["parent_run_id"], more["metadata"])

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(str(token))

    def on_chain_end(self, _: Any, *, run_id: Any, **__: Any) -> None:
        self.seen.append(f"{self.kinds[run_id]} end")

    def on_chain_error(self, _: Any, *, run_id: Any, **__: Any) -> None:
        self.seen.append(f"{self.kinds[run_id]} error")

    def on_llm_end(self, _: Any, *, run_id: Any, **__: Any) -> None:
        self.seen.append("LLM end")

    def on_llm_error(self, _: Any, **__: Any) -> None:
        self.seen.append("LLM error")


async def _invoke(model: Any, question: Any, config: Any) -> str:
    return str(model.invoke(question, config).text)


async def _ainvoke(model: Any, question: Any, config: Any) -> str:
    return str((await model.ainvoke(question, config)).text)


async def _stream(model: Any, question: Any, config: Any) -> str:
    return "".join(str(chunk.text) for chunk in model.stream(question, config))


async def _astream(model: Any, question: Any, config: Any) -> str:
    return "".join([str(chunk.text) async for chunk in model.astream(question, config)])


async def _batch(model: Any, question: Any, config: Any) -> str:
    return str(model.batch([question], config)[0].text)


async def _abatch(model: Any, question: Any, config: Any) -> str:
    return str((await model.abatch([question], config))[0].text)


async def _generate(model: Any, question: Any, config: Any) -> str:
    messages = model._convert_input(question).to_messages()
    return str(model.generate([messages], **config).generations[0][0].text)


async def _agenerate(model: Any, question: Any, config: Any) -> str:
    messages = model._convert_input(question).to_messages()
    return str((await model.agenerate([messages], **config)).generations[0][0].text)


async def _v3(model: Any, question: Any, config: Any) -> str:
    return "".join(model.stream_events(question, config, version="v3").text)


async def _av3(model: Any, question: Any, config: Any) -> str:
    async with await model.astream_events(question, config, version="v3") as stream:
        return "".join([piece async for piece in stream.text])


WAYS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "batch": _batch,
    "abatch": _abatch,
    "generate": _generate,
    "agenerate": _agenerate,
    "v3": _v3,
    "av3": _av3,
}
"""Every way to ask a chat model; each gives the text of the answer."""
