"""Conversations sent for real: LangChain, the provider's SDK, a server with the provider's cache.

What a replay predicts is held against what such a run is billed. The server counts tokens in its
own way and knows the provider's cache rules by itself (`tests.servers`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import convert_to_messages
from langchain_openai import ChatOpenAI

from frugal_chains import Ledger
from frugal_chains.dispatch import PayloadCompressor
from frugal_chains.ledger import Attempt
from frugal_chains.pricing import PriceBook, Priced
from frugal_chains.replay import Setup
from frugal_chains.usage import Usage, read_usage
from langchain_frugal import cached, compact_messages, track_cost
from tests.servers import (
    AnthropicPromptCache,
    ManualClock,
    OpenAIPromptCache,
    Reply,
    ScriptedServer,
    ToolCall,
)
from tests.servers.scripted import Request

GAP_S = 5.0
START_S = 1_790_000_000.0
Provider = Literal["openai", "anthropic"]
MODELS: Mapping[Provider, str] = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
Conversation = Sequence[Mapping[str, Any]]
"""Messages in the shape of OpenAI's chat completions."""


@dataclass
class Billed:
    """What a run has cost."""

    nanos: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    lines: list[str] = field(default_factory=list)
    """The recording: requests and responses as they went over the wire."""


class RealRun:
    """Plays conversations: each assistant's message is one call, answered as it was.

    Args:
        provider: Whose SDK and cache.
        setup: The levers that are on: memory, compression and markers.
        prices: For the bill.
    """

    def __init__(self, provider: Provider, setup: Setup, prices: PriceBook) -> None:
        self._provider, self._setup, self._prices = provider, setup, prices
        self._model_name = MODELS[provider]
        self._clock = ManualClock(START_S)
        self._answer: Mapping[str, Any] = {}
        self._outputs = setup.compression and PayloadCompressor(
            setup.compression.budget_tokens, model=self._model_name, provider=provider
        )

    def play(self, conversations: Sequence[Conversation]) -> Billed:
        """All of them, one after another."""
        billed = Billed()
        caches = {"openai": OpenAIPromptCache, "anthropic": AnthropicPromptCache}
        with ScriptedServer(cache=caches[self._provider](clock=self._clock)) as server:
            server.always(self._reply)
            chain = self._chain(server)
            for number, conversation in enumerate(conversations):
                config = {"configurable": {"thread_id": f"c{number}"}}
                sent = entered(conversation, self._outputs)
                for at, message in enumerate(conversation):
                    if message["role"] != "assistant":
                        continue
                    self._answer = message
                    self._clock.advance(GAP_S)
                    answer = chain.invoke(convert_to_messages(sent[:at]), config)
                    self._book(billed, server.requests[-1], answer, f"c{number}")
        return billed

    # -- parts ---------------------------------------------------------------------------------

    def _chain(self, server: ScriptedServer) -> Any:
        model: BaseChatModel
        if self._provider == "openai":
            model = ChatOpenAI(
                model=self._model_name, base_url=server.openai_base_url, api_key="test"
            )
        else:
            model = ChatAnthropic(
                model=self._model_name, base_url=server.anthropic_base_url, api_key="test",
                max_tokens=1024,
            )  # fmt: skip
        marks, memory = self._setup.prompt_cache, self._setup.memory
        last = model if marks is None else cached(model, may_reorder=False)
        if memory is None:
            return last
        step = compact_messages(
            model,
            policy=memory.policy,
            recall_tokens=memory.recall_tokens,
            cache_ttl="5m" if marks is not None else "",
        )
        return step | last

    def _reply(self, request: Request) -> Reply:
        calls = tuple(
            ToolCall(
                call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"]
            )
            for call in self._answer.get("tool_calls") or ()
        )
        return Reply(self._answer.get("content") or ("" if calls else "."), tool_calls=calls)

    def _book(self, billed: Billed, request: Request, answer: Any, name: str) -> None:
        usage = answer.response_metadata.get("token_usage") or answer.response_metadata["usage"]
        read = read_usage({"usage": usage}, provider=self._provider).usage
        price = self._prices.price_at(
            int(self._clock() * 1e6), read, model=self._model_name, provider=self._provider
        )
        assert isinstance(price, Priced)
        billed.nanos += price.nanos
        billed.calls += 1
        billed.usage += read
        line = {
            "timestamp": self._clock(),
            "conversation": name,
            "request": request.body,
            "response": {"model": self._model_name, "usage": usage},
        }
        billed.lines.append(json.dumps(line))


def entered(conversation: Conversation, outputs: PayloadCompressor | None) -> list[dict[str, Any]]:
    """The messages with tools' outputs as they entered the conversation; None: as they were."""
    question, calls, found = "", dict[str, str](), []
    for message in conversation:
        message = dict(message)
        if message["role"] == "user":
            question = message["content"]
        for call in message.get("tool_calls") or ():
            arguments = json.loads(call["function"]["arguments"])
            words = "\n".join(f"{name} {value}" for name, value in arguments.items())
            calls[call["id"]] = f"{call['function']['name']}\n{words}"
        if message["role"] == "tool" and outputs is not None:
            query = f"{question}\n{calls.get(message['tool_call_id'], '')}"
            message["content"] = outputs.compress(query, message["content"]).text
        found.append(message)
    return found


def booked(
    provider: Provider, setup: Setup, talks: Sequence[Conversation], *, fingerprints: bool
) -> tuple[Billed, list[Attempt]]:
    """A real run and its ledger: its rows get the times of the run, whose clock is its own, and the
    names that an agent would give them, of which every question is one operation."""
    with Ledger.open("memory://") as ledger:
        with track_cost(ledger, fingerprints=fingerprints):
            billed = RealRun(provider, setup, PriceBook()).play(talks)
        rows = list(ledger.attempts())
    asked = [
        (f"c{number}", f"c{number}-{sum(each['role'] == 'user' for each in talk[:at])}")
        for number, talk in enumerate(talks)
        for at, message in enumerate(talk)
        if message["role"] == "assistant"
    ]
    return billed, [
        row._replace(
            at_us=int((START_S + GAP_S * number) * 1e6), thread_id=thread, operation_id=question
        )
        for number, (row, (thread, question)) in enumerate(zip(rows, asked, strict=True), 1)
    ]
