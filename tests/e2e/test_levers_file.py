"""A file of levers, from a replay to live agents: what is sent is what was played.

Agents of both frameworks are run for real against a server with the provider's cache rules, once
as they are, which is recorded, and once with the levers that the file switches on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import LLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.llms.openai import OpenAI
from llama_index_instrumentation.dispatcher import instrument_tags

import langchain_frugal
import llama_index_frugal
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.pricing import PriceBook, Priced
from frugal_chains.replay import (
    Compression,
    Marks,
    Memory,
    RecordedCall,
    Replayed,
    Routing,
    Setup,
    read_setup,
    replay,
    setup_text,
)
from frugal_chains.replay._memory import Memories
from frugal_chains.replay._tool_outputs import ToolOutputs
from frugal_chains.replay.recorded import read_recording
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import Usage, read_usage
from tests.e2e.whatif_inputs import INPUTS, place, printed
from tests.servers import (
    AnthropicPromptCache,
    ManualClock,
    OpenAIPromptCache,
    Reply,
    ScriptedServer,
    Tokens,
    ToolCall,
)
from tests.servers.scripted import Request

WITHIN = 0.025
GAP_S = 5.0
RULES = "You help with parcels. " + "Be exact and kind. " * 300
TURNS = 14
TASKS = ("sort mail", "write letters")
"""Of the conversations, one each; only the first is in the file."""
OWN = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
SMALL = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
WORDS = ["parcel", "river", "stone", "letter", "bridge", "amber", "ticket", "garden", "window"]


EARLY = CompactionPolicy(trigger=WaterMark(high_tokens=2_600), keep_tokens=600)


def setup(
    provider: str, policy: CompactionPolicy = EARLY, budget_tokens: int | None = None
) -> Setup:
    return Setup(
        compression=Compression(budget_tokens=budget_tokens),
        memory=Memory(policy=policy, recall_tokens=600),
        routing=Routing(by_task={TASKS[0]: (provider, SMALL[provider])}),
        prompt_cache=Marks(),
    )


def written(folder: Path, made: Setup) -> Path:
    path = folder / "frugal.toml"
    path.write_text(setup_text(made), encoding="utf-8")
    assert read_setup(path) == made
    return path


class Talk:
    """What is said in one conversation, the same in every run of it."""

    def __init__(self, task: str) -> None:
        self.task, rng = task, random.Random(task)

        def words(number: int) -> str:
            return " ".join(rng.choice(WORDS) for _ in range(number))

        self.questions = [f"Where is parcel {n}? {words(60)}" for n in range(TURNS)]
        self.answers = [f"On page {n}. {words(40)}" for n in range(TURNS)]
        self.pages = [
            json.dumps(
                [
                    {"id": rng.randint(1, 10**6), "name": words(2), "note": words(12), "open": True}
                    for _ in range(rng.randint(1, 9))
                ],
                indent=2,
            )
            for _ in range(TURNS)
        ]


TALKS = {task: Talk(task) for task in TASKS}


class Minimums(AnthropicPromptCache):
    """The least that is cached, by model (platform.claude.com, prompt caching, 2026-11-21)."""

    def look_up(self, body: Mapping[str, Any]) -> Tokens:
        self.min_tokens = 4096 if "haiku" in body["model"] else 1024
        return AnthropicPromptCache.look_up(self, body)


@dataclass
class Run:
    """Both conversations, sent for real."""

    lines: list[str] = field(default_factory=list)
    """As `read_recording` reads them."""
    nanos: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def calls(self) -> list[RecordedCall]:
        return list(read_recording(self.lines))


class Stage:
    """A provider that answers each call of a run as it was answered in all others.

    Args:
        provider: Whose shapes, cache and prices.
    """

    def __init__(self, provider: str) -> None:
        self.provider, self.clock, self.run = provider, ManualClock(1_790_000_000.0), Run()
        caches: Mapping[str, Any] = {"openai": OpenAIPromptCache, "anthropic": Minimums}
        self.server = ScriptedServer(cache=caches[provider](clock=self.clock))
        self._sent: list[tuple[str, float]] = []

    def turn(self, talk: Talk, number: int) -> None:
        """The next two calls are a call of the tool, and its answer."""
        call = ToolCall("look", {"page": number}, f"call_{TASKS.index(talk.task)}_{number}")
        for reply in (Reply(tool_calls=(call,)), Reply(talk.answers[number])):
            self.server.script(self._said(talk.task, reply))

    def booked(self, usages: Sequence[Mapping[str, Any]]) -> Run:
        """Requests and what was billed for each."""
        book = PriceBook()
        rows = zip(self.server.requests, self._sent, usages, strict=True)
        for request, (task, at_s), usage in rows:
            model = request.body["model"]
            read = read_usage({"usage": usage}, provider=self.provider).usage
            price = book.price_at(int(at_s * 1e6), read, model=model, provider=self.provider)
            assert isinstance(price, Priced)
            self.run.nanos += price.nanos
            self.run.usage += read
            self.run.lines.append(
                json.dumps(
                    {
                        "timestamp": at_s, "conversation": task, "task": task,
                        "request": request.body, "response": {"model": model, "usage": usage},
                    }
                )
            )  # fmt: skip
        return self.run

    def _said(self, task: str, reply: Reply) -> Callable[[Request], Reply]:
        def answer(_: Request) -> Reply:
            self.clock.advance(GAP_S)
            self._sent.append((task, self.clock()))
            return reply

        return answer


# -- LangChain ---------------------------------------------------------------------------------


def chat_model(stage: Stage, name: str) -> BaseChatModel:
    if stage.provider == "openai":
        return ChatOpenAI(model=name, base_url=stage.server.openai_base_url, api_key="test")
    return ChatAnthropic(
        model=name, base_url=stage.server.anthropic_base_url, api_key="test", max_tokens=1024
    )


@cache
def langchain_run(provider: str, path: Path | None = None) -> Run:
    stage = Stage(provider)
    talk = TALKS[TASKS[0]]

    @tool
    def look(page: int) -> str:
        """Look at a page of the book of parcels."""
        return talk.pages[page]

    small = chat_model(stage, SMALL[provider])
    with stage.server:
        agent: Any = create_agent(
            chat_model(stage, OWN[provider]), [look],
            system_prompt=RULES,
            checkpointer=InMemorySaver(),
            middleware=[]
            if path is None
            else langchain_frugal.levers(path, models={f"{provider}:{SMALL[provider]}": small}),
        )  # fmt: skip
        usages = []
        for talk in TALKS.values():
            thread: Any = {
                "configurable": {"thread_id": talk.task},
                "metadata": {"task": talk.task},
            }
            for number, question in enumerate(talk.questions):
                stage.turn(talk, number)
                agent.invoke({"messages": [("user", question)]}, thread)
            for message in agent.get_state(thread).values["messages"]:
                if isinstance(message, AIMessage):
                    said = message.response_metadata
                    usages.append(said.get("token_usage") or said["usage"])
        return stage.booked(usages)


# -- LlamaIndex --------------------------------------------------------------------------------


async def llama_run(path: Path | None) -> Run:
    stage = Stage("openai")
    talk = TALKS[TASKS[0]]

    def look(page: int) -> str:
        """Look at a page of the book of parcels."""
        return talk.pages[page]

    with stage.server:
        usages: list[Mapping[str, Any]] = []
        answers: LLM = heard(stage, OWN["openai"], usages)
        tools: list[Any] = [look]
        if path is not None:
            small = heard(stage, SMALL["openai"], usages)
            own = llama_index_frugal.levers(
                path, answers, models={f"openai:{SMALL['openai']}": small}
            )
            answers, tools = own.llm, [*own.tools([look])]
        for talk in TALKS.values():
            agent = FunctionAgent(llm=answers, tools=tools, system_prompt=RULES, streaming=False)
            memory = ChatMemoryBuffer.from_defaults(token_limit=10**6)
            with instrument_tags({"task": talk.task}):
                for number, question in enumerate(talk.questions):
                    stage.turn(talk, number)
                    await agent.run(question, memory=memory)
        return stage.booked(usages)


def heard(stage: Stage, name: str, usages: list[Mapping[str, Any]]) -> OpenAI:
    """An LLM; what each of its calls was billed for is added to the usages."""

    async def hear(response: httpx.Response) -> None:
        await response.aread()
        usages.append(response.json()["usage"])

    return OpenAI(
        model=name, api_base=stage.server.openai_base_url, api_key="test", max_retries=0,
        async_http_client=httpx.AsyncClient(event_hooks={"response": [hear]}),
    )  # fmt: skip


# -- what is sent ------------------------------------------------------------------------------


def played(
    calls: Sequence[RecordedCall], made: Setup, *, names: bool = True
) -> list[list[tuple[str, str]]]:
    """What the replay's own levers make of recorded requests: roles and texts."""
    assert made.compression is not None
    assert made.memory is not None
    assert made.routing is not None
    counter, prices = TokenCounter(), PriceBook()
    outputs = ToolOutputs(made.compression, counter=counter, prices=prices)
    memories = Memories(made.memory, cache_ttl=made.cache_ttl, counter=counter, prices=prices)
    found = []
    for call in calls:
        assert call.request is not None
        provider, model = made.routing.by_task.get(call.task, (call.provider, call.model))
        request = spelled(call.request, names=names)
        messages = outputs.compressed(request.messages, model=model, provider=provider)
        sent = memories.sent(
            replace(request, messages=messages),
            conversation=call.conversation, model=model, provider=provider, at_s=call.at_us / 1e6,
        )  # fmt: skip
        found.append(roles_and_texts(sent.messages))
    return found


