"""The same prompts through both frameworks: the same bytes are sent, and the books say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import PromptTemplate as LangChainPrompt
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.llms.openai import OpenAI

import langchain_frugal
import llama_index_frugal
from frugal_chains import Ledger
from frugal_chains.compression import Ahead
from frugal_chains.dispatch import Brevity, PrefixFacts, PromptPolicy
from frugal_chains.ledger import Effect
from langchain_frugal.compression import BudgetExampleSelector
from langchain_frugal.compression import SystemPromptCompressor as LangChainCompressor
from llama_index_frugal.compression import FewShotExamples
from llama_index_frugal.compression import SystemPromptCompressor as LlamaIndexCompressor
from tests.servers import Reply, ScriptedServer
from tests.system_prompt import BOOK, MODEL, OPTIONAL, PROMPT, WEIGH, WORDY, YES, policy

LONG = f"{PROMPT}\n# Dates\n\n{WORDY}" + "Dates are written in full, with the year. " * 200
POLICIES = {
    "all": policy(brevity=Brevity(kind="chat", expected_output_tokens=500)),
    "no words": policy(rewrite=False),
    "no sections": policy(leave_out=False),
    "binding": PromptPolicy(prefix=None),
    "careful": PromptPolicy(optional=OPTIONAL),
    "uncached": PromptPolicy(
        optional=(*OPTIONAL, "Dates"),
        prefix=PrefixFacts(ahead=Ahead(prefix_tokens=900), caches=False),
    ),
    "known": PromptPolicy(
        optional=(*OPTIONAL, "Dates"),
        prefix=PrefixFacts(ahead=Ahead(prefix_tokens=900, calls=80, growth_tokens=5)),
    ),
}
CONVERSATIONS = [[BOOK, YES, WEIGH], ["Hello", BOOK]]


def facts(effects: Sequence[Effect]) -> list[Any]:
    return [
        (e.lever, e.tokens_before, e.tokens_after, e.exact, e.model, e.net_nanos, dict(e.detail))
        for e in effects
    ]


@pytest.mark.parametrize("how", POLICIES.values(), ids=POLICIES)
async def test_both_send_the_same_system_prompt(
    how: PromptPolicy, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("ok"))
    options: Any = {"base_url": scripted.openai_base_url, "api_key": "x", "max_retries": 0}
    chain = LangChainCompressor(how, model=MODEL) | ChatOpenAI(model=MODEL, **options)
    options["api_base"] = options.pop("base_url")
    llm = LlamaIndexCompressor(how, model=MODEL).llm(OpenAI(MODEL, **options))
    books = [Ledger.open("memory://"), Ledger.open("memory://")]
    for questions in CONVERSATIONS:
        mine: list[Any] = [SystemMessage(LONG)]
        yours = [ChatMessage(LONG, role="system")]
        for question in questions:
            mine.append(HumanMessage(question))
            yours.append(ChatMessage(question, role="user"))
            with langchain_frugal.track_cost(books[0]):
                await chain.ainvoke(mine)
            with llama_index_frugal.track_cost(books[1]):
                await llm.achat(yours)
            mine.append(AIMessage("ok"))
            yours.append(ChatMessage("ok", role="assistant"))
    sent = [[(m["role"], m["content"]) for m in r.body["messages"]] for r in scripted.requests]
    assert sent[0::2] == sent[1::2]
    one, other = (facts([*ledger.effects()]) for ledger in books)
    assert one == other
    assert len(one) == len(sent) / 2


ROWS = [
    {"q": f"What do {who} do at {when}?", "a": f"They {what}.", "kind": kind}
    for who, when, what, kind in [
        ("trains", "noon", "leave", "travel"),
        ("cats", "noon", "sleep", "pets"),
        ("trains", "night", "stand", "travel"),
        ("dogs", "night", "bark", "pets"),
        ("stocks", "night", "wait", "money"),
    ]
]


@pytest.mark.parametrize("budget_tokens", [0, 20, 40, 60, 500])
@pytest.mark.parametrize("label_key", ["", "kind"], ids=["no labels", "labels"])
@pytest.mark.parametrize("asked", ["Do trains leave?", "cats and dogs at night", "", "zebra"])
async def test_both_choose_the_same_examples(
    asked: str, label_key: str, budget_tokens: int
) -> None:
    options: Any = {"model": MODEL, "label_key": label_key}
    mine = LangChainPrompt.from_template("Q: {q}\nA: {a}")
    yours = PromptTemplate("Q: {q}\nA: {a}")
    selector = BudgetExampleSelector(ROWS, budget_tokens, example_prompt=mine, **options)
    function = FewShotExamples(ROWS, budget_tokens, example_prompt=yours, **options)
    plan = selector.explain({"question": asked})
    assert plan == function.explain(query_str=asked)
    chosen = await selector.aselect_examples({"question": asked})
    text = "\n\n".join(mine.format(q=row["q"], a=row["a"]) for row in chosen)
    assert text == function(query_str=asked) == plan.text
