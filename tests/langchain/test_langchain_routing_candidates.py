"""What a router knows of its models: from their profiles, their settings, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from frugal_chains.routing import RoutingPolicy, Rule, WantsStructure
from langchain_frugal import RoutingChatModel
from tests.langchain.routers import STRONG, WEAK
from tests.servers import Reply, ScriptedServer

CHEAP_FIRST = RoutingPolicy(default_tier="gatekeeper")


@tool
def clock() -> str:
    """The time."""
    return "noon"


def _with(kind: str) -> Any:
    data = base64.b64encode(b"x").decode()
    return [HumanMessage([{"type": "text", "text": "What is it?"},
                          {"type": kind, "base64": data, "mime_type": f"{kind}/x"}])]  # fmt: skip


SCHEMA = {"title": "S", "type": "object", "properties": {"a": {"type": "string"}}}

UNFIT: list[tuple[dict[str, Any], Any, dict[str, Any], str]] = [
    # profile, request, its options, why the model is left out
    ({"max_input_tokens": 100}, "word " * 200, {}, "do not fit its window of 100"),
    (
        {"max_output_tokens": 50},
        "hi",
        {"max_tokens": 60},
        "allows 60 tokens of output, it gives 50",
    ),
    ({"tool_calling": False}, "hi", {"tools": [clock]}, "it cannot call tools"),
    ({"structured_output": False}, "hi", {"response_format": SCHEMA}, "to a schema"),
    ({"image_inputs": False}, _with("image"), {}, "it does not take images"),
    ({"audio_inputs": False}, _with("audio"), {}, "it does not take audio"),
]


@pytest.mark.parametrize(("profile", "asked", "options", "why"), UNFIT, ids=lambda v: str(v)[:30])
def test_a_profile_keeps_a_model_from_what_it_cannot_do(
    profile: dict[str, Any], asked: Any, options: dict[str, Any], why: str, chat_openai: Any
) -> None:
    weak, strong = chat_openai(WEAK), chat_openai(STRONG)
    weak.profile, strong.profile = profile, {}
    router = RoutingChatModel({"gatekeeper": weak, "workhorse": strong}, policy=CHEAP_FIRST)
    decision = router.decide(asked, **options)
    assert decision.candidate == "workhorse"
    assert why in decision.weighed[0].excluded
    weak.profile = {}
    open_ = RoutingChatModel({"gatekeeper": weak, "workhorse": strong}, policy=CHEAP_FIRST)
    assert open_.decide(asked, **options).candidate == "gatekeeper"


def test_a_profile_that_says_one_modality_leaves_the_others_open(chat_openai: Any) -> None:
    weak, strong = chat_openai(WEAK), chat_openai(STRONG)
    weak.profile, strong.profile = {"image_inputs": False}, {}
    router = RoutingChatModel({"gatekeeper": weak, "workhorse": strong}, policy=CHEAP_FIRST)
    assert router.decide(_with("audio")).candidate == "gatekeeper"


def test_a_bill_is_of_the_models_service_tier(chat_openai: Any) -> None:
    """OpenAI bills the flex tier at half (developers.openai.com/api/docs/pricing, 2026)."""

    def bill(**options: Any) -> int:
        router = RoutingChatModel({"workhorse": chat_openai("o3", **options)})
        return router.decide("hi").weighed[0].bill.nanos or 0

    assert bill(service_tier="flex") * 2 == bill() > 0
    bound = RoutingChatModel({"workhorse": chat_openai("o3").bind(service_tier="flex")})
    assert bound.decide("hi").weighed[0].bill.nanos == bill(service_tier="flex")


def test_several_of_one_model_are_told_apart(chat_openai: Any) -> None:
    router = RoutingChatModel({"workhorse": [chat_openai(WEAK), chat_openai(WEAK)]})
    names = [each.name for each in router.decide("hi").weighed]
    assert names == [WEAK, f"{WEAK}-2"]


@pytest.mark.parametrize("own", [{"googleSearch": {}}, object()], ids=["mapping", "object"])
def test_a_tool_that_its_provider_alone_knows_is_no_obstacle(chat_openai: Any, own: Any) -> None:
    weak, strong = chat_openai(WEAK), chat_openai(STRONG)
    weak.profile, strong.profile = {"tool_calling": False}, {}
    router = RoutingChatModel({"gatekeeper": weak, "workhorse": strong}, policy=CHEAP_FIRST)
    decision = router.decide("hi", tools=[own])
    assert decision.candidate == "workhorse"
    assert decision.weighed[0].excluded == "it cannot call tools"


def test_a_structured_answer_is_seen_by_rules(chat_openai: Any, scripted: ScriptedServer) -> None:
    rule = Rule(name="schema", when=WantsStructure(), to="workhorse")
    policy = RoutingPolicy(rules=(rule,), default_tier="gatekeeper")
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}
    router = RoutingChatModel(tiers, policy=policy)
    scripted.always(Reply('{"a": "b"}'))
    found = router.with_structured_output(SCHEMA, include_raw=True).invoke("hi")
    assert found["raw"].response_metadata["frugal"]["reason"] == "rule:schema"
    assert found["parsed"] == {"a": "b"}
    assert router.decide("hi").reason == "default"
