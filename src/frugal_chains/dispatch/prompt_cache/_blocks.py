"""`PromptBlock`: a block of a request as an adapter reads it, and what is counted of it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from frugal_chains.prompt_cache import CacheBlock
from frugal_chains.providers import Level
from frugal_chains.tokens import TokenCounter

_REMEMBERED: Final = 20_000
"""Blocks of all conversations that are not counted again."""
_LEVELS: Final[Mapping[str, Sequence[Level]]] = {
    "tools": ("tools",),
    "system": ("tools", "system"),
    "message": ("tools", "system", "messages"),
}
"""By kind of block: what stands in front of it, or with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBlock:
    """A tool, a block of the system prompt, or a block of a message, in the provider's order."""

    kind: Literal["tools", "system", "message"]
    text: str
    """As it is sent, as near as can be told: the same text is the same bytes. A message's block
    begins with its role."""
    volatile: bool = False
    """The next request will have something else here."""
    marker: str = ""
    """The caller's own: its time to live; empty: none."""
    segment: bool = False
    """A summary segment ends here."""
    markable: bool = True
    run: Literal["", "calls", "results"] = ""
    media_tokens: int = 0
    """Of images and the like, on top of the text's."""
    hidden: str = ""
    """Bytes that are sent but not counted as text: an image's."""
    name: str = ""
    """What people call it: a tool's name."""


@dataclass(frozen=True, slots=True)
class Read:
    """The blocks of one request, counted, each with the hash of all up to its end."""

    blocks: tuple[CacheBlock, ...]
    prefixes: tuple[bytes, ...]

    @property
    def tokens(self) -> int:
        return sum(block.tokens for block in self.blocks)


def digest_of(block: PromptBlock) -> bytes:
    """The same for what is sent as the same bytes."""
    own = hashlib.blake2b(block.text.encode("utf-8", "surrogatepass"), digest_size=12)
    if block.hidden:
        own.update(b"\0" + block.hidden.encode("utf-8", "surrogatepass"))
    return own.digest()


class BlockReader:
    """Counts blocks, each text once. Safe for threads.

    Args:
        counter: Of tokens.
    """

    def __init__(self, counter: TokenCounter | None = None) -> None:
        self._counter = counter or TokenCounter()
        self._lock = threading.Lock()
        self._counted: OrderedDict[tuple[str, bytes], int] = OrderedDict()

    def read(
        self,
        blocks: Sequence[PromptBlock],
        *,
        model: str,
        provider: str,
        kept: Container[bytes],
        settings: Mapping[Level, str] = MappingProxyType({}),
        digests: Sequence[bytes] | None = None,
    ) -> Read:
        """Facts for a plan.

        Args:
            blocks: Of the request.
            model, provider: Who reads it.
            kept: Hashes of beginnings that the provider's cache should still have.
            settings: What else the cache goes by, from each level on.
            digests: `digest_of` each block, where that is known.
        """
        whole = hashlib.blake2b(f"{provider}:{model}".encode(), digest_size=12)
        found, prefixes = [], []
        told: set[Level] = set()
        for at, block in enumerate(blocks):
            own = digests[at] if digests is not None else digest_of(block)
            for level in _LEVELS[block.kind]:
                if level not in told:
                    told.add(level)
                    whole.update(settings.get(level, "").encode("utf-8", "surrogatepass"))
            whole.update(block.kind.encode() + own)
            prefix = whole.copy().digest()
            prefixes.append(prefix)
            found.append(
                CacheBlock(
                    kind=block.kind,
                    tokens=self._tokens(block, own, model, provider),
                    volatile=block.volatile,
                    marker=block.marker,
                    kept=prefix in kept,
                    segment=block.segment,
                    markable=block.markable,
                    run=block.run,
                )
            )
        return Read(tuple(found), tuple(prefixes))

    def _tokens(self, block: PromptBlock, digest: bytes, model: str, provider: str) -> int:
        key = (model, digest)
        known = self._counted.get(key)
        if known is None:
            counted = self._counter.count_text(block.text, model=model, provider=provider or None)
            known = counted.tokens
            with self._lock:
                self._counted[key] = known
                if len(self._counted) > _REMEMBERED:
                    self._counted.popitem(last=False)
        return known + block.media_tokens
