"""The chain run around a routed request, and what its calls inherit from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackManager, CallbackManager
from langchain_core.callbacks.base import BaseCallbackHandler, Callbacks
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import patch_config
from langchain_core.tracers._streaming import _StreamingCallbackHandler, _V2StreamingCallbackHandler

from langchain_frugal.routing._answers import MARK

NAME: Final = "RoutingChatModel"
_NOT_STREAMED: Final = "nostream"
"""LangGraph's tag for calls whose tokens are not for the user (`langgraph.constants`)."""

Manager = TypeVar("Manager", CallbackManager, AsyncCallbackManager)
_STREAMING = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)


class Own:
    """What a router was constructed with: it holds for the calls of its models too."""

    def __init__(
        self, callbacks: Callbacks, tags: list[str] | None, metadata: Mapping[str, Any] | None
    ) -> None:
        self.callbacks, self.tags, self.metadata = callbacks, tags, metadata

    def join(self, manager: Manager) -> Manager:
        given = self.callbacks or []
        for handler in given.handlers if isinstance(given, BaseCallbackManager) else given:
            if handler not in manager.handlers:
                manager.add_handler(handler, inherit=True)
        manager.add_tags(self.tags or [], inherit=True)
        manager.add_metadata(dict(self.metadata or {}), inherit=True)
        return manager


def child_config(
    config: RunnableConfig,
    child: BaseCallbackManager,
    mark: Mapping[str, Any],
    *,
    held: bool,
    more: Sequence[BaseCallbackHandler] = (),
) -> RunnableConfig:
    """For the call of a model: it belongs to our run, and says what was decided.

    `held`: its tokens are shown to nobody before it is known that the answer is kept.
    """
    if held:
        child.handlers = [h for h in child.handlers if not isinstance(h, _STREAMING)]
        child.inheritable_handlers = [
            h for h in child.inheritable_handlers if not isinstance(h, _STREAMING)
        ]
    for handler in more:
        child.add_handler(handler, inherit=True)
    made = patch_config(config, callbacks=child)
    made["metadata"] = {**(config.get("metadata") or {}), MARK: dict(mark)}
    if held:
        made["tags"] = [*(config.get("tags") or ()), _NOT_STREAMED]
    return made


def streaming_handler(handlers: Iterable[BaseCallbackHandler]) -> Any:
    """Who wants to see the pieces of a run's output (`astream_events`), if anybody."""
    return next((h for h in handlers if isinstance(h, _StreamingCallbackHandler)), None)


class Ear(BaseCallbackHandler):
    """Hears the answer of a call whose caller only gets what was parsed out of it."""

    run_inline = True

    def __init__(self) -> None:
        self.message: AIMessage | None = None

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        first = response.generations[0][0] if response.generations else None
        message = getattr(first, "message", None)
        if isinstance(message, AIMessage):
            self.message = message
