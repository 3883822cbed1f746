"""Agents whose conversations are played for real, with every lever of LangChain's adapter on.

The tools return what they returned when the conversation was recorded, and the server answers as
the model did: it counts tokens in its own way, knows its provider's cache rules by itself, and
remembers what it has billed for which of the agent's runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains import Ledger
from frugal_chains.compression import Ahead
from frugal_chains.dispatch import PrefixFacts
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from langchain_frugal import (
    CompactionMiddleware,
    PromptCacheMiddleware,
    RoutingMiddleware,
    ToolOutputMiddleware,
    track_cost,
)
from tests.e2e.real_traffic import MODELS, Conversation, Provider
from tests.langchain.remembering import asks_for_summary
from tests.servers import (
    AnthropicPromptCache,
    OpenAIPromptCache,
    Reply,
    Request,
    ScriptedServer,
    ToolCall,
)

CHEAP: Mapping[Provider, str] = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
LEVERS = ("routing", "compression", "memory", "prompt_cache")
"""In the order of their middleware."""
ANYTHING: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": True}
"""What a tool takes."""
SUMMARY = "Facts:\nThe person has told who they are and what they want to have changed."
COMPACTION = CompactionPolicy(trigger=WaterMark(high_tokens=1_000), keep_tokens=500)
"""Early, so that conversations of a dozen calls are compacted, and some twice."""


ROUTING = RoutingPolicy(
    rules=(Rule(name="money", when=Keywords("refund", "compensation", "cancel"), to="workhorse"),),
    default_tier="gatekeeper",
)
"""What is about money goes to the dear model, the rest to the cheap one. A cascade drafts nothing
where tools are offered."""
PREFIX = PrefixFacts(ahead=Ahead(prefix_tokens=0))
"""What stands in front of an output is read off the agent's messages: with it the bill is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What the server has asked for one answer."""

    run: int
    """Of the agent: from 0, in the order in which they were made."""
    conversation: int
    model: str
    usage: Mapping[str, Any]
    """In the provider's own shape."""


class Desk(ScriptedServer):
    """Answers as the conversation went on, and writes the bill."""

    def __init__(self, provider: Provider) -> None:
        caches = {"openai": OpenAIPromptCache, "anthropic": AnthropicPromptCache}
        self.bills: list[Billed] = []
        self.run = -1
        self._messages: Conversation = ()
        self._conversation = -1
        self._at = 0
        super().__init__(cache=caches[provider]())
        self.always(self._reply)

    def takes(self, conversation: Conversation) -> None:
        self._messages, self._conversation = conversation, self._conversation + 1

    def asked(self, at: int) -> None:
        """A person's message: a run of the agent begins."""
        self.run, self._at = self.run + 1, at + 1

    def looked_up(self) -> str:
        """What the next tool returns."""
        message = self._messages[self._at + 1]
        assert message["role"] == "tool"
        self._at += 2
        return str(message["content"])

    def _reply(self, request: Request) -> Reply:
        if asks_for_summary(request.body):
            return Reply(SUMMARY)
        if self._at >= len(self._messages) or self._messages[self._at]["role"] != "assistant":
            return Reply("Goodbye.")  # the recording ends with a tool's output
        answer = self._messages[self._at]
        calls = tuple(
            ToolCall(
                call["function"]["name"],
                json.loads(call["function"]["arguments"]),
                f"call_{self.run}_{self._at}",
            )
            for call in answer.get("tool_calls") or ()
        )
        return Reply(answer.get("content") or ("" if calls else "."), tool_calls=calls)

    def _usage(self, protocol: Any, body: Any, reply: Reply, text: str) -> Any:
        usage = super()._usage(protocol, body, reply, text)
        self.bills.append(
            Billed(run=self.run, conversation=self._conversation, model=body["model"], usage=usage)
        )
        return usage


class _Recorded(BaseTool):
    """A tool that returns what it did."""

    desk: Any

    def _run(self, **_: Any) -> str:
        return str(self.desk.looked_up())


def play(
    provider: Provider,
    conversations: Sequence[Conversation],
    ledger: Ledger,
    *,
    levers: Collection[str] = LEVERS,
) -> list[Billed]:
    """Every message of a person is one run of an agent, and one operation of the ledger.

    Args:
        provider: Whose SDK and cache.
        conversations: Each begins with a system prompt; a call of a tool stands alone.
        ledger: Takes the attempts, and what the levers did.
        levers: Those that are on, of `LEVERS`; without routing the dear model answers.
    """
    desk = Desk(provider)
    with desk, track_cost(ledger):
        tools = [
            _Recorded(name=name, description="Looks it up.", args_schema=dict(ANYTHING), desk=desk)
            for name in sorted(_tool_names(conversations))
        ]
        agents: dict[str, Any] = {}
        for number, conversation in enumerate(conversations):
            prompt = conversation[0]["content"]
            if prompt not in agents:
                agents[prompt] = create_agent(
                    _model(desk, provider, MODELS[provider]),
                    tools,
                    system_prompt=prompt,
                    middleware=_middleware(desk, provider, levers),
                    checkpointer=InMemorySaver(),
                )
            desk.takes(conversation)
            config = {"configurable": {"thread_id": f"c{number}"}, "recursion_limit": 200}
            for at, message in enumerate(conversation[:-1]):
                if message["role"] == "user":
                    desk.asked(at)
                    agents[prompt].invoke({"messages": [("user", message["content"])]}, config)
    return desk.bills


def _middleware(desk: Desk, provider: Provider, levers: Collection[str]) -> list[Any]:
    tiers = {
        "gatekeeper": _model(desk, provider, CHEAP[provider]),
        "workhorse": _model(desk, provider, MODELS[provider]),
    }
    marked = provider == "anthropic" and "prompt_cache" in levers
    made = {
        "routing": RoutingMiddleware(tiers, policy=ROUTING),
        "compression": ToolOutputMiddleware(
            300, model=MODELS[provider], provider=provider, prefix=PREFIX
        ),
        "memory": CompactionMiddleware(
            COMPACTION, summarizer="same", cache_ttl="5m" if marked else ""
        ),
        "prompt_cache": PromptCacheMiddleware(may_reorder=False),
    }
    return [made[name] for name in LEVERS if name in levers]


def _model(desk: Desk, provider: Provider, name: str) -> BaseChatModel:
    if provider == "openai":
        return ChatOpenAI(model=name, base_url=desk.openai_base_url, api_key="test", max_retries=0)
    return ChatAnthropic(
        model=name, base_url=desk.anthropic_base_url, api_key="test", max_tokens=1024,
        max_retries=0,
    )  # fmt: skip


def _tool_names(conversations: Sequence[Conversation]) -> set[str]:
    return {
        call["function"]["name"]
        for conversation in conversations
        for message in conversation
        for call in message.get("tool_calls") or ()
    }
