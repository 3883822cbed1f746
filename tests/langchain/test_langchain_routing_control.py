"""Who may choose, what a router says of itself, what it composes with, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField

from frugal_chains import Ledger, PriceBook
from frugal_chains.errors import RoutingError, RoutingPolicyError
from frugal_chains.routing import RoutingPolicy, Rule, Tagged, Tolerance
from langchain_frugal import CostCallbackHandler, RoutingChatModel
from tests.langchain.routers import POLICY, STRONG, WEAK, Runs
from tests.servers import Reply, ScriptedServer, Tokens


@pytest.fixture
def tiers(chat_openai: Any) -> dict[str, Any]:
    return {"gatekeeper": chat_openai(WEAK), "workhorse": [chat_openai(STRONG), chat_openai("o3")]}


@pytest.fixture
def router(tiers: dict[str, Any]) -> RoutingChatModel:
    return RoutingChatModel(tiers, policy=POLICY)


# -- choosing for oneself ----------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["gatekeeper", WEAK])
def test_a_request_may_name_a_tier_or_a_model(asked: str, router: RoutingChatModel) -> None:
    by_keyword = router.invoke("prove it", route=asked)
    by_config = router.invoke("prove it", {"configurable": {"route": asked}})
    bound = router.bind(route=asked).invoke("prove it")
    for answer in (by_keyword, by_config, bound):
        mark = answer.response_metadata["frugal"]
        assert (mark["candidate"], mark["reason"]) == ("gatekeeper", "asked")
        assert answer.response_metadata["model_name"] == WEAK


def test_of_several_models_of_a_tier_each_has_its_name(router: RoutingChatModel) -> None:
    assert router.invoke("hi", route="o3").response_metadata["frugal"]["candidate"] == "o3"
    names = [weighed.name for weighed in router.decide("hi").weighed]
    assert names == ["gatekeeper", STRONG, "o3"]
    assert router.decide("prove it").candidate in (STRONG, "o3")


def test_a_name_that_does_not_exist_is_an_error(router: RoutingChatModel) -> None:
    with pytest.raises(RoutingError, match=r"route='specialst' names no model here; there are"):
        router.invoke("hi", route="specialst")
    # One config goes to every router of a graph.
    answer = router.invoke("hi", {"configurable": {"route": "specialst"}})
    assert "names no model here" in answer.response_metadata["frugal"]["warnings"][0]
    with pytest.raises(RoutingError, match=r"error_tolerance='none'; there are low, normal, high"):
        router.invoke("hi", error_tolerance="none")


def test_rules_see_tolerance_tags_and_metadata(tiers: Any) -> None:
    rules = (
        Rule(name="careful", when=Tolerance("low"), to="workhorse"),
        Rule(name="gold", when=Tagged("plan", "gold"), to="workhorse"),
    )
    router = RoutingChatModel(tiers, policy=RoutingPolicy(rules=rules, default_tier="gatekeeper"))
    assert router.decide("hi").reason == "default"
    assert router.decide("hi", error_tolerance="low").reason == "rule:careful"
    assert router.decide("hi", {"configurable": {"error_tolerance": "low"}}).tier == "workhorse"
    assert router.decide("hi", {"metadata": {"plan": "gold"}}).reason == "rule:gold"


def test_a_dry_run_asks_nobody_and_leaves_no_trace(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    runs = Runs()
    config: Any = {"callbacks": [runs, CostCallbackHandler(ledger)], "metadata": {"thread_id": "t"}}
    first = router.decide("prove it", config)
    assert router.decide("  PROVE it, please", config).candidate == first.candidate
    words = router.explain("prove it", config)
    assert "(workhorse) answers: rule 'proof': the question has 'prove'" in words
    assert scripted.requests == []
    assert list(ledger.attempts()) == []
    assert runs.seen == []
    assert router.decide("prove it", config) == first


# -- what it remembers -------------------------------------------------------------------------


def test_a_conversation_stays_where_its_cache_is(
    chat_openai: Any, scripted: ScriptedServer
) -> None:
    """The dearer model is cheaper for who has just talked to it at length."""
    rules = (Rule(name="gold", when=Tagged("plan", "gold"), to="workhorse"),)
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}
    router = RoutingChatModel(tiers, policy=RoutingPolicy(rules=rules, default_tier="gatekeeper"))
    scripted.always(Reply("so", usage=Tokens(fresh=50_000, visible=10)))
    router.invoke("hi", {"metadata": {"plan": "gold", "thread_id": "a"}})

    def warm(thread: str, **whose: str) -> int:
        decision = router.decide("go on " * 20_000, {"metadata": {"thread_id": thread, **whose}})
        return {w.name: w.bill.warm_tokens for w in decision.weighed}["workhorse"]

    assert warm("a") > 0
    assert warm("b") == 0
    # Several agents and nodes talk in one thread, each with a history of its own.
    assert warm("a", langgraph_node="critic") == warm("a", lc_agent_name="critic") == 0
    in_config: Any = {"configurable": {"thread_id": "a"}}
    decision = router.decide("go on " * 20_000, in_config)
    assert {w.name: w.bill.warm_tokens for w in decision.weighed}["workhorse"] > 0


# -- what it is --------------------------------------------------------------------------------


def test_it_promises_what_all_of_its_models_can(chat_openai: Any) -> None:
    weak, strong = chat_openai(WEAK), chat_openai(STRONG)
    weak.profile = {"structured_output": False, "tool_calling": True, "max_input_tokens": 8000}
    router = RoutingChatModel({"gatekeeper": weak, "workhorse": strong})
    assert router.profile is not None
    assert router.profile["structured_output"] is False
    assert router.profile["tool_calling"] is True
    assert router.profile["max_input_tokens"] == 8000
    weak.profile = {"tool_calling": True}
    router = RoutingChatModel({"gatekeeper": weak, "workhorse": strong})
    assert "structured_output" not in (router.profile or {})
    unknown = RoutingChatModel({"workhorse": FakeListChatModel(responses=["a"])})
    assert unknown.profile is None
    own: Any = {"max_input_tokens": 5}
    assert RoutingChatModel({"workhorse": strong}, profile=own).profile == own


def test_it_is_known_by_its_models_and_serialised_by_nobody(router: RoutingChatModel) -> None:
    params = router._get_ls_params(stop=["x"])
    assert params["ls_model_name"] == f"{WEAK}|{STRONG}|o3"
    assert (params["ls_provider"], params["ls_stop"]) == ("frugal", ["x"])
    assert router._llm_type == "frugal-router"
    assert not router.is_lc_serializable()
    assert "test" not in repr(router)  # the key


def test_what_models_do_not_say_the_user_says(tiers: Any) -> None:
    router = RoutingChatModel(
        tiers,
        policy=RoutingPolicy(region="eu", default_tier="gatekeeper"),
        candidates={"gatekeeper": {"regions": ["us"]}, STRONG: {"regions": ["eu"], "quality": 0.9}},
    )
    decision = router.decide("hi")
    assert (decision.candidate, decision.reason) == (STRONG, "only")
    assert "it names us, not eu" in decision.explain()


def test_prices_of_the_user_decide(tiers: Any, tmp_path: Any) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        f'[[price]]\nprovider = "openai"\nmodel = "{STRONG}"\ninput = 0.01\noutput = 0.01\n'
    )
    router = RoutingChatModel(
        tiers, policy=RoutingPolicy(default_tier="gatekeeper"), prices=PriceBook.load(path)
    )
    assert router.decide("hi").candidate == STRONG


def test_tokens_are_counted_by_the_default_tier() -> None:
    class Counts(FakeListChatModel):
        def get_num_tokens(self, text: str) -> int:
            return 42

    model = Counts(responses=["a"])
    router = RoutingChatModel({"gatekeeper": FakeListChatModel(responses=[]), "workhorse": model})
    assert router.get_num_tokens("hello") == 42


# -- composing ---------------------------------------------------------------------------------


def test_it_composes_as_any_chat_model(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{q}")])
    chain = prompt | router | StrOutputParser()
    assert chain.invoke({"q": "prove it"}) == "prove it"
    assert "".join(chain.stream({"q": "prove it"})) == "prove it"
    tagged = router.with_config(tags=["t"], metadata={"tenant": "acme"})
    tagged.invoke("hi", {"callbacks": [CostCallbackHandler(ledger)]})
    (row,) = ledger.attempts()
    assert (row.tags["tags"], row.tags["tenant"]) == ("t", "acme")
    scripted.script(*[Reply(status=500)] * 3, Reply("again"))
    assert router.with_retry(wait_exponential_jitter=False).invoke("hi").text == "again"
    scripted.script(*[Reply(status=500)] * 3)
    spare = FakeListChatModel(responses=["spare"])
    assert router.with_fallbacks([spare]).invoke("hi").text == "spare"


def test_fields_can_be_configured_by_the_request(tiers: Any) -> None:
    router = RoutingChatModel(tiers, policy=POLICY).configurable_fields(
        policy=ConfigurableField("policy")
    )
    strict = {"policy": RoutingPolicy(default_tier="workhorse")}
    assert router.invoke("hi").response_metadata["frugal"]["tier"] == "gatekeeper"
    answer = router.invoke("hi", {"configurable": strict})
    assert answer.response_metadata["frugal"]["tier"] == "workhorse"


def test_a_tier_may_be_a_model_with_fallbacks(chat_openai: Any, scripted: ScriptedServer) -> None:
    model = chat_openai(WEAK).with_fallbacks([chat_openai(STRONG)])
    router = RoutingChatModel({"workhorse": model})
    scripted.script(Reply(status=500))
    answer = router.invoke("hi")
    assert answer.response_metadata["model_name"] == STRONG
    assert router.decide("hi").weighed[0].model == WEAK
    scripted.script(Reply(status=500), Reply("hi"))
    messages = [[HumanMessage("hi")]]
    assert router.generate(messages).generations[0][0].text == "hi"


def test_copies_decide_alike(router: RoutingChatModel) -> None:
    for made in (copy.deepcopy(router), copy.copy(router), router.model_copy()):
        assert made.invoke("prove it").response_metadata["frugal"]["tier"] == "workhorse"
        assert made.decide("hi") == router.decide("hi")
    changed = router.model_copy(update={"policy": RoutingPolicy(default_tier="workhorse")})
    assert changed.decide("hi").tier == "workhorse"
    assert router.decide("hi").tier == "gatekeeper"


def test_a_router_over_models_that_can_be_pickled_can_be() -> None:
    tiers = {
        "gatekeeper": FakeListChatModel(responses=["weak"]),
        "workhorse": FakeListChatModel(responses=["strong"]),
    }
    router = RoutingChatModel(tiers, policy=POLICY, tags=["t"])
    again = pickle.loads(pickle.dumps(router))
    assert again.invoke("prove it").text == "strong"
    assert again.invoke("hi").text == "weak"
    assert (again.tags, again.policy) == (["t"], POLICY)
    structured = pickle.loads(pickle.dumps(router.bind(route="workhorse")))
    assert structured.invoke("hi").text == "strong"


def test_a_router_may_be_a_tier_of_another(router: RoutingChatModel, ledger: Ledger) -> None:
    outer = RoutingChatModel({"workhorse": router})
    answer = outer.invoke("prove it", {"callbacks": [CostCallbackHandler(ledger)]})
    assert isinstance(answer, AIMessage)
    assert len(list(ledger.attempts())) == 1


def test_the_cache_of_a_model_is_not_the_routers(
    chat_openai: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    handler = CostCallbackHandler(ledger)
    router = RoutingChatModel({"workhorse": chat_openai(STRONG, cache=InMemoryCache())})
    for _ in range(2):
        router.invoke("hi", {"callbacks": [handler]})
    assert len(scripted.requests) == 1
    assert [row.status for row in ledger.attempts()] == ["ok", "cached"]
    assert handler.total.cost_usd == next(iter(ledger.attempts())).cost_usd
    assert handler.total.cost_usd > Decimal(0)


# -- bad input ---------------------------------------------------------------------------------

BAD: list[tuple[str, dict[str, Any]]] = [
    ("there are no models", {"tiers": {}}),
    ("unknown tier 'boss'; there are gatekeeper, workhorse, specialist", {"tiers": {"boss": 1}}),
    ("tiers is a list; give a mapping", {"tiers": ["a"]}),
    ("the tier 'workhorse' has a str; give it a chat model", {"tiers": {"workhorse": "gpt-4o"}}),
    ("the tier 'workhorse' has a RunnableRetry", {"retried": True}),
    ("a router has no cache of its own: give cache= to the models", {"cache": True}),
    ("a router has no cache of its own", {"cache": InMemoryCache()}),
    ("candidates has 'boss', which is no model here; there are workhorse",
     {"candidates": {"boss": {}}}),
    ("candidates['workhorse'] has speed; there are context_window_tokens",
     {"candidates": {"workhorse": {"speed": 1}}}),
    ("rule 'r' sends to 'specialist', which has no model",
     {"policy": RoutingPolicy(rules=(Rule(name="r", when=Tagged("a"), to="specialist"),))}),
]  # fmt: skip


@pytest.mark.parametrize(("says", "wrong"), BAD, ids=[says[:30] for says, _ in BAD])
def test_what_cannot_route_is_refused_with_a_way_out(says: str, wrong: dict[str, Any]) -> None:
    model: Any = FakeListChatModel(responses=["a"])
    arguments = {"tiers": {"workhorse": model.with_retry() if "retried" in wrong else model}}
    arguments |= {name: value for name, value in wrong.items() if name != "retried"}
    with pytest.raises(RoutingPolicyError) as refused:
        RoutingChatModel(**arguments)
    assert says in str(refused.value)


def test_an_input_that_is_none_is_refused_as_by_any_model(router: RoutingChatModel) -> None:
    with pytest.raises(ValueError, match="Invalid input type"):
        router.invoke(42)  # type: ignore[arg-type]


def test_a_copy_has_tags_and_metadata_of_its_own(tiers: Any) -> None:
    router = RoutingChatModel(tiers, policy=POLICY, tags=["a"], metadata={"b": ["c"]})
    made = copy.deepcopy(router)
    assert made.tags is not None
    assert made.metadata is not None
    made.tags.append("x")
    made.metadata["b"].append("y")
    assert router.tags == ["a"]
    assert (router.metadata or {})["b"] == ["c"]


def test_no_cache_may_be_said(tiers: Any) -> None:
    assert RoutingChatModel(tiers, policy=POLICY, cache=False).decide("hi").tier == "gatekeeper"


def test_rules_see_what_the_router_was_constructed_with(tiers: Any) -> None:
    rules = (Rule(name="gold", when=Tagged("plan", "gold"), to="workhorse"),)
    policy = RoutingPolicy(rules=rules, default_tier="gatekeeper")
    router = RoutingChatModel(tiers, policy=policy, metadata={"plan": "gold"})
    assert router.decide("hi").reason == "rule:gold"