def spelled(request: RequestFacts, *, names: bool) -> RequestFacts:
    """As adapters count it: JSON with blanks, and LangChain's results with the names of their
    tools. A recording is read without them, and where a compaction hangs on a token that makes it a
    call later."""

    def blanks(text: str) -> str:
        return json.dumps(json.loads(text))

    tools = tuple(replace(tool, parameters=blanks(tool.parameters)) for tool in request.tools)
    messages = tuple(
        replace(
            message,
            name="look" if names and message.role == "tool" else message.name,
            tool_calls=tuple(
                replace(call, arguments=blanks(call.arguments)) for call in message.tool_calls
            ),
        )
        for message in request.messages
    )
    return replace(request, tools=tools, messages=messages)


def roles_and_texts(messages: Sequence[MessageFacts]) -> list[tuple[str, str]]:
    """What somebody says in several messages is one, as Anthropic's have it on their way."""
    groups = groupby(messages, key=lambda message: (message.role, message.tool_call_id))
    return [(role, "\n".join(each.text for each in said)) for (role, _), said in groups]


def replayed(run: Run, made: Setup) -> Replayed:
    return replay(read_recording(run.lines), [Setup(), made], prices=PriceBook(), now_us=0)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_agent_of_langchain_sends_what_was_played(provider: str, tmp_path: Path) -> None:
    made = setup(provider)
    before = langchain_run(provider)
    live = langchain_run(provider, written(tmp_path, made))
    assert len(live.calls) == len(before.calls) == 2 * 2 * TURNS
    for call in live.calls:
        assert call.model == (SMALL if call.task == TASKS[0] else OWN)[provider]
    sent = [roles_and_texts(call.request.messages) for call in live.calls if call.request]
    assert sent == played(before.calls, made)
    # Something was really played: denser outputs, and digests in the place of messages.
    assert before.calls[-1].request is not None
    assert len(sent[-1]) < len(before.calls[-1].request.messages) * 0.6
    assert live.usage.input_tokens < before.usage.input_tokens * 0.75


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_bill_of_an_agent_is_the_one_that_was_played(provider: str, tmp_path: Path) -> None:
    made = setup(provider, CompactionPolicy(keep_tokens=1_500), budget_tokens=150)
    before = langchain_run(provider)
    live = langchain_run(provider, written(tmp_path, made))
    found = replayed(before, made)
    assert found.recorded.nanos == before.nanos
    assert found.bills[1].nanos == pytest.approx(live.nanos, rel=WITHIN)
    assert live.nanos < before.nanos / 2


