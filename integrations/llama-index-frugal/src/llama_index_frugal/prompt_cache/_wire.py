"""What both providers' requests have in common: blocks, and their places in a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from frugal_chains.dispatch import PromptBlock
from frugal_chains.memory import RECALL_HEADING
from frugal_chains.providers import CacheControls

Request: TypeAlias = Mapping[str, Any]
"""The keywords of a client's method: nothing in it may be changed."""
Volatile: TypeAlias = Callable[[str], bool]
"""Told the text of a block of the system prompt or of a message: will the next request of this
conversation have something else in its place?"""
WHOLE: Final = -1
"""The place of a block that is all of its message: its content is a text."""


class Place(NamedTuple):
    """Where a block stands in a request."""

    where: Literal["tools", "system", "messages"]
    item: int
    part: int = WHOLE


@dataclass(frozen=True, slots=True)
class Read:
    """The blocks of a request in the order in which the provider reads them."""

    request: Request
    """The request they were read in: a copy with the same meaning, where its form was mended."""
    blocks: tuple[PromptBlock, ...]
    places: tuple[Place, ...]

    @classmethod
    def of(cls, request: Request, found: Iterator[tuple[PromptBlock, Place]]) -> Read:
        pairs = sorted(found, key=lambda pair: ("tools", "system", "message").index(pair[0].kind))
        blocks = tuple(block for block, _ in pairs)
        return cls(request, blocks, tuple(place for _, place in pairs))


def ttl_in(mark: Any, controls: CacheControls) -> str:
    """The time to live of a caller's marker; empty: it is none."""
    if not isinstance(mark, Mapping):
        return ""
    usual = controls.ttls[0][0] if controls.ttls else ""
    said = str(mark.get("ttl") or "")
    return said if said in dict(controls.ttls) else usual


def is_recalled(text: str) -> bool:
    """Whether a memory shows earlier messages here, for one question."""
    return text.startswith(RECALL_HEADING)


def chosen(request: Request, names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Settings of a request by the names of `CacheControls.resets`."""
    found = {}
    for name, keys in names.items():
        values = [request[key] for key in keys if request.get(key) is not None]
        if values:
            found[name] = repr(values)
    return found
