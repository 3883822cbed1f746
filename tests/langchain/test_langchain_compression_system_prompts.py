"""`SystemPromptCompressor` and its middleware: what models are sent, and what never changes."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains import Ledger
from frugal_chains.compression import Ahead
from frugal_chains.dispatch import PrefixFacts
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCount, TokenCounter
from langchain_frugal import CostCallbackHandler, track_cost
from langchain_frugal.compression import (
    PromptPolicy,
    SystemPromptCompressor,
    SystemPromptMiddleware,
)
from tests.servers import Reply, Request, ScriptedServer, ToolCall
from tests.system_prompt import (
    BAGGAGE,
    BOOK,
    BOOKING,
    FRESH,
    LONG,
    LONG_WITHOUT_REFUNDS,
    MODEL,
    PROMPT,
    READ,
    ROLE,
    WEIGH,
    WORDY,
    YES,
    policy,
    tokens,
    used,
)

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


def compressor(how: PromptPolicy | None = None, **options: Any) -> SystemPromptCompressor:
    return SystemPromptCompressor(how or policy(), model=MODEL, **options)


def dumped(messages: Sequence[BaseMessage]) -> list[Any]:
    return copy.deepcopy([message.model_dump() for message in messages])


def systems(requests: Sequence[Request]) -> list[str]:
    """What was sent as the system prompt, request by request."""
    found = []
    for request in requests:
        first, *_ = request.body["messages"]
        assert first["role"] == "system"
        found.append(first["content"])
    return found


# -- what changes and what does not --------------------------------------------------------------


async def test_the_system_prompt_shrinks_and_nothing_else_changes() -> None:
    call = {"name": "look", "args": {}, "id": "c1", "type": "tool_call"}
    messages = [
        SystemMessage(PROMPT, id="s", name="rules", additional_kwargs={"a": 1}),
        HumanMessage(BOOK, id="h"),
        AIMessage(WORDY, id="a", tool_calls=[call]),
        ToolMessage(PROMPT, tool_call_id="c1", id="t"),
        SystemMessage(PROMPT, id="later"),
    ]
    before = dumped(messages)
    done = compressor().invoke(messages)
    assert dumped(await compressor().ainvoke(messages)) == dumped(done)
    assert dumped(messages) == before
    assert done[0].content == ROLE + BOOKING
    assert done[0].model_dump(exclude={"content"}) == messages[0].model_dump(exclude={"content"})
    assert all(new is old for new, old in zip(done[1:], messages[1:], strict=True))


def test_blocks_stay_blocks() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,xx"}}
    blocks: Any = [{"type": "text", "text": PROMPT, "id": "b1"}, image, WORDY]
    (system, _) = compressor().invoke([SystemMessage(blocks), HumanMessage(BOOK)])
    assert system.content[0] == {"type": "text", "text": ROLE + BOOKING, "id": "b1"}
    assert system.content[1] == image
    assert system.content[2] == WORDY.replace("In order to", "To").replace("please ", "")


def test_the_same_kind_comes_out() -> None:
    value = ChatPromptValue(messages=[SystemMessage(PROMPT), HumanMessage(BOOK)])
    short = compressor().invoke(value)
    assert isinstance(short, ChatPromptValue)
    assert short.messages == [SystemMessage(ROLE + BOOKING), HumanMessage(BOOK)]
    assert compressor().invoke([("system", PROMPT), ("user", BOOK)])[0].content == ROLE + BOOKING
    same: list[Any] = [PROMPT, StringPromptValue(text=PROMPT), [HumanMessage(PROMPT)], []]
    same.append(ChatPromptValue(messages=[HumanMessage(BOOK), SystemMessage(PROMPT)]))
    for prompt in same:
        assert compressor().invoke(prompt) is prompt
    with pytest.raises(CompressionError, match="dict is no prompt"):
        compressor().invoke({"messages": []})


MARKS: Any = [
    {"type": "text", "text": "cached", "cache_control": {"type": "ephemeral"}},
    {"cachePoint": {"type": "default"}},
    {"type": "tool_result", "content": [{"type": "text", "text": "x", "cache_control": {}}]},
]


@pytest.mark.parametrize("mark", MARKS, ids=["anthropic", "bedrock", "nested"])
@pytest.mark.parametrize("at", range(3))
def test_nothing_up_to_the_last_cache_marker_is_changed(mark: Any, at: int) -> None:
    messages = [SystemMessage(PROMPT), SystemMessage(PROMPT), HumanMessage(BOOK)]
    content = messages[at].content
    messages[at] = type(messages[at])([{"type": "text", "text": content}, mark])
    done = compressor().invoke(messages)
    changed = [n for n, new in enumerate(done) if new is not messages[n]]
    assert changed == [1][at:]


async def test_what_a_prompt_loses_can_be_looked_at() -> None:
    made = compressor()
    messages = [SystemMessage(PROMPT), HumanMessage(BOOK)]
    gone = [line for line in made.diff(messages).splitlines() if line.startswith("-")]
    assert "-# Refunds" in gone
    assert "-# Booking" not in gone
    assert made.diff(messages, "words") == f"{ROLE}{BOOKING}[-{PROMPT[len(ROLE + BOOKING) :]}-]"
    (found,) = made.explain(messages)
    assert found.plan is not None
    assert [fate.name for fate in found.plan.dropped] == ["Baggage", "Refunds"]
    assert made.diff([HumanMessage(BOOK)]) == ""


async def test_a_cache_that_would_lose_keeps_the_prompt(ledger: Ledger) -> None:
    careful = compressor(PromptPolicy(optional=("Booking", "Baggage", "Refunds")))
    messages = [SystemMessage(PROMPT), HumanMessage(BOOK)]
    with track_cost(ledger):
        assert careful.invoke(messages) is await careful.ainvoke(messages) is messages
    for effect in ledger.effects(lever="compression.prompt"):
        assert (effect.detail["reason"], effect.net_nanos) == ("cache", 0)
        assert effect.tokens_before == effect.tokens_after == tokens(PROMPT)
    alone = PrefixFacts(ahead=Ahead(prefix_tokens=0, most_calls=1))
    single = PromptPolicy(optional=("Booking", "Baggage", "Refunds"), prefix=alone)
    assert compressor(single).invoke(messages)[0].content == ROLE + BOOKING


def test_the_books_say_what_a_request_saves_net_of_the_cache(ledger: Ledger) -> None:
    made = compressor(used(calls=60, growth_tokens=20, shared=False))
    said: list[BaseMessage] = [SystemMessage(LONG), HumanMessage(BOOK)]
    spoken = "A hat. " * 70
    with track_cost(ledger):
        assert made.invoke(said)[0].content == LONG_WITHOUT_REFUNDS
        made.invoke([*said, AIMessage(spoken)])
        made.invoke([*said, AIMessage(spoken), HumanMessage("A voucher?")])
    first, went_on, joined = (effect.net_nanos for effect in ledger.effects())
    gone = tokens(LONG) - tokens(LONG_WITHOUT_REFUNDS)
    # Cold, all of it would be written; then it would be read; then it is new, and so is all that
    # has been said, although nothing is saved any more.
    assert (first, went_on) == (gone * FRESH, gone * READ)
    behind = gone + tokens(f"{BOOK}\n{spoken}")
    assert joined == pytest.approx(-behind * (FRESH - READ), abs=2 * FRESH)


class Broken(TokenCounter):
    def count_text(self, *args: Any, **more: Any) -> TokenCount:
        raise RuntimeError("no tokens today")

    def text_counter(self, **more: Any) -> Any:
        return self.count_text


async def test_what_fails_leaves_the_request_as_it_was(ledger: Ledger) -> None:
    made = compressor(counter=Broken())
    messages = [SystemMessage(PROMPT), HumanMessage(BOOK)]
    with track_cost(ledger):
        assert made.invoke(messages) == await made.ainvoke(messages) == messages
    assert [*ledger.effects()] == []


@pytest.mark.parametrize("where", ["configurable", "metadata"])
async def test_a_call_can_be_left_alone(where: str, ledger: Ledger) -> None:
    messages = [SystemMessage(PROMPT), HumanMessage(BOOK)]
    config: Any = {where: {"compress": False}}
    with track_cost(ledger):
        assert compressor(enabled=False).invoke(messages) is messages
        assert compressor().invoke(messages, config) is messages
        assert compressor().invoke(messages, compress=False) is messages
        assert await compressor().bind(compress=False).ainvoke(messages) is messages
    assert [*ledger.effects()] == []


# -- in a chain ----------------------------------------------------------------------------------


@BOTH
async def test_in_a_conversation_the_model_reads_the_same_prompt_until_more_is_asked(
    sync: bool,
    chat_openai: MakeModel,
    scripted: ScriptedServer,
    ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:
    scripted.always(Reply("ok"))
    prompt = ChatPromptTemplate([("system", PROMPT), MessagesPlaceholder("said")])
    chain = prompt | compressor() | chat_openai(MODEL) | StrOutputParser()
    said: list[BaseMessage] = []
    config: Any = {"callbacks": [handler]}
    for question in (BOOK, YES, WEIGH, YES):
        said.append(HumanMessage(question))
        asked = {"said": said}
        answer = chain.invoke(asked, config) if sync else await chain.ainvoke(asked, config)
        said.append(AIMessage(answer))
    short, longer = ROLE + BOOKING, ROLE + BOOKING + BAGGAGE
    assert systems(scripted.requests) == [short, short, longer, longer]
    effects = [*ledger.effects(lever="compression.prompt")]
    assert [effect.operation_id for effect in effects] == [
        attempt.operation_id for attempt in ledger.attempts()
    ]
    after = [tokens(short)] * 2 + [tokens(longer)] * 2
    assert [(e.tokens_before, e.tokens_after) for e in effects] == [
        (tokens(PROMPT), count) for count in after
    ]
    assert [effect.detail["joined"] for effect in effects] == [0, 0, 1, 0]


def test_anthropic_is_sent_the_same(chat_anthropic: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(Reply("ok"))
    chain = compressor() | chat_anthropic()
    chain.invoke([SystemMessage(PROMPT), HumanMessage(BOOK)])
    assert scripted.requests[0].body["system"] == ROLE + BOOKING


def test_a_chain_can_be_copied(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(Reply("ok"))
    chain = copy.deepcopy(compressor() | StrOutputParser().pipe(str)).first
    assert chain.invoke([SystemMessage(PROMPT), HumanMessage(BOOK)])[0].content == ROLE + BOOKING


async def test_long_prompts_are_read_off_the_loop() -> None:
    threads = set()

    class Noting(TokenCounter):
        def text_counter(self, **more: Any) -> Any:
            count = super().text_counter(**more)

            def noting(text: str) -> int:
                threads.add(threading.current_thread())
                return count(text)

            return noting

    long = PROMPT + "\n# Hats\n\n" + "A hat is a hat. " * 700
    made = compressor(counter=Noting())
    (system, _) = await made.ainvoke([SystemMessage(long), HumanMessage(BOOK)])
    assert system.content == ROLE + BOOKING
    assert threading.current_thread() not in threads


# -- in an agent ---------------------------------------------------------------------------------


@tool
def look(what: str) -> str:
    """Looks something up."""
    return f"{what}: nothing"


@BOTH
async def test_an_agent_sends_the_same_prompt_all_through_its_loop(
    sync: bool,
    chat_openai: MakeModel,
    scripted: ScriptedServer,
    ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:
    looks = Reply(tool_calls=(ToolCall("look", {"what": "seats"}),))
    scripted.script(looks, looks, Reply("done"), looks, Reply("done"))
    agent = create_agent(
        chat_openai(MODEL),
        [look],
        system_prompt=PROMPT,
        middleware=[SystemPromptMiddleware(compressor())],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [handler]}
    for question in (BOOK, WEIGH):
        start = {"messages": [HumanMessage(question)]}
        end = agent.invoke(start, config) if sync else await agent.ainvoke(start, config)
    short, longer = ROLE + BOOKING, ROLE + BOOKING + BAGGAGE
    assert systems(scripted.requests) == [short] * 3 + [longer] * 2
    assert not any(isinstance(message, SystemMessage) for message in end["messages"])
    effects = [*ledger.effects(lever="compression.prompt")]
    assert [e.operation_id for e in effects] == [a.operation_id for a in ledger.attempts()]
    assert [e.detail["joined"] for e in effects] == [0, 0, 0, 1, 1]


@BOTH
async def test_a_run_of_an_agent_can_be_left_alone(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("done"))

    def agent(made: SystemPromptCompressor, prompt: str | None = PROMPT) -> Any:
        middleware = [SystemPromptMiddleware(made)]
        return create_agent(chat_openai(MODEL), [], system_prompt=prompt, middleware=middleware)

    start = {"messages": [HumanMessage(BOOK)]}
    runs: list[tuple[Any, Any]] = [
        (agent(compressor(enabled=False)), None),
        (agent(compressor()), {"configurable": {"compress": False}}),
        (agent(compressor()), {"metadata": {"compress": False}}),
        (agent(compressor(), None), None),
    ]
    for made, config in runs:
        _ = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    assert systems(scripted.requests[:3]) == [PROMPT] * 3
    assert [m["role"] for m in scripted.requests[3].body["messages"]] == ["user"]
