"""Loopback servers that stand in for providers. They share no code with what they test."""

from tests.servers.prompt_cache import AnthropicPromptCache, ManualClock, OpenAIPromptCache
from tests.servers.reply import Reply, Tokens, ToolCall
from tests.servers.scripted import Request, ScriptedServer

__all__ = [
    "AnthropicPromptCache",
    "ManualClock",
    "OpenAIPromptCache",
    "Reply",
    "Request",
    "ScriptedServer",
    "Tokens",
    "ToolCall",
]
