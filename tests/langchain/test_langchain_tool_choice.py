"""`ToolChoiceMiddleware` in agents: what a provider is sent, and that nothing is out of reach."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.archive import Archive
from frugal_chains.compression.tools import FIND_TOOL
from langchain_frugal import CostCallbackHandler, RoutingMiddleware, ToolOutputMiddleware
from langchain_frugal.compression import ToolChoiceMiddleware
from tests.langchain.compressing import bag
from tests.langchain.routers import POLICY, STRONG, WEAK
from tests.langchain.toolbox import DINNER, FINE, NAMES, WEATHER, sent_names, toolbox
from tests.servers import Reply, Request, ScriptedServer, ToolCall

MakeModel = Callable[..., Any]
MODEL = "gpt-4.1-mini"
FIND = FIND_TOOL.name
TOOLS = toolbox()

BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


def calls(name: str, id_: str = "call_1", **args: Any) -> Reply:
    return Reply(tool_calls=(ToolCall(name, args, id_),))


def agent(model: Any, *made: AgentMiddleware[Any, Any, Any], **more: Any) -> Any:
    return create_agent(model, more.pop("tools", TOOLS), middleware=made, **more)


async def run(made: Any, sync: bool, *messages: Any, config: Any = None) -> list[Any]:
    said = [HumanMessage(each) if isinstance(each, str) else each for each in messages]
    start = {"messages": said}
    end = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    return list(end["messages"])


def tools_of(scripted: ScriptedServer) -> list[list[Any]]:
    return [request.body.get("tools", []) for request in scripted.requests]


def names_of(scripted: ScriptedServer) -> list[list[str]]:
    return [sent_names(request.body) for request in scripted.requests]


def thread(name: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": name, **more}}


# -- what is sent --------------------------------------------------------------------------------


@BOTH
async def test_openai_is_sent_few_tools_in_fewer_words(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), sync, WEATHER)
    await run(agent(chat_openai(MODEL)), sync, WEATHER)
    chosen, every = tools_of(scripted)
    first, second, *_ = chosen
    assert first["function"] == {
        "name": "find_tool",
        "description": "Finds further tools. Call it if no other tool fits.",
        "parameters": {
            "type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]
        },
    }  # fmt: skip
    assert second["function"] == {
        "name": "search_weather",
        "description": f"Searches the weather forecast of a city. {FINE}",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "words about weather to look for"},
                "limit": {"type": "integer", "description": "most results. Defaults to 10."},
                "language": {
                    "anyOf": [{"type": "string"}, {"type": "null"}],
                    "description": "language of the answer",
                },
            },
            "required": ["text"],
        },
    }
    assert [each["function"]["name"] for each in every] == NAMES
    assert len(json.dumps(chosen)) < 0.25 * len(json.dumps(every))


@BOTH
async def test_anthropic_too(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    await run(agent(chat_anthropic(), ToolChoiceMiddleware()), sync, WEATHER)
    (chosen,) = tools_of(scripted)
    assert [each["name"] for each in chosen[:2]] == [FIND, "search_weather"]
    assert chosen[1]["description"] == f"Searches the weather forecast of a city. {FINE}"
    assert len(chosen) <= 11


async def test_the_users_tools_stay_as_they_are(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    def seen() -> list[Any]:
        # LangChain itself keeps further attributes on tools that have run.
        fields = StructuredTool.model_fields
        return [({name: getattr(each, name) for name in fields}, each.args) for each in tools]

    tools = toolbox()
    before = seen()
    scripted.script(calls("search_weather", text="Oslo"), Reply("done"))
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware(), tools=tools)
    messages = await run(made, True, WEATHER)
    assert seen() == before
    assert messages[2].content == "search_weather has run"  # the user's own, with its default


async def test_arguments_are_checked_by_the_users_own_schema(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(calls("search_weather", text="Oslo", limit="many"), Reply("done"))
    messages = await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), True, WEATHER)
    assert messages[2].status == "error"
    assert "limit" in messages[2].content


async def test_few_tools_are_only_put_in_fewer_words(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    tools = TOOLS[:8]
    await run(agent(chat_anthropic(), ToolChoiceMiddleware(), tools=tools), True, WEATHER)
    await run(agent(chat_anthropic(), tools=tools), True, WEATHER)
    slim, plain = tools_of(scripted)
    assert names_of(scripted) == [NAMES[:8], NAMES[:8]]
    assert len(json.dumps(slim)) < 0.95 * len(json.dumps(plain))


async def test_what_only_the_provider_knows_is_sent_as_it_is(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    deferred = toolbox()[37]
    deferred.extras = {"defer_loading": True}
    tools = [*toolbox()[:37], deferred, search]
    scripted.script(calls(FIND, task="recipes for dinner"), Reply("done"))
    await run(agent(chat_anthropic(), ToolChoiceMiddleware(), tools=tools), True, WEATHER)
    await run(agent(chat_anthropic(), tools=tools), True, WEATHER)
    first, second, plain = tools_of(scripted)
    for chosen in (first, second):
        assert [each for each in chosen if each in plain] == plain[-2:]
    assert plain[-1] == search
    assert plain[-2]["defer_loading"] is True
    assert second[: len(first)] == first  # they stand before what is added


# -- what was offered stays ----------------------------------------------------------------------


def stays(sent: Sequence[Sequence[Any]]) -> bool:
    """Whether each request begins with the bytes of the one before."""
    texts = [[json.dumps(each) for each in tools] for tools in sent]
    return all(later[: len(earlier)] == earlier for earlier, later in pairwise(texts))


@BOTH
@pytest.mark.parametrize("keeps", ["checkpointer", "caller"])
async def test_tools_are_only_appended(
    sync: bool, keeps: str, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    saver = InMemorySaver() if keeps == "checkpointer" else None
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware(), checkpointer=saver)
    scripted.always(Reply("done"))
    messages: list[Any] = []
    for question in (WEATHER, DINNER, "Thanks!", "Cancel my hotel rooms for the night"):
        if question is DINNER:
            scripted.script(calls("search_recipes", text="soup"))
        before = [] if saver else messages
        messages = await run(made, sync, *before, question, config=thread("t") if saver else None)
    sent = names_of(scripted)
    assert stays(tools_of(scripted))
    assert "search_recipes" not in sent[0]
    assert "search_recipes" in sent[1]
    assert sent[2] == sent[1]
    assert "cancel_hotels" in sent[-1]
    assert len(sent[-1]) < 31


async def test_another_process_goes_on_with_the_same_bytes(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    saver = InMemorySaver()
    scripted.always(Reply("done"))
    for question in (WEATHER, DINNER, WEATHER):
        fresh = ToolChoiceMiddleware()  # remembers nothing
        made = agent(chat_openai(MODEL), fresh, checkpointer=saver)
        await run(made, True, question, config=thread("t"))
    first, second, third = tools_of(scripted)
    assert stays([first, second, third])
    assert len(third) == len(second) > len(first)


async def test_a_conversation_taken_up_earlier_goes_on_from_there(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware(), checkpointer=InMemorySaver())
    scripted.always(Reply("done"))
    await run(made, True, WEATHER, config=thread("t"))
    early = made.get_state(thread("t")).config
    await run(made, True, DINNER, config=thread("t"))
    await run(made, True, "And films in the cinema?", config=early)
    first, dinner, films = names_of(scripted)
    assert "search_recipes" in dinner
    assert "search_recipes" not in films
    assert films[: len(first)] == first
    assert "search_films" in films


async def test_without_an_id_or_marks_the_messages_tell(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    """A caller that keeps texts alone."""
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware())
    scripted.always(Reply("done"))
    await run(made, True, WEATHER)
    for question, other in ((DINNER, "search_recipes"), ("Films in the cinema?", "search_films")):
        await run(made, True, WEATHER, AIMessage("done"), question)
        names = names_of(scripted)
        assert names[-1][: len(names[0])] == names[0]
        assert other in names[-1]
    assert "search_recipes" not in names_of(scripted)[-1]


async def test_streams_do_the_same(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware(), checkpointer=InMemorySaver())
    scripted.script(calls(FIND, task="recipes for dinner"), Reply("soup and bread"))
    start = {"messages": [HumanMessage(WEATHER)]}
    pieces = [piece async for piece, _ in made.astream(start, thread("t"), stream_mode="messages")]
    assert "".join(piece.text for piece in pieces if piece.type == "AIMessageChunk") == (
        "soup and bread"
    )
    scripted.script(Reply("done"))
    for _ in made.stream({"messages": [HumanMessage(DINNER)]}, thread("t"), stream_mode="updates"):
        pass
    assert stays(tools_of(scripted))
    assert "search_recipes" in names_of(scripted)[1]
    kept = made.get_state(thread("t")).values["messages"]
    assert len(kept) == 6  # no answer twice


# -- nothing is out of reach ---------------------------------------------------------------------


@BOTH
async def test_a_tool_that_was_left_out_can_be_asked_for(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(
        calls(FIND, task="a rating of songs by an artist"),
        calls("rate_songs", "call_2", text="x"),
        Reply("done"),
    )
    messages = await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), sync, WEATHER)
    before, after, last = names_of(scripted)
    assert "rate_songs" not in before
    assert "rate_songs" in after
    assert last == after
    assert stays(tools_of(scripted))
    found, ran = (message for message in messages if isinstance(message, ToolMessage))
    assert found.content.startswith("Now available: rate_songs")
    assert ran.content == "rate_songs has run"


@BOTH
async def test_where_nothing_fits_the_names_are_listed_and_one_can_be_asked_for(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(
        calls(FIND, task="zzz"), calls(FIND, "call_2", task="export_stocks"), Reply("done")
    )
    messages = await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), sync, WEATHER)
    listed, found = (m.content for m in messages if isinstance(m, ToolMessage))
    assert listed.startswith("Nothing fits")
    offered = names_of(scripted)[0][1:]
    assert {*listed.split(": ")[1].split(", "), *offered} == {*NAMES}
    assert found.startswith("Now available: export_stocks")
    assert "export_stocks" in names_of(scripted)[2]


async def test_a_search_that_another_process_answers_is_made_up_for(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    saver = InMemorySaver()
    scripted.script(calls(FIND, task="a rating of songs by an artist"), Reply("done"))

    def made() -> Any:
        return agent(
            chat_openai(MODEL), ToolChoiceMiddleware(), checkpointer=saver,
            interrupt_before=["tools"],
        )  # fmt: skip

    await run(made(), True, WEATHER, config=thread("t"))
    end = made().invoke(None, thread("t"))
    (answer,) = (m for m in end["messages"] if isinstance(m, ToolMessage))
    assert "rate_songs" not in answer.content  # it does not know of the tools
    assert "rate_songs" in names_of(scripted)[1]
    assert stays(tools_of(scripted))


async def test_tools_that_are_called_without_being_offered(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(calls("rate_songs", text="x"), calls("no_such_tool", "call_2"), Reply("done"))
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware())
    messages = await run(made, True, WEATHER)
    ran, unknown = (m for m in messages if isinstance(m, ToolMessage))
    assert ran.content == "rate_songs has run"
    assert "rate_songs" in names_of(scripted)[1]  # from then on it is there
    assert unknown.status == "error"
    assert "no_such_tool" in unknown.content
    assert "no_such_tool" not in names_of(scripted)[2]


class Forcing(AgentMiddleware[Any, Any, Any]):
    def __init__(self, choice: Any) -> None:
        super().__init__()
        self.choice = choice

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(tool_choice=self.choice))


@pytest.mark.parametrize(
    "choice", ["rate_songs", {"type": "function", "function": {"name": "rate_songs"}}],
    ids=["name", "dict"],
)  # fmt: skip
async def test_a_forced_tool_is_sent(
    choice: Any, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = agent(chat_openai(MODEL), Forcing(choice), ToolChoiceMiddleware())
    await run(made, True, WEATHER)
    assert "rate_songs" in names_of(scripted)[0]
    assert scripted.requests[0].body["tool_choice"]["function"]["name"] == "rate_songs"


async def test_tools_that_instructions_or_the_caller_name_are_sent(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = agent(
        chat_openai(MODEL), ToolChoiceMiddleware(always=["rate_trains"]),
        system_prompt="Finish with `export_invoices`.",
    )  # fmt: skip
    await run(made, True, WEATHER)
    assert {"rate_trains", "export_invoices"} <= {*names_of(scripted)[0]}


async def test_a_find_tool_of_the_users_is_not_ours(
    chat_openai: MakeModel, scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    def find_tool(task: str) -> str:
        """Finds a hammer or a saw in the workshop."""
        return "a hammer"

    scripted.script(calls(FIND, task="rate songs"), Reply("done"))
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware(), tools=[find_tool, *toolbox()])
    messages = await run(made, True, WEATHER)
    assert names_of(scripted)[0] == [FIND, *NAMES]  # nothing is left out: nothing could find it
    assert messages[2].content == "a hammer"


async def test_what_fetches_originals_is_never_left_out(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    with Archive.open("memory://") as archive:
        outputs = ToolOutputMiddleware(200, model=MODEL, archive=archive)
        await run(agent(chat_openai(MODEL), outputs, ToolChoiceMiddleware()), True, WEATHER)
    assert "fetch_original" in names_of(scripted)[0]


# -- switches, failures and books ----------------------------------------------------------------


@BOTH
async def test_an_agent_or_a_run_can_be_left_alone(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    await run(agent(chat_openai(MODEL)), sync, WEATHER)
    for made, config in (
        (ToolChoiceMiddleware(enabled=False), None),
        (ToolChoiceMiddleware(), thread("t", compress=False)),
        (ToolChoiceMiddleware(), {"metadata": {"compress": False}}),
    ):
        messages = await run(agent(chat_openai(MODEL), made), sync, WEATHER, config=config)
        assert "frugal_tools" not in messages[-1].response_metadata
    plain, *others = (request.body for request in scripted.requests)
    assert others == [plain] * 3


def _raises(*_: object, **__: object) -> Any:
    raise RuntimeError("broken")


@BOTH
@pytest.mark.parametrize(
    "where",
    [
        "frugal_chains.dispatch.tools._planning.plan_tools",
        "frugal_chains.dispatch.tools._index.ToolIndex",
        "langchain_frugal.compression._tool_request.request_facts",
        "langchain_frugal.compression._tool_choice.shown",
    ],
    ids=["plan", "index", "facts", "words"],
)
async def test_whatever_fails_all_tools_are_sent_as_they_were(
    sync: bool, where: str, chat_openai: MakeModel, scripted: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    await run(agent(chat_openai(MODEL)), sync, WEATHER)
    monkeypatch.setattr(where, _raises)
    with caplog.at_level(logging.WARNING):
        await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), sync, WEATHER)
    plain, ours = (request.body for request in scripted.requests)
    assert ours == plain
    assert "all tools are sent as they were" in caplog.text
    assert WEATHER not in caplog.text


async def test_an_answer_that_cannot_be_marked_is_handed_on(
    chat_openai: MakeModel, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("langchain_frugal.compression._tool_choice.marked", _raises)
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware())
    messages = await run(made, True, WEATHER)
    messages = await run(made, True, *messages, DINNER)
    assert len(messages) == 4
    assert "not written on the answer" in caplog.text
    assert stays(tools_of(scripted))  # the middleware remembers


async def test_a_tool_that_cannot_be_read_is_sent_as_it_is(
    chat_openai: MakeModel, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langchain_frugal import _tool_words

    plain = _tool_words.convert_to_openai_tool

    def picky(given: Any) -> Any:
        if given.name == "rate_songs":
            raise TypeError("no schema")
        return plain(given)

    monkeypatch.setattr(_tool_words, "convert_to_openai_tool", picky)
    await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), True, WEATHER)
    (sent,) = tools_of(scripted)
    (odd,) = (each for each in sent if each["function"]["name"] == "rate_songs")
    assert odd["function"]["description"].startswith("This function")
    assert len(sent) < 15


@BOTH
async def test_errors_of_the_model_are_the_models(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=500))
    with pytest.raises(Exception, match="500"):
        await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), sync, WEATHER)
    assert len(scripted.requests) == 1


@BOTH
async def test_every_call_writes_its_effect(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.script(calls(FIND, task="a rating of songs by an artist"), Reply("done"))
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware())
    await run(made, sync, WEATHER, config={"callbacks": [handler]})
    attempts = [*ledger.attempts()]
    first, second = ledger.effects(lever="compression.tools")
    assert {each.operation_id for each in (first, second)} == {a.operation_id for a in attempts}
    assert (first.model, first.provider) == (MODEL, "openai")
    assert first.tokens_before == second.tokens_before > 5 * first.tokens_after
    assert second.tokens_after > first.tokens_after
    assert first.detail["action"] == "prune"
    assert first.detail["tools"] == 40
    assert first.detail["kept"] == len(names_of(scripted)[0]) - 1
    assert second.detail["added"] == len(names_of(scripted)[1]) - len(names_of(scripted)[0])
    assert first.net_nanos is not None
    # List price of gpt-4.1-mini: 0.40 USD per million input tokens, so 400 nanos for one.
    assert first.net_nanos == 400 * (first.tokens_before - first.tokens_after)
    assert second.net_nanos is not None
    assert second.net_nanos < first.net_nanos  # the call that only asked is paid for by the lever


# -- many at a time, and others around -----------------------------------------------------------


WANTED = {f"{WEATHER} ({n})": name for n, name in enumerate(NAMES) if name.startswith("rate_s")}
WANTED |= {f"{WEATHER} ({n})": name for n, name in enumerate(NAMES) if name.startswith("cancel_t")}


def _by_question(request: Request) -> Reply:
    """Asks for what the question is about, and is done when that has run."""
    said = request.body["messages"]
    if said[-1]["role"] == "tool":
        if said[-1]["content"].startswith("Now available"):
            wanted = said[-1]["content"].split(": ")[1].split(", ")[0]
            return calls(wanted, text="x")
        return Reply("done")
    return calls(FIND, task=WANTED[said[-1]["content"]])


@pytest.mark.parametrize("threads", [True, False], ids=["ids", "no ids"])
async def test_conversations_at_the_same_time_do_not_mix(
    threads: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    """All calls have the same id, as some models number them."""
    saver = InMemorySaver() if threads else None
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware(), checkpointer=saver)
    scripted.always(_by_question)

    def start(question: str, name: str) -> Any:
        config = thread(f"{name}{question}") if threads else None
        return {"messages": [HumanMessage(question)]}, config

    with ThreadPoolExecutor(4) as pool:
        ends = [*pool.map(lambda question: made.invoke(*start(question, "s")), WANTED)]
    ends += await asyncio.gather(*(made.ainvoke(*start(each, "a")) for each in WANTED))
    ran = [end["messages"][-2].content for end in ends]
    assert ran == [f"{name} has run" for name in WANTED.values()] * 2
    for request in scripted.requests:
        question = next(m["content"] for m in request.body["messages"] if m["role"] == "user")
        found = [each for each in sent_names(request.body) if each in WANTED.values()]
        assert found in ([], [WANTED[question]])


@BOTH
async def test_behind_a_router_the_model_that_is_asked_decides(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}
    made = agent(
        chat_openai(MODEL), RoutingMiddleware(tiers, policy=POLICY), ToolChoiceMiddleware(),
        checkpointer=InMemorySaver(),
    )  # fmt: skip
    config = {**thread("t"), "callbacks": [handler]}
    scripted.script(Reply(status=500))  # the next one takes over
    await run(made, sync, WEATHER, config=config)
    await run(made, sync, DINNER, config=config)
    await run(made, sync, f"{DINNER} Please prove it.", config=config)
    assert [r.body["model"] for r in scripted.requests] == [WEAK, STRONG, WEAK, STRONG]
    failed, answered, *_ = tools_of(scripted)
    assert failed == answered
    assert stays(tools_of(scripted))
    effects = [*ledger.effects(lever="compression.tools")]
    assert [each.model for each in effects] == [WEAK, STRONG, WEAK, STRONG]


class Forecast(BaseModel):
    """A forecast."""

    degrees: int


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy], ids=["tool", "provider"])
@BOTH
async def test_structured_answers(
    sync: bool, strategy: Any, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = agent(
        chat_openai(MODEL), ToolChoiceMiddleware(), response_format=strategy(Forecast),
        checkpointer=InMemorySaver(),
    )  # fmt: skip
    answer = (
        calls("Forecast", "call_2", degrees=7)
        if strategy is ToolStrategy
        else Reply('{"degrees": 7}')
    )
    scripted.script(calls("search_weather", text="Oslo"), answer)
    start = {"messages": [HumanMessage(WEATHER)]}
    config = thread("t")
    end = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    assert end["structured_response"] == Forecast(degrees=7)
    assert names_of(scripted)[0][:2] == [FIND, "search_weather"]
    assert stays(tools_of(scripted))
    marks = [m.response_metadata for m in end["messages"] if isinstance(m, AIMessage)]
    assert all("frugal_tools" in each for each in marks)


@pytest.mark.parametrize("first", ["caching", "choice"])
async def test_the_last_tool_bears_the_cache_marker(
    first: str, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    caching = AnthropicPromptCachingMiddleware()
    choice = ToolChoiceMiddleware(cache_ttl="" if first == "caching" else "5m")
    both = [caching, choice] if first == "caching" else [choice, caching]
    # One that has to be there, so that it stands before others that are added.
    made = agent(chat_anthropic("claude-sonnet-4-5"), *both, system_prompt="Use `export_songs`.")
    scripted.script(calls(FIND, task="recipes for dinner"), Reply("done"))
    await run(made, True, WEATHER)
    for sent in tools_of(scripted):
        assert [each["name"] for each in sent if "cache_control" in each] == [sent[-1]["name"]]
    first_names, second_names = names_of(scripted)
    assert second_names[: len(first_names)] == first_names
    assert len(second_names) > len(first_names)


@pytest.mark.parametrize("seen", ["outside", "told", "not"])
async def test_markers_are_part_of_the_price(
    seen: str, chat_anthropic: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    choice = ToolChoiceMiddleware(cache_ttl="5m" if seen == "told" else "")
    caching = [AnthropicPromptCachingMiddleware()] if seen == "outside" else []
    instructions = "You help people with whatever they ask for. " * 200
    made = agent(
        chat_anthropic("claude-sonnet-4-5"), *caching, choice, system_prompt=instructions
    )  # fmt: skip
    await run(made, True, WEATHER, config={"callbacks": [handler]})
    (effect,) = ledger.effects(lever="compression.tools")
    saved = effect.tokens_before - effect.tokens_after
    # List price of Claude Sonnet 4.5: 3 USD per million tokens, 3.75 for those that are cached.
    assert effect.net_nanos == (3000 if seen == "not" else 3750) * saved


async def test_agents_that_share_messages_do_not_take_over_each_others_tools(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    other = [each for each in TOOLS if each.name.startswith("cancel")]
    one = agent(chat_openai(MODEL), ToolChoiceMiddleware(), name="one")
    two = agent(chat_openai(MODEL), ToolChoiceMiddleware(), tools=other, name="two")
    messages = await run(one, True, WEATHER)
    messages = await run(two, True, *messages, "Cancel the trains and their platforms")
    await run(one, True, *messages, DINNER)
    first, second, third = names_of(scripted)
    assert "cancel_trains" in second
    assert third[: len(first)] == first


@BOTH
async def test_an_embedder_finds_what_shares_no_word(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    words = ["songs", "films", "trains"]
    embed = bag(words)

    def meaning(texts: Sequence[str]) -> list[list[float]]:
        return embed([text.replace("chansons", "songs") for text in texts])

    scripted.always(Reply("done"))
    question = "Quelles chansons y a-t-il?"
    await run(agent(chat_openai(MODEL), ToolChoiceMiddleware()), sync, question)
    with_it = ToolChoiceMiddleware(embedder=meaning)
    await run(agent(chat_openai(MODEL), with_it), sync, question)
    without, found = names_of(scripted)
    assert {"rate_songs", "export_songs"} <= {*found}
    assert not {"rate_songs", "export_songs"} <= {*without}


@pytest.mark.parametrize(
    "mark",
    [None, "x", {}, {"action": "burn"}, {"action": "prune", "names": 3}, {"action": ["prune"]},
     {"action": "prune", "names": ["nobody", "search_songs"], "slim": 1}],
    ids=["none", "text", "empty", "unknown", "names", "list", "gone"],
)  # fmt: skip
async def test_marks_that_make_no_sense_harm_nobody(
    mark: Any, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    earlier = AIMessage("Hello.", response_metadata={"frugal_tools": mark})
    made = agent(chat_openai(MODEL), ToolChoiceMiddleware())
    await run(made, True, "Hi", earlier, WEATHER)
    assert "search_weather" in names_of(scripted)[0]
    assert "nobody" not in names_of(scripted)[0]
    assert len(names_of(scripted)[0]) < 15
