"""Long conversations with LlamaIndex, and what providers say to the requests they lead to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from frugal_chains.memory import CompactionPolicy, WaterMark
from llama_index_frugal import SummarizingMemory
from tests.servers import Reply, Request, ScriptedServer, ToolCall

Body = Mapping[str, Any]

EARLY = CompactionPolicy(trigger=WaterMark(high_tokens=2_400), keep_tokens=600)
"""Compacts every few turns of `words`; not below the 1,024 tokens that OpenAI caches."""
SUMMARY = "Facts:\nThe user's order is W4711.\nOpen:\nfind the parcel"
ASKS_FOR_SUMMARY = ("Summarize everything before this message", "Summarize the conversation in")


def words(about: str, tokens: int = 250) -> str:
    """A text of so many tokens, nearly, that names what it is about."""
    return f"{about}: " + " ".join(f"word{at % 7}" for at in range(tokens // 2))


def question(at: int, tokens: int = 250) -> str:
    return words(f"Question {at} about order W{4000 + at}", tokens)


def user(text: str) -> ChatMessage:
    return ChatMessage(text, role="user")


def assistant(text: str) -> ChatMessage:
    return ChatMessage(text, role="assistant")


def talk(turns: int, *, first: int = 0) -> Iterator[ChatMessage]:
    for at in range(first, first + turns):
        yield user(question(at))
        yield assistant(words(f"Answer {at}"))


def memory_of(**options: Any) -> SummarizingMemory:
    known = {"model": "gpt-4o-mini", "provider": "openai", "policy": EARLY}
    return SummarizingMemory.from_defaults(**{**known, **options})


def goes_on_with(memory: SummarizingMemory, turns: int, first: int = 0) -> list[list[str | None]]:
    """Puts and gets so many turns; the texts that were to be sent in each."""
    views = []
    for at in range(first, first + turns):
        memory.put(user(question(at)))
        views.append([m.content for m in memory.get()])
        memory.put(assistant(words(f"Answer {at}")))
    return views


def ask(memory: SummarizingMemory, llm: Any, at: int) -> None:
    memory.put(user(question(at)))
    memory.put(llm.chat(memory.get()).message)


def answers(scripted: ScriptedServer, *, summary: str = SUMMARY) -> None:
    """Long answers to questions, and `summary` to who asks for one."""
    scripted.always(lambda request: Reply(summary if asks_for_summary(request) else words("So")))


def calls_tool(scripted: ScriptedServer, times: int, *, tool: str = "look_up") -> None:
    """So many calls of a tool in every turn, then a long answer."""

    made = count()

    def reply(request: Request) -> Reply:
        if asks_for_summary(request):
            return Reply(SUMMARY)
        number = next(made)
        if number % (times + 1) < times:
            return Reply(None, tool_calls=(ToolCall(tool, {"order": f"W{number}"}, f"c{number}"),))
        return Reply(words("So"))

    scripted.always(reply)


def thinks_aloud(scripted: ScriptedServer, times: int, *, tool: str = "look_up") -> None:
    """As `calls_tool`, in the words of a `ReActAgent`."""
    made = count()

    def reply(request: Request) -> Reply:
        if asks_for_summary(request):
            return Reply(SUMMARY)
        number = next(made)
        if number % (times + 1) < times:
            given = json.dumps({"order": f"W{number}"})
            return Reply(f"Thought: I need it.\nAction: {tool}\nAction Input: {given}")
        return Reply(f"Thought: I can answer.\nAnswer: {words('So')}")

    scripted.always(reply)


def asks_for_summary(request: Request) -> bool:
    return any(mark in json.dumps(request.body["messages"][-1]) for mark in ASKS_FOR_SUMMARY)


def blocks_of(message: Body) -> list[Any]:
    """Of an Anthropic message."""
    content = message.get("content")
    return content if isinstance(content, list) else []


class Facts(BaseRetriever):
    """Finds the same short text for every question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="Parcels take two days."), score=1.0)]


# -- what the server sees ------------------------------------------------------------------------


def asked(scripted: ScriptedServer) -> list[Body]:
    """Bodies of the requests, without those for summaries."""
    return [r.body for r in scripted.requests if not asks_for_summary(r)]


def summaries(scripted: ScriptedServer) -> list[Body]:
    return [r.body for r in scripted.requests if asks_for_summary(r)]


def texts(body: Body) -> str:
    return json.dumps(body["messages"], ensure_ascii=False)


def pieces(body: Body) -> list[str]:
    """A request in the order of a provider's cache: tools, system, and the blocks of messages."""
    found = [json.dumps(tool) for tool in body.get("tools") or ()]
    found.append(json.dumps(body.get("system") or ""))
    for message in body["messages"]:
        blocks = blocks_of(message)
        if not blocks:
            found.append(json.dumps(message))
        found += [json.dumps([message["role"], block]) for block in blocks]
    return found


def shared(before: Sequence[str], after: Sequence[str]) -> int:
    """With how many pieces of the one the other begins."""
    same = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        same += 1
    return same


def rewrites(bodies: Sequence[Body]) -> list[int]:
    """Numbers of the requests that do not begin with all of the request before."""
    found, before = [], []
    for number, body in enumerate(bodies):
        now = pieces(body)
        if shared(before, now) < len(before):
            found.append(number)
        before = now
    return found


def check_tool_pairs(body: Body) -> None:
    """What OpenAI and Anthropic refuse with 400: a result without its call right before it, and a
    call without its result right after it (platform.openai.com, function calling;
    platform.claude.com, tool use; read 2026-11-20)."""
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in waiting, body
            waiting.remove(message["tool_call_id"])
            continue
        kinds = blocks_of(message)
        for result in (b for b in kinds if b.get("type") == "tool_result"):
            assert result["tool_use_id"] in waiting, body
            waiting.remove(result["tool_use_id"])
        assert not waiting, body
        waiting += [call["id"] for call in message.get("tool_calls") or ()]
        waiting += [b["id"] for b in kinds if b.get("type") == "tool_use"]
    assert not waiting, body


Make = Callable[..., Any]
