"""`compacting_llm`: what leaves each request, also within one turn of an agent."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.llms import ChatMessage, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.dispatch.memory import Compaction, SummaryRequest
from frugal_chains.errors import FrugalError
from frugal_chains.memory import CompactionPolicy, Shown, WaterMark
from frugal_chains.tokens import TokenCounter
from llama_index_frugal import SystemPromptCompressor, compacting_llm, pinned, track_cost
from llama_index_frugal.memory._asking import Asks
from tests.llama_index.caching import CHATS, chat_in
from tests.llama_index.remembering import (
    EARLY,
    answers,
    asked,
    asks_for_summary,
    assistant,
    calls_tool,
    check_tool_pairs,
    pieces,
    question,
    rewrites,
    summaries,
    talk,
    texts,
    thinks_aloud,
    user,
    words,
)
from tests.servers import Reply, ScriptedServer, ToolCall
from tests.system_prompt import BOOK, MODEL, PROMPT, policy

Make = Callable[..., Any]
NICE = "Be nice."


def look_up(order: str) -> str:
    """Find an order."""
    return words(f"Result {order}", 400)


def everything() -> ChatMemoryBuffer:
    return ChatMemoryBuffer.from_defaults(token_limit=10**6)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_results_of_tools_leave_within_a_turn(
    streaming: bool, provider: str, scripted: ScriptedServer, openai_llm: Make, anthropic_llm: Make
) -> None:
    calls_tool(scripted, 9)
    told: list[Compaction] = []
    llm = compacting_llm(
        openai_llm() if provider == "openai" else anthropic_llm(),
        EARLY, summarizer="same", cache_ttl="5m", on_compaction=told.append,
    )  # fmt: skip
    agent = FunctionAgent(llm=llm, tools=[look_up], system_prompt=NICE, streaming=streaming)
    memory = everything()
    for at in range(2):
        await agent.run(question(at), memory=memory)
    sent = asked(scripted)
    assert len(sent) == 20
    for number, body in enumerate(sent):
        check_tool_pairs(body)
        assert texts(body).count(question(number // 10)[-300:]) >= 1  # what is being answered
    assert len(rewrites(sent)) == len(told) >= 3
    assert any(number % 10 for number in rewrites(sent))  # in the middle of a turn
    assert max(len(texts(body)) for body in sent) < 20_000
    assert len(memory.get_all()) == 40
    assert len(summaries(scripted)) == len(told)


async def test_observations_leave_within_a_turn_of_a_react_agent(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    thinks_aloud(scripted, 9)
    told: list[Compaction] = []
    llm = compacting_llm(openai_llm(), EARLY, on_compaction=told.append)
    agent = ReActAgent(llm=llm, tools=[look_up], system_prompt=NICE, streaming=False)
    await agent.run(question(1))
    sent = asked(scripted)
    assert len(sent) == 10
    assert len(rewrites(sent)) == len(told) >= 2
    for body in sent:
        assert texts(body).count("Question 1 about") == 1
        said = [str(m["content"]) for m in body["messages"]]
        steps = [n for n, text in enumerate(said) if text.startswith("Thought: I need it.")]
        assert all(said[n + 1].startswith("Observation: ") for n in steps)
    assert texts(sent[-1]).count("Observation: ") < 9


class Parcel(BaseModel):
    """A parcel."""

    order: str


async def test_every_way_to_chat_is_compacted(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    tool = FunctionTool.from_defaults(look_up)
    given = [*talk(6), user(question(6))]
    ways: dict[str, Callable[[Any], Any]] = {
        "chat": lambda llm: llm.chat(given),
        "stream_chat": lambda llm: [*llm.stream_chat(given)],
        "chat_with_tools": lambda llm: llm.chat_with_tools([tool], chat_history=[*given]),
        "stream_chat_with_tools": lambda llm: [
            *llm.stream_chat_with_tools([tool], chat_history=[*given])
        ],
    }
    for name, way in ways.items():
        way(compacting_llm(openai_llm(), EARLY))
        assert texts(asked(scripted)[-1]).count("Question") < 5, name
    llm = compacting_llm(openai_llm(), EARLY)
    await llm.achat(given)
    async for _ in await compacting_llm(openai_llm(), EARLY).astream_chat(given):
        pass
    await compacting_llm(openai_llm(), EARLY).achat_with_tools([tool], chat_history=[*given])
    assert [texts(b).count("Question") < 5 for b in asked(scripted)[-3:]] == [True] * 3
    scripted.always(Reply(None, tool_calls=(ToolCall("Parcel", {"order": "W1"}),)))
    template = ChatPromptTemplate.from_messages(given)
    found = compacting_llm(openai_llm("gpt-4"), EARLY).structured_predict(Parcel, template)
    assert found == Parcel(order="W1")
    assert texts(asked(scripted)[-1]).count("Question") < 5
    assert len(given) == 13


def test_the_copy_is_an_llm_of_the_same_kind(openai_llm: Make) -> None:
    llm = openai_llm()
    made = compacting_llm(llm, EARLY)
    assert isinstance(made, OpenAI)
    assert type(llm) is OpenAI
    assert made.class_name() == llm.class_name() == "openai_llm"
    assert made.metadata == llm.metadata
    assert type(compacting_llm(made)) is type(made)
    assert copy.deepcopy(made)._compacts is made._compacts


def test_a_copy_from_a_file_sends_everything(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    llm = compacting_llm(openai_llm(), EARLY)
    read = copy.copy(llm)
    read._compacts = None
    read.chat([*talk(6), user("now?")])
    assert len(asked(scripted)[-1]["messages"]) == 13
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(type(llm))  # a class that is made here has no address


def test_it_goes_with_shorter_system_prompts(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    shorter = SystemPromptCompressor(policy(), model=MODEL)
    given = [ChatMessage(PROMPT, role="system"), user(BOOK), *talk(6), user(question(6))]
    for llm in (
        shorter.llm(compacting_llm(openai_llm(), EARLY)),
        compacting_llm(shorter.llm(openai_llm()), EARLY),
    ):
        llm.chat(given)
        body = asked(scripted)[-1]
        assert texts(body).count("Question") < 5
        assert len(body["messages"][0]["content"]) < len(PROMPT)


# -- conversations -------------------------------------------------------------------------------


def goes_on(llm: Any, history: list[ChatMessage], turns: int, name: str = "") -> None:
    for at in range(turns):
        history.append(user(f"{name} {question(at)}"))
        history.append(llm.chat(history).message)


def test_the_same_request_is_decided_once(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    answers(scripted)
    told: list[Compaction] = []
    llm = compacting_llm(openai_llm(), EARLY, on_compaction=told.append, summarizer="same")
    given = [*talk(6), user(question(6))]
    with track_cost(ledger):
        for _ in range(3):
            llm.chat([*given])
    assert len(list(ledger.effects())) == 1
    assert len(told) == len(summaries(scripted)) == 1
    first, *more = asked(scripted)
    assert more == [first, first]


def test_conversations_that_begin_alike_are_told_apart(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    told: list[Compaction] = []
    llm = compacting_llm(openai_llm(), EARLY, on_compaction=told.append)
    begin = [ChatMessage(NICE, role="system"), user("Hi"), assistant("Hello.")]
    one, other = [*begin], [*begin]
    for _ in range(12):
        goes_on(llm, one, 1, "mine")
        goes_on(llm, other, 1, "theirs")
    mine = [b for b in asked(scripted) if "mine" in texts(b)]
    assert all("theirs" not in texts(body) for body in mine)
    assert len(rewrites(mine)) == len(told) // 2 >= 3
    assert len({event.id for event in told}) == len(told)


def test_a_conversation_may_go_on_from_the_middle(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    told: list[Compaction] = []
    llm = compacting_llm(openai_llm(), EARLY, on_compaction=told.append)
    history: list[ChatMessage] = []
    goes_on(llm, history, 7)
    before = len(told)
    assert before == 1
    llm.chat([*history[:-2], user("Something else?")])  # the last question is asked anew
    body = asked(scripted)[-1]
    assert len(told) == before
    assert pieces(body)[:-1] == pieces(asked(scripted)[-2])[:-1]


def test_pinned_and_system_messages_stay(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    llm = compacting_llm(openai_llm(), EARLY, pin=lambda m: "PIN" in str(m.content))
    history = [ChatMessage(NICE, role="system"), pinned(user("nuts")), user("PIN")]
    goes_on(llm, history, 12)
    last = asked(scripted)[-1]["messages"]
    assert [m["content"] for m in last[:3]] == [NICE, "nuts", "PIN"]
    assert len(history) == 27
    assert len(last) < 12


# -- summaries -----------------------------------------------------------------------------------


async def test_the_same_model_is_asked_with_the_same_tools_and_messages(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    calls_tool(scripted, 7)
    llm = compacting_llm(openai_llm(), EARLY, summarizer="same")
    agent = FunctionAgent(llm=llm, tools=[look_up], system_prompt=NICE, initial_tool_choice="auto")
    with track_cost(ledger):
        for at in range(2):
            await agent.run(question(at), memory=None)
    aligned = 0
    before: Any = None
    for request in scripted.requests:
        body = request.body
        if asks_for_summary(request) and len(body["messages"]) > 1:
            mine = pieces(body)[:-1]
            assert mine == pieces(before)[: len(mine)]
            assert "stream_options" not in body
            aligned += 1
        before = body
    assert aligned >= 1
    purposes = [row.purpose for row in ledger.attempts()]
    assert purposes.count("summary") == len(summaries(scripted)) >= aligned
    assert purposes.count("answer") == 16
    net = [effect.net_nanos for effect in ledger.effects()]
    assert net
    assert None not in net


def test_a_model_that_has_to_call_a_tool_need_not_for_a_summary(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    llm = compacting_llm(openai_llm(), EARLY, summarizer="same")
    tool, history = FunctionTool.from_defaults(look_up), list[ChatMessage]()
    for at in range(9):
        history.append(user(question(at)))
        answer = llm.chat_with_tools([tool], chat_history=[*history], tool_choice="look_up")
        history.append(answer.message)
    assert all(body["tool_choice"] for body in asked(scripted))
    aligned = [body for body in summaries(scripted) if len(body["messages"]) > 1]
    assert aligned
    for body in aligned:
        assert "tool_choice" not in body
        assert body["tools"] == asked(scripted)[0]["tools"]


def test_a_failing_summariser_fails_no_answer(scripted: ScriptedServer, openai_llm: Make) -> None:
    scripted.always(lambda r: Reply(status=500) if asks_for_summary(r) else Reply(words("So")))
    for summarizer in ("same", openai_llm("gpt-4o")):
        scripted.requests.clear()
        llm = compacting_llm(openai_llm(), EARLY, summarizer=summarizer)
        history: list[ChatMessage] = []
        goes_on(llm, history, 9)
        assert rewrites(asked(scripted)) == []
        assert 2 <= len(summaries(scripted)) <= 6


class Flat(CustomLLM):
    """Completes prompts. As its base has it, `achat` asks `chat`, and `astream_chat` the other."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="flat")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=words("So"))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield self.complete(prompt)


