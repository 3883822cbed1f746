"""`PromptCompressor`: what it changes in a conversation, what never, and that it stays the same."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue, ImagePromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from frugal_chains import Ledger
from frugal_chains.compression.shape import restore
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCount, TokenCounter
from langchain_frugal import CostCallbackHandler, DocumentCompressor, PromptCompressor, track_cost
from langchain_frugal.compression import Parts, question_last
from tests.langchain.compressing import ANSWER, MODEL, QUESTION, prose, tokens
from tests.servers import Reply, ScriptedServer

MakeModel = Callable[..., Any]
BUDGET = 120
CONTEXT = f"{prose('looms', 12)} {ANSWER} {prose('wells', 12)}"
RECORDS = [{"id": f"R{n:04}", "city": "Aldermoor", "note": f"Entry {n}."} for n in range(12)]


def compressor(budget_tokens: int = BUDGET, **options: Any) -> PromptCompressor:
    return PromptCompressor(budget_tokens, model=MODEL, **options)


def dumped(messages: Sequence[BaseMessage]) -> list[Any]:
    return copy.deepcopy([message.model_dump() for message in messages])


def call(name: str, id_: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": id_, "type": "tool_call"}


def conversation() -> list[BaseMessage]:
    """With everything that must not change, and three things that may."""
    return [
        SystemMessage(prose("orchards", 30), id="s"),
        HumanMessage(f"Read this first.\n\n{CONTEXT}\n\n{QUESTION}", id="h", name="ann"),
        AIMessage(
            prose("comets", 30),
            id="a",
            tool_calls=[call("search", "c1", bridge="Aldermoor"), call("look", "c2")],
            additional_kwargs={"signature": "xyz"},
        ),
        ToolMessage(CONTEXT, tool_call_id="c1", id="t1", artifact=[1], name="search"),
        ToolMessage(prose("wells", 30), tool_call_id="c2", id="t2", status="error"),
        ToolMessage(json.dumps(RECORDS, indent=2), tool_call_id="c2", id="t3"),
        HumanMessage("Thank you."),
    ]


# -- what changes and what does not --------------------------------------------------------------


async def test_context_shrinks_and_nothing_else_changes() -> None:
    messages = conversation()
    before = dumped(messages)
    done = compressor().invoke(messages)
    assert dumped(await compressor().ainvoke(messages)) == dumped(done)
    assert dumped(messages) == before
    assert [m.model_dump(exclude={"content"}) for m in done] == [
        m.model_dump(exclude={"content"}) for m in messages
    ]
    assert {n for n, m in enumerate(done) if m.content != messages[n].content} == {1, 3, 5}
    head, context, question = done[1].text.split("\n\n")
    assert (head, question) == ("Read this first.", QUESTION)
    assert ANSWER in context
    assert ANSWER in done[3].text
    assert tokens(context) <= BUDGET
    assert all(tokens(done[n].text) <= BUDGET for n in (3, 5))


def test_a_lossless_form_comes_first_and_nothing_is_cut_if_it_fits() -> None:
    messages = [
        HumanMessage("Which?"),
        ToolMessage(json.dumps(RECORDS, indent=2), tool_call_id="1"),
    ]
    (_, output) = compressor(600).invoke(messages)
    assert json.loads(restore(output.text, "outline")) == RECORDS
    (_, plain) = compressor(600, forms=("json",)).invoke(messages)
    assert json.loads(plain.content) == RECORDS
    assert tokens(output.text) < tokens(plain.text) < tokens(messages[1].text)
    (_, same) = compressor(5000, forms=()).invoke(messages)
    assert same.content == messages[1].content


def test_blocks_that_are_no_text_stay_where_they_are() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,xx"}}
    messages = [
        HumanMessage([{"type": "text", "text": CONTEXT, "id": "b1"}, image, QUESTION]),
        AIMessage("", tool_calls=[call("look", "c1")]),
        ToolMessage([image, {"type": "text", "text": CONTEXT}], tool_call_id="c1"),
    ]
    human, _, output = compressor().invoke(messages)
    assert [*human.content[0]] == ["type", "text", "id"]
    assert human.content[1:] == [image, QUESTION]
    assert ANSWER in human.content[0]["text"]
    assert tokens(human.content[0]["text"]) <= BUDGET
    assert output.content[0] == image
    assert tokens(output.content[1]["text"]) <= BUDGET


def test_a_block_of_which_nothing_is_kept_is_left_out_because_providers_refuse_it() -> None:
    blocks: Any = [{"type": "text", "text": prose("wells", 10)}, {"type": "text", "text": CONTEXT}]
    messages = [HumanMessage(QUESTION), ToolMessage(blocks, tool_call_id="1")]
    (_, output) = compressor(20).invoke(messages)
    assert [block["text"] for block in output.content] == [ANSWER]


MARKS: Any = [
    {"type": "text", "text": "cached", "cache_control": {"type": "ephemeral"}},
    {"cachePoint": {"type": "default"}},
    {"type": "tool_result", "content": [{"type": "text", "text": "x", "cache_control": {}}]},
]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("at", range(7))
def test_nothing_up_to_the_last_cache_marker_is_changed(mark: Any, at: int) -> None:
    messages = conversation()
    messages.insert(at, HumanMessage([mark]))
    messages.insert(0, SystemMessage([MARKS[0]]))
    done = compressor().invoke(messages)
    for n in range(at + 2):
        assert done[n] is messages[n]
    changed = [m.id for m, new in zip(messages, done, strict=True) if m.content != new.content]
    assert changed == [m.id for m in messages[at + 2 :] if m.id in ("h", "t1", "t3")]


def test_a_marker_of_a_whole_message_counts() -> None:
    messages = conversation()
    messages[-1].additional_kwargs["cache_control"] = {"type": "ephemeral"}
    assert compressor().invoke(messages) == messages


def test_who_selects_says_what_is_context() -> None:
    messages = [SystemMessage(f"{CONTEXT}"), HumanMessage(QUESTION)]
    assert compressor().invoke(messages) == messages
    (system, human) = compressor(select=lambda message: message.type == "system").invoke(messages)
    assert ANSWER in system.text
    assert tokens(system.text) <= BUDGET
    assert human.content == QUESTION


@pytest.mark.parametrize(
    "args", [{"number": "Order 277"}, {"where": {"number": ["Order 277"]}}], ids=["flat", "nested"]
)
def test_the_arguments_of_a_tool_call_are_part_of_its_question(args: Any) -> None:
    rows = [f"Order {n} was sent to shop {n % 7}." for n in range(400)]
    # In quotes a word is looked for to the letter: names of arguments are not meant like that.
    rows += ['A "number" and a "where" are wanted.'] * 20
    messages = [
        HumanMessage("Where is it?"),
        AIMessage("", tool_calls=[call("orders", "c1", **args)]),
        ToolMessage("\n".join(rows), tool_call_id="c1"),
    ]
    assert "Order 277 was sent" in compressor(40).invoke(messages)[2].text


def test_every_question_has_its_own_context() -> None:
    both = f"{CONTEXT} The Finch well is 90 metres deep. {prose('comets', 12)}"
    messages = [
        SystemMessage(both),
        HumanMessage(QUESTION),
        ToolMessage(both, tool_call_id="1"),
        AIMessage("1,204 metres."),
        HumanMessage("How deep is the Finch well?"),
        ToolMessage(both, tool_call_id="2"),
    ]
    done = compressor(18, select=lambda message: message.type in ("tool", "system")).invoke(
        messages
    )
    assert [ANSWER in done[n].text for n in (0, 2, 5)] == [True, True, False]
    assert ["Finch" in done[n].text for n in (0, 2, 5)] == [False, False, True]


# -- the same again ------------------------------------------------------------------------------

TEXTS = st.sampled_from(
    [
        *("Hello.", QUESTION, CONTEXT, f"Look:\n\n{CONTEXT}\n\nWells?", "", "a\n\nb"),
        "Careful:\n[same as tool output 1]",
    ]
)


@st.composite
def talks(draw: st.DrawFn) -> list[BaseMessage]:
    messages: list[BaseMessage] = [HumanMessage(draw(TEXTS))]
    for n in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["human", "ai", "tool"]))
        if kind == "human":
            messages.append(HumanMessage(draw(TEXTS)))
        elif kind == "ai":
            messages.append(AIMessage(draw(TEXTS)))
        else:
            args = {"what": draw(st.sampled_from(["looms", "wells"]))}
            messages.append(AIMessage("", tool_calls=[call("find", f"c{n}", **args)]))
            messages.append(ToolMessage(draw(TEXTS), tool_call_id=f"c{n}"))
    return messages


@given(talks())
@settings(max_examples=60)
def test_a_conversation_only_ever_grows(messages: list[BaseMessage]) -> None:
    long_lived = compressor(60)
    whole = dumped(long_lived.invoke(messages))
    for turn in range(1, len(messages) + 1):
        assert dumped(long_lived.invoke(messages[:turn])) == whole[:turn]
    assert dumped(compressor(60).invoke(messages)) == whole  # another process


def readings(*texts: str) -> list[BaseMessage]:
    """A file is read again and again."""
    messages: list[BaseMessage] = [HumanMessage("What is in the file?")]
    for n, text in enumerate(texts):
        messages.append(AIMessage("", tool_calls=[call("read", f"c{n}", path="a.txt")]))
        messages.append(ToolMessage(text, tool_call_id=f"c{n}", id=f"m{n}"))
    return messages


FILE = "\n".join(
    f"Line {n} of the file says that loom {n} stands in hall {n % 7}." for n in range(9)
)


def test_an_output_that_repeats_an_earlier_one_is_a_reference(ledger: Ledger) -> None:
    messages = readings("nothing", FILE, FILE)
    with track_cost(ledger):
        done = compressor(1000).invoke(messages)
    assert done[:-1] == messages[:-1]
    assert done[-1] == messages[-1].model_copy(update={"content": "[same as tool output 2]"})
    (effect,) = ledger.effects()
    saved = tokens(FILE) - tokens("[same as tool output 2]")
    assert effect.tokens_before - effect.tokens_after == saved
    assert compressor(1000, repeats=False).invoke(messages) == messages


def test_a_passage_that_repeats_is_a_reference_to_its_lines() -> None:
    done = compressor(1000).invoke(readings(FILE, f"Now:\n{FILE}\nDone."))
    expected = f'Now:\n[lines 1-9 of tool output 1 again, from "{FILE[:24].strip()}"]\nDone.'
    assert done[-1].content == expected


def test_what_stands_in_the_cache_is_referred_to_and_not_changed() -> None:
    messages = readings(FILE, FILE, FILE)
    cached = [{"type": "text", "text": FILE, "cache_control": {"type": "ephemeral"}}]
    messages[4] = messages[4].model_copy(update={"content": cached})
    done = compressor(1000).invoke(messages)
    assert done[:-1] == messages[:-1]
    assert done[-1].content == "[same as tool output 1]"


def test_behind_what_reads_like_a_reference_nothing_is_folded() -> None:
    messages = readings(FILE, FILE, "[same as tool output 1]", FILE)
    done = compressor(1000).invoke(messages)
    assert done[4].content == "[same as tool output 1]"
    assert done[5:] == messages[5:]


@pytest.mark.parametrize("lines", [50, 2000])
async def test_what_repeats_is_folded_in_async_code_too(lines: int) -> None:
    """A long conversation is folded in a thread: the loop goes on."""
    text = "\n".join(f"Line {n} of the file has nothing to say but {n * n}." for n in range(lines))
    messages = readings(text, text, text)
    done = await compressor(100_000).ainvoke(messages)
    assert done == compressor(100_000).invoke(messages)
    assert [m.content for m in done[4::2]] == ["[same as tool output 1]"] * 2


def test_if_folding_fails_outputs_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: object, **_options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("langchain_frugal.compression._repeats.fold_duplicates", fails)
    messages = readings(FILE, FILE)
    assert compressor(1000).invoke(messages) == messages


# -- what is asked -------------------------------------------------------------------------------

LONG = "word " * 200


@pytest.mark.parametrize(
    ("text", "context", "query"),
    [
        ("Why?", "", "Why?"),
        ("", "", ""),
        (" \n\n ", "", ""),
        ("Doc.\n\nWhy?", "", "Why?"),
        (f"{LONG}\n\nWhy?", LONG.strip(), "Why?"),
        (f"Read.\n\n{LONG}\n\nMore.\n \nWhy?\n", f"{LONG}\n\nMore.", "Why?"),
        (f"Sum this up:\n\n{LONG}", LONG.strip(), "Sum this up:"),
        (f"{LONG}\n\n{LONG}", LONG.strip(), LONG.strip()),
        (f"Sum up:\nfirst\n{LONG}", f"first\n{LONG}".strip(), "Sum up:"),
        ("Read.\none\ntwo\nWhy?", "one\ntwo", "Why?"),
        (f"{LONG}\r\n\r\nWhy?", LONG.strip(), "Why?"),
    ],
)
def test_the_question_stands_at_the_edge(text: str, context: str, query: str) -> None:
    parts = question_last(text)
    assert text[parts.start : parts.end].strip() == context
    assert parts.query.strip() == query


@given(st.text(alphabet="ab .\n\r\t", max_size=80))
def test_a_question_is_no_part_of_its_context(text: str) -> None:
    parts = question_last(text)
    assert 0 <= parts.start <= parts.end <= len(text)
    rest = text[: parts.start] + text[parts.end :]
    assert parts.query in rest


def test_a_prompt_of_another_shape_is_split_by_its_author() -> None:
    def split(text: str) -> Parts:
        start, end = text.index("<docs>") + 6, text.index("</docs>")
        return Parts(start, end, text[:start])

    text = f"{QUESTION}\n<docs>{CONTEXT}</docs>\nBe brief. {prose('comets', 1)}"
    (done,) = compressor(split=split).invoke([HumanMessage(text)])
    head, rest = done.text.split("<docs>")
    context, tail = rest.split("</docs>")
    assert (head, tail) == (f"{QUESTION}\n", f"\nBe brief. {prose('comets', 1)}")
    assert ANSWER in context
    assert tokens(context) <= BUDGET


# -- kinds of prompts ----------------------------------------------------------------------------


def test_the_same_kind_comes_out() -> None:
    text = f"{CONTEXT}\n\n{QUESTION}"
    short = compressor().invoke(text)
    assert isinstance(short, str)
    assert ANSWER in short
    assert short.endswith(f"\n\n{QUESTION}")
    assert compressor().invoke(StringPromptValue(text=text)) == StringPromptValue(text=short)
    value = ChatPromptValue(messages=[HumanMessage(text, id="h")])
    assert compressor().invoke(value) == ChatPromptValue(messages=[HumanMessage(short, id="h")])
    assert compressor().invoke([("user", text)]) == [HumanMessage(short)]
    image = ImagePromptValue(image_url={"url": "http://x"})
    assert compressor().invoke(image) is image
    with pytest.raises(CompressionError, match="dict is no prompt"):
        compressor().invoke({"messages": []})
    assert compressor().invoke([]) == []


@pytest.mark.parametrize("wrong", [{"budget_tokens": 0}, {"budget_tokens": 9, "forms": ["html"]}])
def test_arguments_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(CompressionError, match=r"give a budget of 1|no lossless form 'html'"):
        PromptCompressor(**wrong)


# -- in a chain ----------------------------------------------------------------------------------


async def test_in_a_chain_the_model_reads_less_and_the_books_say_so(
    chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    scripted.always(Reply("1,204 metres."))
    prompt = ChatPromptTemplate([("system", "Be brief."), ("user", "{context}\n\n{question}")])
    chain = prompt | compressor() | chat_openai(MODEL) | StrOutputParser()
    asked = {"context": CONTEXT, "question": QUESTION}
    config: Any = {"callbacks": [handler]}
    assert chain.invoke(asked, config) == await chain.ainvoke(asked, config) == "1,204 metres."
    await chain.abatch([asked] * 4, config)
    sent = {request.body["messages"][1]["content"] for request in scripted.requests}
    (text,) = sent
    assert ANSWER in text
    assert tokens(text) <= BUDGET + tokens(QUESTION) + 2
    calls = sorted(attempt.operation_id for attempt in ledger.attempts())
    effects = [*ledger.effects(lever="compression.payload")]
    assert sorted(effect.operation_id for effect in effects) == calls
    assert effects[0].tokens_before == pytest.approx(tokens(CONTEXT), abs=2)
    assert effects[0].tokens_after <= BUDGET
    assert effects[0].detail["changed"] == 1


def test_a_chain_can_be_copied_and_streamed(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("1,204 metres."))
    documents = DocumentCompressor(budget_tokens=100, model=MODEL)
    copied = copy.deepcopy(
        RunnableLambda(documents.text_of)
        | ChatPromptTemplate([("user", "{text}\n\nWhy?")])
        | compressor()
    )
    chain = copied | chat_openai(MODEL) | StrOutputParser()
    assert "".join(chain.stream([Document(CONTEXT)])) == "1,204 metres."
    assert tokens(scripted.requests[0].body["messages"][0]["content"]) <= BUDGET + 4


@pytest.mark.parametrize("where", ["configurable", "metadata"])
async def test_a_call_can_be_left_alone(where: str, ledger: Ledger) -> None:
    messages = conversation()
    with track_cost(ledger):
        assert compressor(enabled=False).invoke(messages) is messages
        assert compressor().invoke(messages, {where: {"compress": False}}) is messages
        assert compressor().invoke(messages, compress=False) is messages
        assert await compressor().bind(compress=False).ainvoke(messages) is messages
    assert [*ledger.effects()] == []


def test_a_request_without_context_has_no_effect(ledger: Ledger) -> None:
    with track_cost(ledger):
        compressor().invoke([SystemMessage(CONTEXT), HumanMessage(QUESTION)])
    assert [*ledger.effects()] == []


async def test_many_at_a_time_and_a_long_one_off_the_loop() -> None:
    messages = conversation()
    made = compressor()
    expected = dumped(compressor().invoke(messages))
    found = await asyncio.gather(*(asyncio.to_thread(made.invoke, messages) for _ in range(12)))
    found += await made.abatch([messages] * 12)
    assert all(dumped(each) == expected for each in found)
    long = [
        HumanMessage(QUESTION),
        ToolMessage(f"{prose('wells', 1500)} {ANSWER}", tool_call_id="1"),
    ]
    threads = set()

    class Noting(TokenCounter):
        def count_text(self, *args: Any, **more: Any) -> TokenCount:
            if len(args[0]) > 100_000:
                threads.add(threading.current_thread())
            return super().count_text(*args, **more)

    (_, output) = await compressor(counter=Noting()).ainvoke(long)
    assert ANSWER in output.text
    assert threads
    assert threading.current_thread() not in threads