async def test_an_agent_of_llama_index_sends_what_was_played(tmp_path: Path) -> None:
    made = setup("openai")
    before = await llama_run(None)
    live = await llama_run(written(tmp_path, made))
    assert len(live.calls) == len(before.calls) == 2 * 2 * TURNS
    for call in live.calls:
        assert call.model == (SMALL if call.task == TASKS[0] else OWN)["openai"]
    sent = [roles_and_texts(call.request.messages) for call in live.calls if call.request]
    assert sent == played(before.calls, made, names=False)
    assert replayed(before, made).bills[1].nanos == pytest.approx(live.nanos, rel=WITHIN)


async def test_both_frameworks_send_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, setup("openai"))
    one, other = langchain_run("openai", path), await llama_run(path)
    for a, b in zip(one.calls, other.calls, strict=True):
        assert a.model == b.model
        assert a.request is not None
        assert b.request is not None
        assert roles_and_texts(a.request.messages) == roles_and_texts(b.request.messages)


def test_what_the_command_has_written_is_loaded_by_both(tmp_path: Path) -> None:
    place(tmp_path)
    path = tmp_path / "frugal.toml"
    printed(tmp_path, *INPUTS["openai"], "--out", str(path))
    stage = Stage("openai")
    own, small = chat_model(stage, OWN["openai"]), chat_model(stage, SMALL["openai"])
    with stage.server:
        middleware = langchain_frugal.levers(path, models={"openai:gpt-4o-mini": small})
        agent: Any = create_agent(own, [], middleware=middleware)
        llms = [
            OpenAI(model=name, api_base=stage.server.openai_base_url, api_key="test")
            for name in (OWN["openai"], SMALL["openai"])
        ]
        llm = llama_index_frugal.levers(path, llms[0], models={"openai:gpt-4o-mini": llms[1]}).llm
        for task in ("sort mail", "write letters"):
            agent.invoke({"messages": [("user", "Where is it?")]}, {"metadata": {"task": task}})
            with instrument_tags({"task": task}):
                llm.complete("Where is it?")
    asked = [request.body["model"] for request in stage.server.requests]
    assert asked == [SMALL["openai"]] * 2 + [OWN["openai"]] * 2
