"""Fingerprints of a request: what can be told about it later without its text.

Hashes are keyed: who has no key can neither read a text off them nor test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from frugal_chains.errors import CachePlanError
from frugal_chains.prompt_cache._facts import RANK, Kind

HASH_BYTES: Final = 8
"""Of one hash: two blocks of one conversation are taken for one another once in 10^16."""
LONGEST_KEY: Final = 64
"""Bytes: what BLAKE2b takes (RFC 7693, section 2.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockText:
    """One block of a request, as it is sent: a changed order of keys makes another text."""

    kind: Kind
    text: str
    tokens: int
    name: str = ""
    """Of a tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPrint:
    """One tool, or one block of the system prompt."""

    hash: bytes
    tokens: int
    name: str = ""
    """Of a tool, as long as it is in memory: it is not stored."""
    covers: int = 1
    """How many blocks it stands for: more, where what is stored had no room for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesPrint:
    """The blocks of all messages: what stands in front of some of them, hashed."""

    count: int = 0
    tokens: int = 0
    rolling: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """By number of blocks: the hash of the first so many. All numbers in memory, some when stored;
    0 and `count` are not told and told."""
    ends: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """By the same numbers: tokens of the first so many."""
    each: tuple[bytes, ...] = ()
    """One hash by block, in memory alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPrint:
    """One request: nothing but hashes, sizes, and the model's name."""

    model: str = ""
    tools: tuple[BlockPrint, ...] = ()
    system: tuple[BlockPrint, ...] = ()
    messages: MessagesPrint = field(default_factory=MessagesPrint)
    settings: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """By name, `tool_choice` or `thinking`: the hash of the value."""

    @property
    def tools_tokens(self) -> int:
        return sum(block.tokens for block in self.tools)

    @property
    def system_tokens(self) -> int:
        return sum(block.tokens for block in self.system)

    @property
    def tokens(self) -> int:
        return self.tools_tokens + self.system_tokens + self.messages.tokens

    @property
    def head(self) -> str:
        """Of tools and system together, for `prompt_cache_key`."""
        whole = hashlib.blake2b(digest_size=HASH_BYTES)
        for block in (*self.tools, BlockPrint(hash=b"|", tokens=0), *self.system):
            whole.update(block.hash)
        return whole.hexdigest()


def fingerprints(
    blocks: Iterable[BlockText],
    *,
    key: bytes,
    model: str = "",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> RequestPrint:
    """Of a request: tools, then system, then the blocks of messages, as they are sent.

    Args:
        blocks: One by tool and by block, in the provider's order.
        key: The application's own, 16 bytes or more; up to 64 are used.
        model: That was asked.
        settings: What else is part of the prompt, by the names of `CacheControls.resets`.

    Raises:
        CachePlanError: a key that is too short, or blocks out of order.
    """
    if len(key) < 16:
        raise CachePlanError(f"a key of {len(key)} bytes: expected 16 or more, from os.urandom")
    short_key = key[:LONGEST_KEY]
    heads: dict[Kind, list[BlockPrint]] = {"tools": [], "system": []}
    each: list[bytes] = []
    rolling: dict[int, bytes] = {}
    ends: dict[int, int] = {}
    whole = _hash(short_key, "message")
    tokens, last = 0, 0
    for block in blocks:
        if RANK[block.kind] < last:
            raise CachePlanError(
                f"a block of kind {block.kind!r} behind others: expected it before"
            )
        last = RANK[block.kind]
        digest = _digest(short_key, block.kind, f"{block.name}\0{block.text}")
        if block.kind != "message":
            heads[block.kind].append(BlockPrint(hash=digest, tokens=block.tokens, name=block.name))
            continue
        each.append(digest)
        tokens += block.tokens
        whole.update(digest)
        rolling[len(each)] = whole.copy().digest()
        ends[len(each)] = tokens
    return RequestPrint(
        model=model,
        tools=tuple(heads["tools"]),
        system=tuple(heads["system"]),
        messages=MessagesPrint(
            count=len(each), tokens=tokens, rolling=rolling, ends=ends, each=tuple(each)
        ),
        settings={name: _digest(short_key, name, settings[name]) for name in sorted(settings)},
    )


def same(one: bytes, other: bytes) -> bool:
    """Whether two hashes are of the same text; a stored one is shorter."""
    length = min(len(one), len(other))
    return length > 0 and hmac.compare_digest(one[:length], other[:length])


def _hash(key: bytes, what: str) -> hashlib.blake2b:
    return hashlib.blake2b(key=key, digest_size=HASH_BYTES, person=what.encode()[:16])


def _digest(key: bytes, what: str, text: str) -> bytes:
    hashed = _hash(key, what)
    hashed.update(text.encode("utf-8", "surrogatepass"))
    return hashed.digest()
