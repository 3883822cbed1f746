"""`BudgetExampleSelector` in few-shot templates, and caps on answers from the ledger."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    FewShotPromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
)

from frugal_chains import Ledger
from frugal_chains.compression.prompt import OutputCap, PromptError
from frugal_chains.tokens import TokenCount, TokenCounter
from langchain_frugal import CostCallbackHandler, track_cost
from langchain_frugal.compression import (
    BudgetExampleSelector,
    learned_output_cap,
    with_output_cap,
)
from tests.servers import Reply, ScriptedServer, Tokens
from tests.system_prompt import MODEL, tokens

MakeModel = Callable[..., Any]

ROWS = [
    {"question": "Is the train to Aldermoor late?", "answer": "Yes, it leaves at noon."},
    {"question": "Who feeds the cats?", "answer": "Ann does."},
    {"question": "Which train stops in Finch?", "answer": "The first of the day."},
    {"question": "What do dogs eat?", "answer": "What falls down."},
    {"question": "When do stocks fall?", "answer": "On Mondays."},
]
WRITTEN = PromptTemplate.from_template("Q: {question}\nA: {answer}")
CHAT = ChatPromptTemplate([("human", "{question}"), ("ai", "{answer}")])
TRAINS = "Which train goes to Aldermoor?"


def written(*numbers: int) -> str:
    return "\n\n".join(f"Q: {ROWS[n]['question']}\nA: {ROWS[n]['answer']}" for n in numbers)


BUDGET = tokens(written(0, 2))
"""Of the two examples about trains, and no other."""


def selector(
    budget_tokens: int = BUDGET, rows: list[dict[str, str]] = ROWS, **options: Any
) -> BudgetExampleSelector:
    options = {"example_prompt": WRITTEN, "model": MODEL, **options}
    return BudgetExampleSelector(rows, budget_tokens, **options)


async def both(made: BudgetExampleSelector, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = made.select_examples({**variables})
    assert await made.aselect_examples({**variables}) == found
    return found


async def test_the_examples_of_a_request_fit_in_their_order() -> None:
    before = copy.deepcopy(ROWS)
    made = selector()
    found = await both(made, {"question": TRAINS})
    assert found == [ROWS[0], ROWS[2]]
    for row in (*found, *made.examples):
        row["answer"] = "changed by the caller"
    assert await both(made, {"question": TRAINS}) == [ROWS[0], ROWS[2]]
    assert made.examples == ROWS == before
    assert await both(selector(BUDGET - 1), {"question": TRAINS}) == [ROWS[0]]
    assert await both(selector(10_000), {"question": TRAINS}) == ROWS
    assert await both(selector(at_most=1), {"question": TRAINS}) == [ROWS[0]]
    assert await both(selector(0), {"question": TRAINS}) == []


async def test_keys_say_what_is_compared() -> None:
    asks = {"question": "Ann?", "about": "dogs"}
    one = tokens(written(3)) + 2
    assert await both(selector(one, input_keys=["about"]), asks) == [ROWS[3]]
    by_all = selector(one, input_keys=["question"])
    assert await both(by_all, asks) == [ROWS[1]]
    assert by_all.explain(asks).scores == (0, 1, 0, 0, 0)
    by_question = selector(one, input_keys=["question"], example_keys=["question"])
    assert by_question.explain(asks).scores == (0, 0, 0, 0, 0)  # Ann is in the answer
    with pytest.raises(KeyError):
        selector(example_keys=["topic"])
    with pytest.raises(KeyError):
        selector(rows=[{"question": "no answer"}])


async def test_one_of_each_label_comes_first() -> None:
    rows = [{**row, "kind": kind} for row, kind in zip(ROWS, "tptps", strict=True)]
    made = selector(tokens(written(2, 1, 4)) + 1, rows=rows, label_key="kind")
    found = await both(made, {"question": "the first train of the day stops in Finch"})
    assert [row["kind"] for row in found] == ["p", "t", "s"]


async def test_examples_can_be_added() -> None:
    made = selector(rows=[])
    assert await both(made, {"question": TRAINS}) == []
    mine = dict(ROWS[0])
    made.add_example(mine)
    await made.aadd_example(ROWS[1])
    mine["answer"] = "changed later"
    assert made.examples == ROWS[:2]
    assert await both(made, {"question": TRAINS}) == ROWS[:2]


async def test_without_a_prompt_values_stand_behind_their_keys() -> None:
    text = f"question: {ROWS[0]['question']}\nanswer: {ROWS[0]['answer']}"
    made = selector(tokens(text), example_prompt=None)
    assert await both(made, {"question": TRAINS}) == [ROWS[0]]
    assert made.explain({"question": TRAINS}).text == text


async def test_it_serves_a_few_shot_template() -> None:
    prompt = FewShotPromptTemplate(
        example_selector=selector(),
        example_prompt=WRITTEN,
        suffix="Q: {question}\nA:",
        input_variables=["question"],
    )
    expected = f"{written(0, 2)}\n\nQ: {TRAINS}\nA:"
    assert prompt.format(question=TRAINS) == await prompt.aformat(question=TRAINS) == expected


def few_shot() -> ChatPromptTemplate:
    pairs = "\n".join(f"Human: {ROWS[n]['question']}\nAI: {ROWS[n]['answer']}" for n in (0, 2))
    made = selector(tokens(pairs), example_prompt=CHAT, input_keys=["history", "question"])
    shots = FewShotChatMessagePromptTemplate(
        example_selector=made, example_prompt=CHAT, input_variables=["history", "question"]
    )
    return ChatPromptTemplate(
        [("system", "Be brief."), shots, MessagesPlaceholder("history"), ("human", "{question}")]
    )


async def test_a_conversation_keeps_its_examples(
    chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    scripted.always(Reply("ok"))
    chain = few_shot() | chat_openai(MODEL)
    history: list[Any] = []
    for question in (TRAINS, "And who feeds the cats?", "What do dogs eat?"):
        asked: Any = {"history": history, "question": question}
        chain.invoke(asked, {"callbacks": [handler]})
        await chain.ainvoke(asked, {"callbacks": [handler]})
        history += [HumanMessage(question), AIMessage("ok")]
    shown = [text for n in (0, 2) for text in ROWS[n].values()]
    for request in scripted.requests:
        assert [m["content"] for m in request.body["messages"]][1:5] == shown
    effects = [*ledger.effects(lever="compression.examples")]
    assert sorted(e.operation_id for e in effects) == sorted(
        attempt.operation_id for attempt in ledger.attempts()
    )
    every = "\n".join(f"Human: {row['question']}\nAI: {row['answer']}" for row in ROWS)
    pairs = "\n".join(f"Human: {ROWS[n]['question']}\nAI: {ROWS[n]['answer']}" for n in (0, 2))
    for effect in effects:
        assert (effect.tokens_before, effect.tokens_after) == (tokens(every), tokens(pairs))
        assert effect.detail == {
            "reason": "chosen", "examples": 5, "dropped": 3, "budget_tokens": tokens(pairs),
        }  # fmt: skip


@pytest.mark.parametrize("where", ["configurable", "metadata"])
async def test_a_call_can_be_left_alone(where: str, ledger: Ledger) -> None:
    prompt = FewShotPromptTemplate(
        example_selector=selector(),
        example_prompt=WRITTEN,
        suffix="{question}",
        input_variables=["question"],
    )
    config: Any = {where: {"compress": False}}
    every = f"{written(0, 1, 2, 3, 4)}\n\n{TRAINS}"
    with track_cost(ledger):
        assert prompt.invoke({"question": TRAINS}, config).to_string() == every
        assert (await prompt.ainvoke({"question": TRAINS}, config)).to_string() == every
        assert await both(selector(enabled=False), {"question": TRAINS}) == ROWS
    assert [*ledger.effects()] == []


class Broken(TokenCounter):
    def text_counter(self, **more: Any) -> Any:
        def count(text: str) -> int:
            if text:
                raise RuntimeError("no tokens today")
            return 0

        return count

    def count_text(self, *args: Any, **more: Any) -> TokenCount:
        raise RuntimeError("no tokens today")


async def test_if_choosing_fails_all_are_sent(ledger: Ledger) -> None:
    with track_cost(ledger):
        assert await both(selector(counter=Broken()), {"question": TRAINS}) == ROWS
    assert [*ledger.effects()] == []


@pytest.mark.parametrize("wrong", [{"diversity": 2}, {"at_most": -1}, {"min_relevance": -1}])
def test_numbers_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(PromptError):
        selector(**wrong)
    with pytest.raises(PromptError):
        selector(-1)


def test_what_is_left_out_can_be_looked_at() -> None:
    plan = selector().explain({"question": TRAINS})
    assert plan.dropped == (1, 3, 4)
    assert "-Q: Who feeds the cats?" in plan.diff().splitlines()


# -- caps on answers -----------------------------------------------------------------------------


def test_a_cap_is_learned_of_a_task_and_bound(
    chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    model = chat_openai(MODEL)
    config: Any = {"callbacks": [handler], "metadata": {"task": "triage"}}
    for n in range(60):
        scripted.script(Reply("x", usage=Tokens(fresh=5, visible=40 + n)))
        model.invoke("?", config)
    scripted.script(Reply("x", usage=Tokens(fresh=5, visible=5000)))
    model.invoke("?", {"callbacks": [handler], "metadata": {"task": "essay"}})
    cap = learned_output_cap(ledger, model=MODEL, tags={"task": "triage"}, quantile=0.95)
    assert cap is not None
    # The bound on 95 % of further answers, at 95 % confidence, is the longest of 60 (Sommerville
    # 1958): 99 tokens, and a tenth on top.
    assert (cap.rank, cap.max_tokens) == (60, 109)
    scripted.script(Reply("x"), Reply("x"), Reply("x"))
    with_output_cap(model, cap).invoke("?")
    with_output_cap(chat_openai(MODEL, max_tokens=50), cap).invoke("?")
    with_output_cap(model, None).invoke("?")
    sent = [request.body.get("max_completion_tokens") for request in scripted.requests[-3:]]
    assert sent == [109, 50, None]


def test_a_cap_has_the_name_a_model_gives_it(chat_anthropic: MakeModel) -> None:
    cap = OutputCap(max_tokens=90, cut_share=0.05, confidence=0.95, observed=59, rank=59)
    bound: Any = with_output_cap(chat_anthropic(), cap)
    assert bound.kwargs == {"max_tokens": 90}
