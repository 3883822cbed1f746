"""`langchain-tests` over the router: it passes and skips what `ChatOpenAI` itself does.

Both suites run for both, on the same scripted server. They do not see double counting:
`test_langchain_routing_calls` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

pytest.importorskip("langchain_tests", reason="needs the package langchain-tests")

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_frugal import RoutingChatModel
from tests.servers import Reply, Request, ScriptedServer, ToolCall

Json = Mapping[str, Any]


class Router(RoutingChatModel):
    """Over two models of OpenAI's, made with what the suite gives to one."""

    def __init__(self, **params: Any) -> None:
        weak, strong = ChatOpenAI(**params), ChatOpenAI(**{**params, "model": "gpt-4o"})
        super().__init__({"gatekeeper": weak, "workhorse": strong})


def _obliging(request: Request) -> Reply:
    """Does what the request plainly asks for: calls its tool, fits its schema, else says hello."""
    body = request.body
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return Reply(json.dumps(_sample(wanted["json_schema"]["schema"])))
    if wanted.get("type") == "json_object":
        return Reply(json.dumps({"setup": "why?", "punchline": "because"}))
    tools = [tool["function"] for tool in body.get("tools") or ()]
    if not tools or body["messages"][-1]["role"] == "tool" or body.get("tool_choice") == "none":
        return Reply("hello there, cat")
    chosen = body.get("tool_choice")
    if isinstance(chosen, Mapping):
        tools = [tool for tool in tools if tool["name"] == chosen["function"]["name"]]
    return Reply(tool_calls=(ToolCall(tools[0]["name"], _sample(tools[0]["parameters"])),))


def _sample(schema: Json, root: Json | None = None) -> Any:
    """Something that fits a JSON schema."""
    root = root if root is not None else schema
    if "$ref" in schema:
        return _sample(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    for choice in ("anyOf", "allOf", "enum"):
        if choice in schema:
            first = schema[choice][0]
            return first if choice == "enum" else _sample(first, root)
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {name: _sample(p, root) for name, p in schema.get("properties", {}).items()}
    if kind == "array":
        return [_sample(schema["items"], root)]
    samples = {"integer": 3, "number": 1.5, "boolean": True, "null": None}
    return samples.get(str(kind), "cat 你好 你好啊集团 こんにちは株式会社")


class _Params:
    """What the suites are told about both."""

    server: ClassVar[ScriptedServer]

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "gpt-4o-mini",
            "base_url": self.server.openai_base_url,
            "api_key": "test",
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "gpt-4o"


@pytest.fixture(autouse=True, scope="module")
def _serving() -> Iterator[None]:
    with ScriptedServer() as server:
        server.always(_obliging)
        _Params.server = server
        yield


class TestChatOpenAIUnit(_Params, ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @pytest.mark.xfail(reason="compares with a snapshot of langchain-openai's own repository")
    def test_serdes(self, model: Any, snapshot: Any) -> None:
        super().test_serdes(model, snapshot)


class TestRouterUnit(_Params, ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Router


class TestChatOpenAI(_Params, ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI


class TestRouter(_Params, ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Router
