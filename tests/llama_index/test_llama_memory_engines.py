"""`SummarizingMemory` in every chat engine and agent, as the provider sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.llms import ChatMessage
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.workflow import Context

from llama_index_frugal import SummarizingMemory
from tests.llama_index.remembering import (
    EARLY,
    SUMMARY,
    Facts,
    answers,
    asked,
    calls_tool,
    check_tool_pairs,
    pieces,
    question,
    rewrites,
    summaries,
    texts,
    thinks_aloud,
    words,
)
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]
NICE = "Be nice."


def remembers(llm: Any, **options: Any) -> SummarizingMemory:
    options = {"policy": EARLY, "summarizer": "same", "system_prompt": NICE, **options}
    return SummarizingMemory.from_defaults(llm=llm, **options)


def look_up(order: str) -> str:
    """Find an order."""
    return words(f"Order {order}", 400)


ENGINES: dict[str, Make] = {
    "simple": lambda llm, memory: SimpleChatEngine.from_defaults(
        llm=llm, memory=memory, system_prompt=NICE
    ),
    "context": lambda llm, memory: ContextChatEngine.from_defaults(
        Facts(), llm=llm, memory=memory, system_prompt=NICE
    ),
    "condense plus": lambda llm, memory: CondensePlusContextChatEngine.from_defaults(
        Facts(), llm=llm, memory=memory, system_prompt=NICE
    ),
    "condense": lambda llm, memory: CondenseQuestionChatEngine.from_defaults(
        RetrieverQueryEngine.from_args(Facts(), llm=llm), llm=llm, memory=memory
    ),
}
STABLE = ("simple", "context")
"""Those that send the conversation as messages, and nothing else that changes."""


async def chat(engine: Any, way: str, text: str) -> None:
    match way:
        case "chat":
            engine.chat(text)
        case "achat":
            await engine.achat(text)
        case "stream_chat":
            for _ in engine.stream_chat(text).response_gen:
                pass
        case _:
            answer = await engine.astream_chat(text)
            async for _ in answer.async_response_gen():
                pass
            task = getattr(answer, "awrite_response_to_history_task", None)
            if task is not None:
                await task


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *(("simple", way) for way in ("chat", "achat", "stream_chat", "astream_chat")),
        *(("context", way) for way in ("achat", "astream_chat")),
        *(("condense plus", way) for way in ("chat", "astream_chat")),
        *(("condense", way) for way in ("chat", "achat")),
    ],
)
async def test_chat_engines_keep_everything_and_send_less(
    name: str, way: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    memory = remembers(openai_llm(), tools=())
    engine = ENGINES[name](openai_llm(), memory)
    for at in range(7):
        await chat(engine, way, question(at))
    assert len(memory.get_all()) == 14
    assert [m.content for m in memory.get_all()[::2]] == [question(at) for at in range(7)]
    assert memory.state.account.calls == 7  # one decision a turn, however often it is asked
    assert len(memory.compactions) == len(summaries(scripted)) == 1
    last = asked(scripted)[-1]
    assert "order is W4711" in texts(last) or name == "condense"  # that asks a query engine
    if name in STABLE:
        assert len(pieces(last)) < 12
        assert rewrites(asked(scripted)) == [5]


async def test_a_question_that_is_not_in_the_memory_yet_is_sent_once(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    memory = remembers(openai_llm())
    engine = ENGINES["context"](openai_llm(), memory)
    for at in range(6):
        await engine.achat(question(at))
        assert texts(asked(scripted)[-1]).count(f"Question {at} ") == 1
        assert memory.get(input=question(99))[-1].content != question(99)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_function_agents(
    provider: str, streaming: bool, scripted: ScriptedServer, openai_llm: Make, anthropic_llm: Make
) -> None:
    calls_tool(scripted, 3)
    llm = openai_llm() if provider == "openai" else anthropic_llm()
    memory = remembers(llm, tools=[look_up], cache_ttl="5m")
    agent = FunctionAgent(llm=llm, tools=[look_up], system_prompt=NICE, streaming=streaming)
    for at in range(5):
        await agent.run(question(at), memory=memory)
    sent = asked(scripted)
    assert len(sent) == 20
    for body in [*sent, *summaries(scripted)]:
        check_tool_pairs(body)
    assert memory.state.account.calls == 5  # one decision a turn
    assert len(memory.get_all()) == 40
    assert len(memory.compactions) == len(summaries(scripted)) >= 2
    assert len(rewrites(sent)) == len(memory.compactions)
    assert all(at % 4 == 0 for at in rewrites(sent))  # never while a question is being answered


@pytest.mark.filterwarnings("ignore::workflows.context.state_store.UnserializableKeyWarning")
async def test_an_agent_that_goes_on_with_a_context_goes_on_with_the_memory(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    calls_tool(scripted, 3)
    llm = openai_llm()
    memory = remembers(llm, tools=[look_up])
    agent = FunctionAgent(llm=llm, tools=[look_up], system_prompt=NICE)
    context = Context(agent)
    for at in range(3):
        await agent.run(question(at), ctx=context, memory=memory)
        assert await context.store.get("memory") is memory
    assert len(memory.get_all()) == 24
    assert memory.state.account.calls == 3
    assert len(memory.compactions) == len(summaries(scripted)) == 1
    read = Context.from_dict(agent, json.loads(json.dumps(context.to_dict())))
    saved = SummarizingMemory.from_json(memory.to_json(), llm=llm, summarizer="same")
    await agent.run(question(3), ctx=read, memory=saved)
    assert len(saved.get_all()) == 32
    check_tool_pairs(asked(scripted)[-1])


async def test_several_agents_share_a_memory(scripted: ScriptedServer, openai_llm: Make) -> None:
    calls_tool(scripted, 2)
    memory = remembers(openai_llm(), tools=[look_up])
    agent = FunctionAgent(
        name="one", description="finds", llm=openai_llm(), tools=[look_up], system_prompt=NICE
    )
    flow = AgentWorkflow(agents=[agent])
    for at in range(5):
        await flow.run(question(at), memory=memory)
    for body in asked(scripted):
        check_tool_pairs(body)
    assert len(memory.get_all()) == 30
    assert memory.compactions
    assert len(rewrites(asked(scripted))) == len(memory.compactions)


async def test_react_agents(scripted: ScriptedServer, openai_llm: Make) -> None:
    thinks_aloud(scripted, 2)
    memory = remembers(openai_llm(), summarizer=None)
    agent = ReActAgent(llm=openai_llm(), tools=[look_up], system_prompt=NICE)
    for at in range(6):
        answer = await agent.run(question(at), memory=memory)
    assert str(answer).startswith("So")
    assert len(memory.get_all()) == 12
    assert memory.state.account.calls == 6
    assert memory.compactions
    assert "[Summary" in texts(asked(scripted)[-1])


async def test_the_state_of_an_agent_goes_into_the_question_for_the_whole_turn(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    calls_tool(scripted, 2)
    memory = remembers(openai_llm(), tools=[look_up])
    agent = FunctionAgent(
        llm=openai_llm(), tools=[look_up], system_prompt=NICE, initial_state={"cart": "empty"}
    )
    for at in range(4):
        await agent.run(question(at), memory=memory)
    sent = asked(scripted)
    assert all("'cart': 'empty'" in texts(body) for body in sent)
    assert memory.compactions
    assert len(rewrites(sent)) == len(memory.compactions)


# -- requests for summaries ----------------------------------------------------------------------


async def test_the_model_that_answers_is_asked_behind_the_same_request(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    calls_tool(scripted, 1)
    memory = remembers(openai_llm(), tools=[look_up])
    agent = FunctionAgent(llm=openai_llm(), tools=[look_up], system_prompt=NICE, streaming=False)
    for at in range(8):
        await agent.run(question(at), memory=memory)
    checked = 0
    before: Any = None
    for request in scripted.requests:
        body = request.body
        if body in summaries(scripted):
            mine, theirs = pieces(body), pieces(before)
            assert mine[:-1] == theirs[: len(mine) - 1]  # all but the instruction
            assert body["tools"] == before["tools"]
            assert body["tool_choice"] == before["tool_choice"]
            checked += 1
        before = body
    assert checked == len(memory.compactions) >= 2


async def test_who_does_not_know_the_head_is_never_asked_behind_it(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    memory = remembers(openai_llm(), system_prompt=None)
    for at in range(7):
        await chat(ENGINES["simple"](openai_llm(), memory), "achat", question(at))
    assert [event.kind for event in memory.compactions] == ["flat"] * len(memory.compactions)
    for body in summaries(scripted):
        assert [m["role"] for m in body["messages"]] == ["user"]
        assert "tools" not in body


async def test_another_model_is_given_a_transcript_of_all_that_leaves(
    scripted: ScriptedServer, openai_llm: Make, anthropic_llm: Make
) -> None:
    answers(scripted)
    memory = remembers(openai_llm(), summarizer=anthropic_llm("claude-haiku-4-5"))
    engine = ENGINES["simple"](openai_llm(), memory)
    for at in range(6):
        engine.chat(question(at))
    (body,) = summaries(scripted)
    assert body["model"] == "claude-haiku-4-5"
    (event,) = memory.compactions
    gone = memory.get_all()[: event.messages]
    assert all(str(m.content) in body["messages"][0]["content"][0]["text"] for m in gone)
    assert SUMMARY.splitlines()[1] in str(memory.get()[0].content)


def test_the_memory_class_of_an_engine_can_be_named(openai_llm: Make) -> None:
    engine = SimpleChatEngine.from_defaults(
        llm=openai_llm(), memory_cls=SummarizingMemory, chat_history=[ChatMessage("a")]
    )
    memory = engine._memory
    assert isinstance(memory, SummarizingMemory)
    assert memory.policy.limit_tokens == 128_000 - 256  # of gpt-4o-mini, as engines do
    assert [m.content for m in engine.chat_history] == ["a"]


async def test_messages_of_two_blocks_and_a_failing_call_leave_a_valid_conversation(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    memory = remembers(openai_llm())
    engine = ENGINES["simple"](openai_llm(), memory)
    scripted.script(Reply(status=500))
    with pytest.raises(Exception, match=r"500|Error"):
        engine.chat(question(0))
    for at in range(7):
        engine.chat(question(at))
    assert len(memory.get_all()) == 15
    assert memory.compactions
