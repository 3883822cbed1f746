"""`SystemPromptCompressor`: what LLMs are sent, by hand, in agents and in chat engines."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ImageBlock,
    TextBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import ChatPromptTemplate
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.compression.prompt import OutputCap
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCount, TokenCounter
from llama_index_frugal import track_cost
from llama_index_frugal.compression import (
    PromptPolicy,
    SystemPromptCompressor,
    with_output_cap,
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

Make = Callable[..., Any]


def compressor(how: PromptPolicy | None = None, **options: Any) -> SystemPromptCompressor:
    return SystemPromptCompressor(how or policy(), model=MODEL, **options)


def system(text: str = PROMPT, **more: Any) -> ChatMessage:
    return ChatMessage(text, role="system", **more)


def user(text: str = BOOK) -> ChatMessage:
    return ChatMessage(text, role="user")


def systems(requests: Sequence[Request]) -> list[str]:
    """What was sent as the system prompt, request by request."""
    return [next(m["content"] for m in r.body["messages"]) for r in requests]


# -- what changes and what does not --------------------------------------------------------------


async def test_the_system_prompt_shrinks_and_nothing_else_changes() -> None:
    messages = [
        system(additional_kwargs={"a": 1}),
        user(),
        ChatMessage(WORDY, role="assistant"),
        ChatMessage(PROMPT, role="tool"),
        system(),
    ]
    before = copy.deepcopy(messages)
    done = compressor()(messages)
    assert await compressor().acompress(messages) == done
    assert messages == before
    assert done[0].content == ROLE + BOOKING
    assert (done[0].role, done[0].additional_kwargs) == ("system", {"a": 1})
    assert all(new is old for new, old in zip(done[1:], messages[1:], strict=True))
    assert compressor()([]) == []


def test_blocks_stay_blocks() -> None:
    image = ImageBlock(image=b"xx")
    blocks: Any = [TextBlock(text=PROMPT), image, TextBlock(text=WORDY)]
    done = compressor()([ChatMessage(blocks=blocks, role="developer"), user()])
    first, same, last = done[0].blocks
    assert isinstance(first, TextBlock)
    assert isinstance(last, TextBlock)
    assert (first.text, same) == (ROLE + BOOKING, image)
    assert last.text == WORDY.replace("In order to", "To").replace("please ", "")
    assert [block.text for block in (blocks[0], blocks[2])] == [PROMPT, WORDY]


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("kind", ["point", "message"])
def test_nothing_up_to_the_last_cache_marker_is_changed(at: int, kind: str) -> None:
    messages = [system(), system(), user()]
    if kind == "point":
        messages[at].blocks.append(CachePoint(cache_control=CacheControl(type="ephemeral")))
    else:
        messages[at].additional_kwargs["cache_control"] = {"type": "ephemeral"}
    done = compressor()(messages)
    changed = [n for n, new in enumerate(done) if new is not messages[n]]
    assert changed == [1][at:]


def test_what_a_prompt_loses_can_be_looked_at() -> None:
    made = compressor()
    messages = [system(), user()]
    assert "-# Refunds" in made.diff(messages).splitlines()
    assert made.diff(messages, "words") == f"{ROLE}{BOOKING}[-{PROMPT[len(ROLE + BOOKING) :]}-]"
    (found,) = made.explain(messages)
    assert found.plan is not None
    assert [fate.name for fate in found.plan.dropped] == ["Baggage", "Refunds"]
    assert made.diff([user()]) == ""


def test_the_books_say_what_a_request_saves_net_of_the_cache(ledger: Ledger) -> None:
    made = compressor(used(calls=60, growth_tokens=20, shared=False))
    said = [system(LONG), user()]
    spoken = ChatMessage("A hat. " * 70, role="assistant")
    with track_cost(ledger):
        assert made(said)[0].content == LONG_WITHOUT_REFUNDS
        made([*said, spoken])
        made([*said, spoken, user("A voucher?")])
    first, went_on, joined = (effect.net_nanos for effect in ledger.effects())
    gone = tokens(LONG) - tokens(LONG_WITHOUT_REFUNDS)
    # Cold, all of it would be written; then it would be read; then it is new, and so is all that
    # has been said, although nothing is saved any more.
    assert (first, went_on) == (gone * FRESH, gone * READ)
    behind = gone + tokens(f"{BOOK}\n{spoken.content}")
    assert joined == pytest.approx(-behind * (FRESH - READ), abs=2 * FRESH)


class Broken(TokenCounter):
    def count_text(self, *args: Any, **more: Any) -> TokenCount:
        raise RuntimeError("no tokens today")

    def text_counter(self, **more: Any) -> Any:
        return self.count_text


async def test_left_alone_where_it_is_not_wanted_would_lose_or_fails(ledger: Ledger) -> None:
    messages = [system(), user()]
    with track_cost(ledger):
        assert compressor(enabled=False)(messages) == messages
        with instrument_tags({"compress": False}):
            assert compressor()(messages) == messages
            assert await compressor().acompress(messages) == messages
        assert compressor(counter=Broken())(messages) == messages
        assert [*ledger.effects()] == []
        careful = PromptPolicy(optional=("Booking", "Baggage", "Refunds"))
        assert compressor(careful)(messages) == messages
    (effect,) = ledger.effects()
    assert effect.detail["reason"] == "cache"


# -- where users have one ------------------------------------------------------------------------


async def test_in_a_conversation_the_model_reads_the_same_prompt_until_more_is_asked(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("ok"))
    llm = openai_llm(MODEL)
    short_llm = compressor().llm(llm)
    said = [system()]
    with track_cost(ledger):
        for question in (BOOK, YES, WEIGH, YES):
            said.append(user(question))
            short_llm.chat(said)
            [*short_llm.stream_chat(said)]
            await short_llm.achat(said)
            [part async for part in await short_llm.astream_chat(said)]
            said.append(ChatMessage("ok", role="assistant"))
    short, longer = ROLE + BOOKING, ROLE + BOOKING + BAGGAGE
    assert systems(scripted.requests) == [short] * 8 + [longer] * 8
    attempts, effects = [*ledger.attempts()], [*ledger.effects(lever="compression.prompt")]
    assert len(attempts) == 16
    assert {a.provider for a in attempts} == {"openai"}
    assert [e.operation_id for e in effects] == [a.operation_id for a in attempts]
    after = [tokens(short)] * 8 + [tokens(longer)] * 8
    assert [(e.tokens_before, e.tokens_after) for e in effects] == [
        (tokens(PROMPT), count) for count in after
    ]
    llm.chat(said)
    assert systems(scripted.requests[-1:]) == [PROMPT]
    assert said[0].content == PROMPT
    assert type(llm).__name__ == type(short_llm).__name__
    assert isinstance(short_llm, type(llm))


def look(what: str) -> str:
    """Looks something up."""
    return f"{what}: nothing"


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
async def test_an_agent_sends_the_same_prompt_all_through_its_loop(
    streaming: bool, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    looks = Reply(tool_calls=(ToolCall("look", {"what": "seats"}),))
    scripted.script(looks, looks, Reply("done"), looks, Reply("done"))
    agent = FunctionAgent(
        llm=compressor().llm(openai_llm(MODEL)),
        system_prompt=PROMPT,
        tools=[look],
        streaming=streaming,
    )
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000)
    with track_cost(ledger):
        for question in (BOOK, WEIGH):
            await agent.run(question, memory=memory)
    short, longer = ROLE + BOOKING, ROLE + BOOKING + BAGGAGE
    assert systems(scripted.requests) == [short] * 3 + [longer] * 2
    assert agent.system_prompt == PROMPT
    assert len([*ledger.attempts()]) == len([*ledger.effects(lever="compression.prompt")]) == 5


async def test_a_chat_engine_too(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.always(Reply("ok"))
    llm = compressor().llm(openai_llm(MODEL))
    engine = SimpleChatEngine.from_defaults(llm=llm, system_prompt=PROMPT)
    engine.chat(BOOK)
    await engine.achat(WEIGH)
    assert systems(scripted.requests) == [ROLE + BOOKING, ROLE + BOOKING + BAGGAGE]


class Row(BaseModel):
    """A row of seats."""

    number: int


async def test_structured_answers_too(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(Reply(tool_calls=(ToolCall("Row", {"number": 7}),)))
    program = FunctionCallingProgram.from_defaults(
        output_cls=Row,
        prompt=ChatPromptTemplate([system(), user("{question}")]),
        llm=compressor().llm(openai_llm(MODEL)),
    )
    assert program(question=BOOK) == Row(number=7)
    assert systems(scripted.requests) == [ROLE + BOOKING]


def test_anthropic_is_sent_the_same(anthropic_llm: Make, scripted: ScriptedServer) -> None:
    scripted.always(Reply("ok"))
    compressor().llm(anthropic_llm()).chat([system(), user()])
    sent = scripted.requests[0].body["system"]
    assert (sent if isinstance(sent, str) else sent[0]["text"]) == ROLE + BOOKING


def test_an_llm_is_shortened_once_and_can_be_copied(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("ok"))
    twice = compressor().llm(compressor().llm(openai_llm(MODEL)))
    copied = twice.model_copy(update={"temperature": 0.5})
    with track_cost(ledger):
        twice.chat([system(), user()])
        copied.chat([system(), user()])
    assert systems(scripted.requests) == [ROLE + BOOKING] * 2
    assert len([*ledger.effects()]) == 2
    assert twice.to_dict()["class_name"] == openai_llm(MODEL).to_dict()["class_name"]


# -- caps on answers -----------------------------------------------------------------------------

CAP = OutputCap(max_tokens=90, cut_share=0.05, confidence=0.95, observed=59, rank=59)


def test_a_cap_is_set_on_a_copy(
    openai_llm: Make, anthropic_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("ok"))
    llm = openai_llm(MODEL)
    with_output_cap(llm, CAP).chat([user()])
    llm.chat([user()])
    assert [r.body.get("max_tokens") for r in scripted.requests] == [90, None]
    low = openai_llm(MODEL, max_tokens=50)
    assert with_output_cap(low, CAP) is low
    assert with_output_cap(llm, None) is llm
    with_output_cap(anthropic_llm(), CAP).chat([user()])
    assert scripted.requests[-1].body["max_tokens"] == 90


class Bare(CustomLLM):
    """Takes no cap."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, *args: Any, **more: Any) -> Any: ...

    def stream_complete(self, *args: Any, **more: Any) -> Any: ...


def test_an_llm_that_takes_no_cap_is_told() -> None:
    assert with_output_cap(MockLLM(), CAP).max_tokens == 90
    with pytest.raises(CompressionError, match=r"no field for a cap on answers .* give 90"):
        with_output_cap(Bare(), CAP)
