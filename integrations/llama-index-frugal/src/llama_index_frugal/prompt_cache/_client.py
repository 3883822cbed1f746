"""`MarkedClient`: a provider's client whose requests are marked on their way.

The clients' own methods are the one place where a request is complete, and the same for chats,
streams, tools and structured answers: `messages.create`, `beta.messages.parse`,
`chat.completions.create`, `responses.parse` (anthropic 0.125, openai 2.54).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

_PARTS: Final = frozenset({"beta", "chat", "completions", "messages", "responses"})
_ASKS: Final = frozenset({"create", "parse", "stream"})
_WAITS: Final = frozenset({"create", "parse"})
"""Of an asynchronous client: coroutines; the others give what is entered with `async with`."""


class Marks(Protocol):
    """What puts markers on a request. Never raises."""

    def marked(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...

    async def amarked(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...


class MarkedClient:
    """Stands for a client, or for a part of it; everything else is the client's own.

    Args:
        whole: The client.
        marks: Puts the markers on.
        awaited: The client is asynchronous.
    """

    __slots__ = ("_awaited", "_marks", "_whole")

    def __init__(self, whole: Any, marks: Marks, *, awaited: bool) -> None:
        self._whole, self._marks, self._awaited = whole, marks, awaited

    @property  # type: ignore[misc]  # LLM classes ask with `isinstance` who serves the model
    def __class__(self) -> type[Any]:
        return type(self._whole)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._whole, name)
        if name in _PARTS:
            return MarkedClient(found, self._marks, awaited=self._awaited)
        if name not in _ASKS:
            return found
        return self._awaiting(found) if self._awaited and name in _WAITS else self._asking(found)

    def _asking(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **request: Any) -> Any:
            return ask(*args, **self._marks.marked(request))

        return asked

    def _awaiting(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        async def asked(*args: Any, **request: Any) -> Any:
            return await ask(*args, **await self._marks.amarked(request))

        return asked

    # Clients that serve one request are closed behind it.

    def __enter__(self) -> MarkedClient:
        self._whole.__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        return self._whole.__exit__(*raised)

    async def __aenter__(self) -> MarkedClient:
        await self._whole.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> Any:
        return await self._whole.__aexit__(*raised)

    def __repr__(self) -> str:
        return f"MarkedClient({type(self._whole).__name__})"

    def __deepcopy__(self, memo: object) -> MarkedClient:
        return self  # open connections cannot be copied

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("cannot pickle a client")  # LlamaIndex leaves it out, as it does others


def unmarked(client: Any) -> Any:
    """The client itself."""
    return client._whole if type(client) is MarkedClient else client
