"""The waterfall of calls that were really made: cascades, retries and a router's own gate."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableLambda

from frugal_chains import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.savings import Waterfall, ledger_waterfall
from langchain_frugal import CostCallbackHandler, RoutingChatModel
from tests.langchain.routers import CASCADE, POLICY, STRONG, WEAK
from tests.servers import Reply, ScriptedServer, Tokens

USAGE = Tokens(fresh=1000, visible=100)
WEAK_NANOS, STRONG_NANOS = 210_000, 3_500_000
"""gpt-4o-mini: $0.15 in, $0.60 out; gpt-4o: $2.50 in, $10 out per million tokens
(openai.com/api/pricing, read 2026-11-21)."""


def _waterfall(ledger: Ledger) -> Waterfall:
    return ledger_waterfall(ledger, book=PriceBook())


def _steps(found: Waterfall) -> dict[str, int | None]:
    return {step.name: step.nanos for step in found.steps}


def test_one_draft_that_held_and_one_that_did_not(
    chat_openai: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Both questions in one operation, word for word the same."""
    model = RoutingChatModel(
        {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}, policy=CASCADE
    )
    texts = ("it is sure", "perhaps", "for sure")
    scripted.script(*(Reply(text, usage=USAGE) for text in texts))
    twice = RunnableLambda(lambda question: [model.invoke(question), model.invoke(question)])
    twice.invoke("is it?", {"callbacks": [CostCallbackHandler(ledger)]})
    found = _waterfall(ledger)
    assert (found.attempts, found.operations, found.covered_operations) == (3, 1, 1)
    assert _steps(found) == {"routing": STRONG_NANOS - WEAK_NANOS, "drafts": -WEAK_NANOS}
    assert found.bill_nanos == 2 * WEAK_NANOS + STRONG_NANOS
    # Two answers of the model that would have been asked both times.
    assert found.baseline_nanos == 2 * STRONG_NANOS


def test_a_retry_is_the_answer_where_the_call_had_failed(
    chat_openai: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply(status=500), Reply("hi", usage=USAGE))
    model = chat_openai(STRONG).with_retry(wait_exponential_jitter=False)
    model.invoke("hello", {"callbacks": [CostCallbackHandler(ledger)]})
    found = _waterfall(ledger)
    (failed, answer) = ledger.attempts()
    assert (answer.purpose, answer.price.nanos) == ("retry", STRONG_NANOS)
    retries = found.step("retries")
    assert retries.attempts == 1
    assert retries.nanos == (None if failed.price.nanos is None else -failed.price.nanos)
    assert found.baseline_nanos == STRONG_NANOS


def test_what_the_gate_kept_from_a_model_is_unknown(
    chat_openai: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    model = RoutingChatModel(
        {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}, policy=POLICY
    )
    model.invoke("your opening hours?", {"callbacks": [CostCallbackHandler(ledger)]})
    found = _waterfall(ledger)
    assert not scripted.requests
    assert found.step("routing").nanos is None
    assert (found.unknown_attempts, found.bill_nanos, found.baseline_nanos) == (1, 0, 0)