@pytest.mark.parametrize("way", CHATS)
async def test_an_llm_that_answers_one_method_by_another_decides_once(way: str) -> None:
    told: list[Compaction] = []
    llm = compacting_llm(Flat(), EARLY, on_compaction=told.append)
    history: list[ChatMessage] = []
    for at in range(9):
        history.append(user(question(at)))
        await chat_in(llm, way, history)
        history.append(assistant(words("So")))
    assert told
    assert len(llm._compacts._states._states) == 9  # not one of what was sent, besides


def test_nothing_that_fails_in_a_memory_fails_a_call(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)

    class Broken(FrugalError):
        """Of a counter."""

    class Counter(TokenCounter):
        def __getattribute__(self, name: str) -> Any:
            raise Broken

    llm = compacting_llm(openai_llm(), EARLY, counter=Counter())
    history: list[ChatMessage] = []
    goes_on(llm, history, 9)
    assert rewrites(asked(scripted)) == []


def test_the_window_is_never_passed(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    lazy = CompactionPolicy(trigger=WaterMark(high_tokens=10**6), limit_tokens=3_000)
    llm = compacting_llm(openai_llm(), lazy)
    history: list[ChatMessage] = []
    goes_on(llm, history, 14)
    llm.chat([*history, user("Read: " + "lorem ipsum dolor " * 20_000 + "Now?")])
    assert max(len(texts(body)) for body in asked(scripted)) < 6 * 3_000
    assert asked(scripted)[-1]["messages"][-1]["content"].endswith("Now?")


def test_a_memory_asks_the_llm_under_it_for_summaries(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    told: list[Compaction] = []
    llm = compacting_llm(openai_llm(), EARLY, on_compaction=told.append)
    asks = Asks(llm)
    view = tuple(Shown(position=at) for at in range(12))
    request = SummaryRequest(kind="aligned", prompt="Sum up.", limit_tokens=50, view=view)
    assert "So" in asks.put("", [*talk(6)])(request).message.content
    assert not told
    assert len(asked(scripted)[-1]["messages"]) == 13


async def test_requests_in_the_middle_of_a_turn_are_not_remembered_for_good(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    calls_tool(scripted, 9)
    llm = compacting_llm(openai_llm(), EARLY)
    agent = FunctionAgent(llm=llm, tools=[look_up], streaming=False)
    await agent.run(question(0))
    assert len(llm._compacts._states._states) == 2  # of the question, and of the last result
