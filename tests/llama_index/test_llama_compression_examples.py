"""`FewShotExamples` as a function of templates, by hand and in query engines."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import (
    BasePromptTemplate,
    ChatPromptTemplate,
    PromptTemplate,
    RichPromptTemplate,
)
from llama_index.core.schema import TextNode
from llama_index_instrumentation.dispatcher import instrument_tags

from frugal_chains import Ledger
from frugal_chains.compression.prompt import PromptError
from frugal_chains.tokens import TokenCounter
from llama_index_frugal import track_cost
from llama_index_frugal.compression import FewShotExamples
from tests.servers import Reply, ScriptedServer
from tests.system_prompt import MODEL, tokens

Make = Callable[..., Any]

ROWS = [
    {"question": "Is the train to Aldermoor late?", "answer": "Yes, it leaves at noon."},
    {"question": "Who feeds the cats?", "answer": "Ann does."},
    {"question": "Which train stops in Finch?", "answer": "The first of the day."},
    {"question": "What do dogs eat?", "answer": "What falls down."},
    {"question": "When do stocks fall?", "answer": "On Mondays."},
]
WRITTEN = PromptTemplate("Q: {question}\nA: {answer}")
TRAINS = "Which train goes to Aldermoor?"


def written(*numbers: int) -> str:
    return "\n\n".join(f"Q: {ROWS[n]['question']}\nA: {ROWS[n]['answer']}" for n in numbers)


BUDGET = tokens(written(0, 2))
"""Of the two examples about trains, and no other."""
EVERY = written(0, 1, 2, 3, 4)


def examples(budget_tokens: int = BUDGET, rows: Any = ROWS, **options: Any) -> FewShotExamples:
    options = {"example_prompt": WRITTEN, "model": MODEL, **options}
    return FewShotExamples(rows, budget_tokens, **options)


def test_the_examples_of_a_request_fit_in_their_order() -> None:
    before = copy.deepcopy(ROWS)
    assert examples()(query_str=TRAINS) == written(0, 2)
    assert examples(BUDGET - 1)(query_str=TRAINS) == written(0)
    assert examples(10_000)(query_str=TRAINS) == EVERY
    assert examples(at_most=1)(query_str=TRAINS) == written(0)
    assert examples(0)(query_str=TRAINS) == ""
    assert before == ROWS


def test_examples_may_be_texts_or_values() -> None:
    texts = [written(n) for n in range(5)]
    assert examples(rows=texts)(query_str=TRAINS) == written(0, 2)
    text = f"question: {ROWS[0]['question']}\nanswer: {ROWS[0]['answer']}"
    assert examples(tokens(text), example_prompt=None)(query_str=TRAINS) == text
    with pytest.raises(KeyError):
        examples(rows=[{"question": "no answer"}])


def test_keys_say_what_is_compared() -> None:
    asks = {"query_str": "Ann?", "about": "dogs"}
    one = tokens(written(3)) + 2
    assert examples(one)(**asks) == written(1)
    assert examples(one, input_keys=["about"])(**asks) == written(3)
    by_question = examples(one, example_keys=["question"])
    assert by_question.explain(**asks).scores == (0, 0, 0, 0, 0)  # Ann is in the answer
    kinds = [{**row, "kind": kind} for row, kind in zip(ROWS, "tptps", strict=True)]
    labelled = examples(tokens(written(2, 1, 4)) + 1, rows=kinds, label_key="kind")
    asked = "the first train of the day stops in Finch"
    assert labelled(query_str=asked) == written(1, 2, 4)


TEMPLATES: list[Any] = [
    lambda f: PromptTemplate("{shots}\n\nQ: {query_str}", function_mappings={"shots": f}),
    lambda f: RichPromptTemplate("{{shots}}\n\nQ: {{query_str}}", function_mappings={"shots": f}),
    lambda f: ChatPromptTemplate(
        [ChatMessage("{shots}\n\nQ: {query_str}", role="user")], function_mappings={"shots": f}
    ),
]


@pytest.mark.parametrize("make", TEMPLATES, ids=["plain", "rich", "chat"])
def test_it_serves_every_template(make: Callable[[Any], BasePromptTemplate]) -> None:
    template = make(examples())
    expected = f"{written(0, 2)}\n\nQ: {TRAINS}"
    assert template.format(query_str=TRAINS).removeprefix("user: ").startswith(expected)
    partial = template.partial_format(query_str=TRAINS)
    assert partial.format_messages()[0].content == expected
    assert "FewShotExamples" in template.model_dump_json()


def test_a_conversation_keeps_its_examples() -> None:
    made = examples(input_keys=["history", "query_str"])
    assert made(history=[], query_str=TRAINS) == written(0, 2)
    said = [ChatMessage("Be brief.", role="system"), ChatMessage(TRAINS, role="user")]
    assert made(history=said, query_str="And who feeds the cats?") == written(0, 2)


async def test_a_query_engine_asks_with_them_and_the_books_say_so_once(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("ok"))
    template = PromptTemplate(
        "{shots}\n\nContext: {context_str}\nQ: {query_str}\nA: ",
        function_mappings={"shots": examples()},
    )
    index = VectorStoreIndex(
        nodes=[TextNode(text="All trains are late.")], embed_model=MockEmbedding(embed_dim=3)
    )
    engine = index.as_query_engine(llm=openai_llm(MODEL), text_qa_template=template)
    with track_cost(ledger):
        engine.query(TRAINS)
        await engine.aquery(TRAINS)
    for request in scripted.requests:
        (message,) = request.body["messages"]
        assert message["content"].startswith(f"{written(0, 2)}\n\nContext: All trains are late.")
    effects = [*ledger.effects(lever="compression.examples")]
    answers = ledger.attempts(purpose="answer")
    assert [e.operation_id for e in effects] == [attempt.operation_id for attempt in answers]
    assert len(effects) == 2
    for effect in effects:
        assert (effect.tokens_before, effect.tokens_after) == (tokens(EVERY), BUDGET)
        assert effect.detail == {
            "reason": "chosen", "examples": 5, "dropped": 3, "budget_tokens": BUDGET,
        }  # fmt: skip


class Broken(TokenCounter):
    def text_counter(self, **more: Any) -> Any:
        def count(text: str) -> int:
            if text:
                raise RuntimeError("no tokens today")
            return 0

        return count


def test_left_alone_where_it_is_not_wanted_or_fails(ledger: Ledger) -> None:
    with track_cost(ledger):
        assert examples(enabled=False)(query_str=TRAINS) == EVERY
        with instrument_tags({"compress": False}):
            assert examples()(query_str=TRAINS) == EVERY
        assert examples(counter=Broken())(query_str=TRAINS) == EVERY
    assert [*ledger.effects()] == []


@pytest.mark.parametrize("wrong", [{"diversity": 2}, {"at_most": -1}, {"min_relevance": -1}])
def test_numbers_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(PromptError):
        examples(**wrong)


def test_what_is_left_out_can_be_looked_at() -> None:
    plan = examples().explain(query_str=TRAINS)
    assert plan.dropped == (1, 3, 4)
    assert "-Q: Who feeds the cats?" in plan.diff().splitlines()
