"""What LangChain reports of usage, through the real clients, is on the books as it was served.

Expected costs are list prices, $ per million tokens: gpt-4o-mini 0.15 in, 0.075 cached, 0.60 out;
gpt-5.1 1.25/0.125/10, flex half of that, priority double; claude-haiku-4-5 1.00 in, 0.10 read,
1.25 and 2.00 written, 5.00 out (openai.com/api/pricing, claude.com/pricing; read 2026-11-21).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate

from frugal_chains import Ledger
from langchain_frugal import CostCallbackHandler, track_cost
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

MILLION = Decimal(1_000_000)


def test_an_openai_answer_is_one_row_with_its_exact_cost(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", usage=Tokens(fresh=1000, cache_read=400, visible=70, reasoning=30)))
    chat_openai().invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.status, row.provider, row.model, row.purpose) == (
        "ok", "openai", "gpt-4o-mini", "answer",
    )  # fmt: skip
    assert (row.usage.input_tokens, row.usage.cache_read_tokens) == (1400, 400)
    assert (row.usage.output_tokens, row.usage.reasoning_tokens) == (100, 30)
    assert row.usage.source == "provider"
    assert row.cost_usd == (1000 * Decimal("0.15") + 400 * Decimal("0.075") + 60) / MILLION
    assert handler.total.cost_usd == row.cost_usd
    assert row.latency_s is not None
    assert 0 < row.latency_s < 10


def test_anthropic_cache_buckets_are_priced_apart(
    scripted: ScriptedServer, chat_anthropic: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    tokens = Tokens(fresh=3, cache_read=2000, cache_write_5m=700, cache_write_1h=1500, visible=50)
    scripted.script(Reply("hi", usage=tokens))
    chat_anthropic().invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.usage.input_tokens == 4203
    assert row.usage.cache_write_5m_tokens == 700
    assert row.usage.cache_write_1h_tokens == 1500
    expected = 3 + 2000 * Decimal("0.1") + 700 * Decimal("1.25") + 1500 * 2 + 50 * 5
    assert row.cost_usd == expected / MILLION


@pytest.mark.parametrize(
    ("tier", "factor"), [("flex", Decimal("0.5")), ("priority", Decimal(2)), (None, Decimal(1))]
)
def test_a_service_tier_has_its_own_price(
    tier: str | None,
    factor: Decimal,
    scripted: ScriptedServer,
    chat_openai: Any,
    handler: CostCallbackHandler,
    ledger: Ledger,
) -> None:
    scripted.script(
        Reply("hi", usage=Tokens(fresh=600, cache_read=400, visible=100), service_tier=tier)
    )
    model = chat_openai("gpt-5.1", service_tier=tier or "auto")
    model.invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.service_tier == (tier or "standard")
    assert (row.usage.input_tokens, row.usage.cache_read_tokens) == (1000, 400)
    standard = (600 * Decimal("1.25") + 400 * Decimal("0.125") + 100 * 10) / MILLION
    assert row.cost_usd == standard * factor


def test_a_stream_with_usage_is_the_providers_word(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("one two three", usage=Tokens(fresh=10, visible=3)))
    model = chat_openai(stream_usage=True)
    list(model.stream("hello", config={"callbacks": [handler]}))
    (row,) = ledger.attempts()
    assert (row.usage.input_tokens, row.usage.output_tokens, row.usage.source) == (
        10,
        3,
        "provider",
    )
    assert row.streamed
    assert row.first_token_s is not None
    assert row.latency_s is not None
    assert 0 < row.first_token_s <= row.latency_s


def test_a_stream_without_usage_is_estimated_and_says_how_to_turn_it_on(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("the quick brown fox jumps over the lazy dog"))
    list(chat_openai().stream("hello world", config={"callbacks": [handler]}))
    (row,) = ledger.attempts()
    # o200k_base: "hello world" is 2 tokens; OpenAI frames one user message with 3 + 1 + 3 tokens.
    assert (row.status, row.usage.source) == ("ok", "estimated")
    assert row.usage.input_tokens == 2 + 7
    assert row.usage.output_tokens == 9
    assert "stream_usage=True" in row.note
    assert row.cost_usd is not None
    assert row.cost_usd > 0


def test_a_cut_stream_is_not_taken_for_a_whole_one(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("one two three four five six", cut_after_chunks=3))
    list(chat_openai(stream_usage=True).stream("hello", config={"callbacks": [handler]}))
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.usage.source) == ("aborted", "cut", "estimated")
    assert row.usage.output_tokens > 0


@pytest.mark.parametrize("delta_usage", ["cumulative", "output_only"])
def test_an_anthropic_stream_keeps_its_input(
    delta_usage: Any,
    scripted: ScriptedServer,
    chat_anthropic: Any,
    handler: CostCallbackHandler,
    ledger: Ledger,
) -> None:
    tokens = Tokens(fresh=20, cache_read=1000, visible=4)
    scripted.script(Reply("a b c d", usage=tokens, delta_usage=delta_usage))
    list(chat_anthropic().stream("hello", config={"callbacks": [handler]}))
    (row,) = ledger.attempts()
    assert row.usage.output_tokens == 4
    assert row.usage.input_tokens > 0
    if delta_usage == "cumulative":
        assert (row.usage.input_tokens, row.usage.cache_read_tokens) == (1020, 1000)
        assert row.usage.source == "provider"
    else:  # the input stood in message_start alone, which langchain-anthropic does not read
        assert row.usage.source == "mixed"
        assert "input tokens did not come back" in row.note


@pytest.mark.parametrize("where", ["block", "request", "model"])
@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_cache_writes_of_an_anthropic_stream_have_the_time_to_live_that_was_asked(
    ttl: str,
    where: str,
    scripted: ScriptedServer,
    chat_anthropic: Any,
    handler: CostCallbackHandler,
    ledger: Ledger,
) -> None:
    # The stream's usage sums all writes; only the request says which they were.
    tokens = Tokens(fresh=3, visible=1, **{f"cache_write_{ttl}": 2000})
    scripted.script(Reply("a", usage=tokens))
    block: dict[str, Any] = {"type": "text", "text": "x"}
    marker = {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    if where == "block":
        block |= marker
    in_model, in_request = (marker if where == place else {} for place in ("model", "request"))
    model = chat_anthropic(model_kwargs=in_model)
    # In the request is where langchain-anthropic's prompt caching middleware puts it.
    list(model.stream([HumanMessage([block])], config={"callbacks": [handler]}, **in_request))
    (row,) = ledger.attempts()
    factor = {"5m": Decimal("1.25"), "1h": Decimal(2)}[ttl]
    assert row.cost_usd == (3 + 2000 * factor + 5) / MILLION


def test_several_answers_to_one_question_are_counted_once(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", usage=Tokens(fresh=10, visible=30)))
    chat_openai(n=3).generate([[HumanMessage("hello")]], callbacks=[handler])
    (row,) = ledger.attempts()
    assert (row.usage.input_tokens, row.usage.output_tokens) == (10, 30)


def test_an_answer_from_the_cache_costs_nothing_and_counts_no_tokens(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", usage=Tokens(fresh=10, visible=5)))
    model = chat_openai(cache=InMemoryCache())
    for _ in range(3):
        model.invoke("hello", config={"callbacks": [handler]})
    first, *hits = ledger.attempts()
    assert first.status == "ok"
    assert [(h.status, h.cost_usd, h.usage.total_tokens) for h in hits] == [("cached", 0, 0)] * 2
    (total,) = ledger.totals()
    assert (total.usage.input_tokens, total.cost_usd) == (10, first.cost_usd)
    assert len(scripted.requests) == 1


def test_a_cache_hit_of_an_answer_that_never_had_usage_is_still_a_hit(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", omit_usage=True))
    model = chat_openai(cache=InMemoryCache())
    for _ in range(2):
        model.invoke("hello", config={"callbacks": [handler]})
    assert [row.status for row in ledger.attempts()] == ["ok", "cached"]
    assert [row.usage.source for row in ledger.attempts()] == ["estimated", "provider"]


def test_an_unknown_model_is_unpriced_and_never_free(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", usage=Tokens(fresh=10, visible=5)))
    chat_openai("zeta-9000").invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.cost_usd is None
    assert "zeta-9000" in (row.unpriced_reason or "")
    (total,) = ledger.totals()
    assert (total.unpriced, total.attempts) == (1, 1)
    assert "1 unpriced" in str(handler.total)


def test_a_retired_model_keeps_its_price(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", usage=Tokens(fresh=1000, visible=1000)))
    chat_openai("gpt-3.5-turbo").invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.cost_usd == (1000 * Decimal("0.5") + 1000 * Decimal("1.5")) / MILLION


def test_tool_calls_and_schemas_count_when_usage_is_missing(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(
        Reply("hi", omit_usage=True),
        Reply(None, omit_usage=True, tool_calls=(ToolCall("lookup", {"word": "x " * 100}),)),
    )
    tool = {
        "type": "function",
        "function": {
            "name": "lookup",
            "description": "Looks a word up. " * 20,
            "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
        },
    }
    chat_openai().invoke("hello", config={"callbacks": [handler]})
    chat_openai().bind_tools([tool]).invoke("hello", config={"callbacks": [handler]})
    plain, with_tools = ledger.attempts()
    assert with_tools.usage.input_tokens > plain.usage.input_tokens + 80
    assert with_tools.usage.output_tokens > 100


def test_labels_come_from_metadata_and_tags_for_free(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    chain = ChatPromptTemplate.from_template("{q}") | chat_openai()
    chain.invoke(
        {"q": "hello"},
        config={
            "callbacks": [handler],
            "tags": ["nightly"],
            "metadata": {"tenant": "acme", "thread_id": "t-1", "prompt": "secret " * 50, "n": 3},
        },
    )
    (row,) = ledger.attempts(thread_id="t-1")
    assert row.tags == {"tenant": "acme", "tags": "nightly", "n": "3"}
    (line,) = ledger.totals(by=["tenant"])
    assert (line.key, line.attempts) == ({"tenant": "acme"}, 1)


def test_one_chain_is_one_operation_and_an_explicit_one_holds_several(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    from frugal_chains import operation

    chain = ChatPromptTemplate.from_template("{q}") | chat_openai()
    with track_cost(ledger):
        chain.invoke({"q": "a"})
        chain.invoke({"q": "b"})
        with operation("request-7", tenant="acme"):
            chain.invoke({"q": "c"})
            chain.invoke({"q": "d"})
    (total,) = ledger.totals()
    assert (total.attempts, total.operations) == (4, 3)
    grouped = list(ledger.attempts(operation_id="request-7"))
    assert [row.tags["tenant"] for row in grouped] == ["acme", "acme"]


def test_no_prompt_and_no_answer_reaches_the_ledger(
    scripted: ScriptedServer, chat_openai: Any, tmp_path: Any
) -> None:
    scripted.script(Reply("the answer is SWORDFISH"), Reply(status=400))
    path = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{path}") as books:
        handler = CostCallbackHandler(books)
        chat_openai().invoke("my password is HUNTER2", config={"callbacks": [handler]})
        with pytest.raises(Exception, match="400"):
            chat_openai().invoke("my password is HUNTER2", config={"callbacks": [handler]})
        assert len(list(books.attempts())) == 2
    stored = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"SWORDFISH" not in stored
    assert b"HUNTER2" not in stored


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_the_time_to_live_of_cache_writes_may_be_asked_by_a_tool(
    ttl: str, scripted: ScriptedServer, chat_anthropic: Any, handler: CostCallbackHandler,
    ledger: Ledger,
) -> None:  # fmt: skip
    scripted.script(Reply("a", usage=Tokens(fresh=3, visible=1, **{f"cache_write_{ttl}": 2000})))
    marker = {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    tool = {"name": "look_up", "description": "x", "input_schema": {"type": "object"}, **marker}
    list(chat_anthropic().bind_tools([tool]).stream("hello", config={"callbacks": [handler]}))
    (row,) = ledger.attempts()
    factor = {"5m": Decimal("1.25"), "1h": Decimal(2)}[ttl]
    assert row.cost_usd == (3 + 2000 * factor + 5) / MILLION
