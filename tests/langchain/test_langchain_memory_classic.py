"""`SummarizingMemory` where `ConversationSummaryBufferMemory` stood."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from langchain_core.runnables import RunnableLambda

from frugal_chains import Ledger
from frugal_chains.dispatch.memory import MemoryStates
from frugal_chains.memory import CompactionPolicy
from langchain_frugal import SummarizingMemory, track_cost
from tests.langchain.remembering import (
    EAGER,
    SUMMARY,
    answered_requests,
    answers_and_summaries,
    conversation,
    said,
    segments_in,
    summary_requests,
    texts,
)
from tests.servers import ScriptedServer

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


def memory(**options: Any) -> SummarizingMemory:
    return SummarizingMemory(**{"model": "gpt-4o-mini", "policy": EAGER, **options})


def save(kept: SummarizingMemory, *numbers: int) -> None:
    for number in numbers:
        kept.save_context({"input": said(number)}, {"output": said(number)})


async def load(kept: SummarizingMemory, sync: bool, **inputs: Any) -> Any:
    if sync:
        return kept.load_memory_variables(inputs)[kept.memory_key]
    return (await kept.aload_memory_variables(inputs))[kept.memory_key]


def test_making_one_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = memory()
        kept.save_context({"input": "Hi"}, {"output": "Hello"})
        assert kept.load_memory_variables({"input": "Well?"}) == {"history": "Human: Hi\nAI: Hello"}


@BOTH
async def test_texts_and_messages(sync: bool) -> None:
    text, listed = memory(), memory(return_messages=True, memory_key="chat")
    assert (text.memory_variables, listed.memory_variables) == (["history"], ["chat"])
    assert await load(text, sync, input="Well?") == ""
    assert await load(listed, sync, input="Well?") == []
    for kept in (text, listed):
        for number in range(12):
            given, answer = {"input": said(number)}, {"output": said(number)}
            if sync:
                kept.save_context(given, answer)
            else:
                await kept.asave_context(given, answer)
    lines = (await load(text, sync, input="Well?")).splitlines()
    messages = await load(listed, sync, input="Well?")
    assert lines[0] == "System: [Summary of earlier messages]"
    assert lines[-1] == f"AI: {said(11)}"
    assert messages[0].content.startswith("[Summary of earlier messages]")
    assert messages[-1].content == said(11)
    assert isinstance(messages[-1], AIMessage)
    assert len(messages) < 12
    assert len(text.chat_memory.messages) == len(listed.chat_memory.messages) == 24
    assert text.moving_summary_buffer.startswith("[Summary of earlier messages]")
    assert "[Summary" in str(text.buffer)


def test_names_and_keys_as_of_the_class_it_stands_for() -> None:
    kept = memory(human_prefix="Person", ai_prefix="Helper", input_key="q", output_key="a")
    kept.save_context({"q": "Hi", "other": "x"}, {"a": "Hello", "b": "y"})
    given = kept.load_memory_variables({"q": "Well?", "other": "x"})
    assert given == {"history": "Person: Hi\nHelper: Hello"}
    several = memory()
    save(several, 0)
    # A chain with several inputs has not said which of them is asked.
    assert "Human: Point 0" in several.load_memory_variables({"a": "1", "b": "2"})["history"]
    assert "Human: Point 0" in several.load_memory_variables({})["history"]
    with pytest.raises(ValueError, match="One input key"):
        several.save_context({"a": "1", "b": "2"}, {"output": "x"})


def test_the_limit_of_tokens_says_what_stays() -> None:
    small, large = (
        SummarizingMemory(
            model="gpt-4o-mini", max_token_limit=limit, return_messages=True, recall_tokens=0
        )
        for limit in (1_200, 3_000)
    )
    for kept in (small, large):
        save(kept, *range(20))
    views = [kept.load_memory_variables({"input": "Well?"})["history"] for kept in (small, large)]
    assert len(views[0]) < len(views[1]) < 40


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_what_the_question_needs_is_shown_again_at_the_end(sync: bool) -> None:
    vague = RunnableLambda(lambda messages: "Facts:\nThe person asked about parcels.")
    kept = memory(return_messages=True, summarizer=vague)
    kept.save_context(
        {"input": "The code of my locker is QX-5521, in the hall of the museum."},
        {"output": "I will remember that."},
    )
    save(kept, *range(12))
    await load(kept, sync, input="Hm.")
    messages = await load(kept, sync, input="What is the code of my locker in the museum?")
    assert "QX-5521" in str(messages[-1].content)
    again = await load(kept, sync, input="What is the code of my locker in the museum?")
    assert [m.content for m in again] == [m.content for m in messages]
    plain = await load(kept, sync, input="Thanks.")
    assert "QX-5521" not in str(plain[-1].content)
    assert [m.content for m in plain] == [m.content for m in messages[:-1]]


@BOTH
async def test_a_conversation_chain(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(answers_and_summaries())
    model = chat_openai()
    kept = SummarizingMemory(
        model=model, llm=chat_openai("gpt-4.1-nano"), policy=EAGER, recall_tokens=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the chain is deprecated, and used
        from langchain_classic.chains import ConversationChain

        chain = ConversationChain(llm=model, memory=kept)
        # A memory is not told of the callbacks of its chain's run.
        with track_cost(ledger):
            for number in range(12):
                given = {"input": said(number)}
                end = chain.invoke(given) if sync else await chain.ainvoke(given)
    assert end["response"]
    assert len(kept.chat_memory.messages) == 24
    last = texts(answered_requests(scripted)[-1]["messages"][-1])
    assert SUMMARY.splitlines()[1] in last
    assert last.endswith(f"Human: {said(11)}\nAI:")
    assert said(0) not in last
    assert {body["model"] for body in summary_requests(scripted)} == {"gpt-4.1-nano"}
    purposes = {line.key["purpose"]: line.attempts for line in ledger.totals(by=["purpose"])}
    assert purposes["answer"] == 12
    assert purposes["summary"] == len(summary_requests(scripted)) >= 2


def test_an_llm_chain_with_messages(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(answers_and_summaries())
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You help."), MessagesPlaceholder("history"), ("human", "{input}")]
    )
    kept = memory(model=chat_openai(), summarizer="same", return_messages=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_classic.chains import LLMChain

        chain = LLMChain(llm=chat_openai(), prompt=prompt, memory=kept)
        for number in range(12):
            chain.invoke({"input": said(number)})
    sent = answered_requests(scripted)
    assert segments_in(sent[-1])
    assert len(sent[-1]["messages"]) < 15
    assert texts(sent[-1]["messages"][0]) == "You help."


@BOTH
async def test_clear_forgets_everything(sync: bool) -> None:
    kept = memory()
    save(kept, *range(12))
    await load(kept, sync, input="Well?")
    assert kept.compactions
    _ = kept.clear() if sync else await kept.aclear()
    assert kept.compactions == ()
    assert kept.moving_summary_buffer == ""
    assert await load(kept, sync, input="Well?") == ""


def test_undo_and_shared_states() -> None:
    states = MemoryStates()
    policy = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50)
    kept = memory(policy=policy, states=states, conversation="s1", return_messages=True)
    save(kept, *range(12))
    assert len(kept.load_memory_variables({"input": "Well?"})["history"]) < 24
    assert states.get("s1").segments == kept.compactions
    kept.undo(kept.compactions[0].id)
    assert len(kept.load_memory_variables({"input": "Well?"})["history"]) == 24


def test_a_history_of_the_users_own() -> None:
    from langchain_frugal.memory._kept import KeptMessages

    own = KeptMessages(conversation(12))
    kept = memory(chat_memory=own, return_messages=True)
    before: list[BaseMessage] = [*own.messages]
    assert len(kept.load_memory_variables({"input": "Well?"})["history"]) < 24
    assert own.messages == before
    kept.save_context({"input": "Well?"}, {"output": "Fine."})
    assert own.messages[-2:] == [HumanMessage("Well?"), AIMessage("Fine.")]


def test_same_needs_a_model() -> None:
    with pytest.raises(ValueError, match="model="):
        memory(summarizer="same")


def test_the_library_imports_without_the_classic_package() -> None:
    code = (
        "import sys; sys.modules['langchain_classic'] = None\n"
        "import langchain_frugal\n"
        "langchain_frugal.SummarizingChatHistory()\n"
        "assert 'langchain' not in sys.modules\n"
        "try:\n    langchain_frugal.SummarizingMemory\n"
        "except ImportError as error:\n    print('langchain_classic' in str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_a_prompt_of_plain_text(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    prompt = PromptTemplate.from_template("{history}\n{input}")
    kept = memory()
    save(kept, 0)
    given = prompt.invoke({**kept.load_memory_variables({"input": "Well?"}), "input": "Well?"})
    assert given.to_string().endswith("\nWell?")
