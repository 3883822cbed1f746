"""Provider prompt caches, as their documents describe them, with an injectable clock.

Left out on purpose: invalidation by tool_choice, images and thinking; the delay until a parallel
request sees a write; eviction before expiry; OpenAI's explicit breakpoints (GPT-5.6 and later).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.servers.reply import Tokens

CHARS_PER_TOKEN = 4

Body = Mapping[str, Any]


class CacheRequestError(ValueError):
    """The provider would answer 400."""


class ManualClock:
    """A clock that stands still until told otherwise; call it for seconds."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, by_s: float) -> None:
        self.now_s += by_s


def count_tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class _Block:
    """One cacheable block, with everything that came before it."""

    prefix: str
    end_tokens: int
    position: int
    """For the lookback: a run of tool calls, or of tool results, is one position."""
    ttl: str | None


@dataclass(slots=True)
class _Entry:
    ttl: str
    expires_s: float


@dataclass(slots=True)
class AnthropicPromptCache:
    """platform.claude.com, Prompt caching, read 2026-11-21.

    Prefixes run tools, system, messages. A write happens only at a `cache_control` breakpoint; a
    read finds what an earlier request wrote, at one of 20 positions counted back from a breakpoint
    and with it, and renews it. A prefix below the minimum is silently not cached. With A the length
    read, B the end of the last 1h breakpoint and C the end of the last breakpoint, B - A tokens
    are written for 1h and C - B for 5m ("Mixing different TTLs").
    """

    MAX_BREAKPOINTS = 4
    LOOKBACK_POSITIONS = 20
    TTL_S: ClassVar[Mapping[str, float]] = {"5m": 300.0, "1h": 3600.0}

    clock: Callable[[], float] = time.monotonic
    min_tokens: int = 1024
    """1,024 for Sonnet 4.5 to 5 and Opus 4.8; 512, 2,048 and 4,096 for others."""
    _entries: dict[str, _Entry] = field(default_factory=dict)

    def look_up(self, body: Body) -> Tokens:
        """Input tokens of this request, split; writes what the request asks to write."""
        blocks = _blocks(body)
        marked = [i for i, block in enumerate(blocks) if block.ttl]
        self._check([blocks[i].ttl for i in marked])
        total = blocks[-1].end_tokens if blocks else 0
        read = self._read(blocks, marked)
        to_write = [
            blocks[i] for i in marked if blocks[i].end_tokens >= max(self.min_tokens, read + 1)
        ]
        for block in to_write:
            self._keep(block.prefix, str(block.ttl))
        end_1h = max((b.end_tokens for b in to_write if b.ttl == "1h"), default=read)
        end = max((b.end_tokens for b in to_write), default=read)
        return Tokens(
            fresh=total - end,
            cache_read=read,
            cache_write_1h=end_1h - read,
            cache_write_5m=end - end_1h,
        )

    def _check(self, ttls: list[str | None]) -> None:
        if len(ttls) > self.MAX_BREAKPOINTS:
            raise CacheRequestError(
                f"A maximum of 4 blocks with cache_control may be provided. Found {len(ttls)}."
            )
        if ttls != sorted(ttls, key=lambda ttl: ttl != "1h"):
            raise CacheRequestError("a ttl='1h' block must not come after a ttl='5m' block")

    def _read(self, blocks: list[_Block], marked: list[int]) -> int:
        now = self.clock()
        for block in reversed(blocks):
            steps = [blocks[i].position - block.position for i in marked]
            entry = self._entries.get(block.prefix)
            if not entry or entry.expires_s <= now:
                continue
            if any(0 <= n < self.LOOKBACK_POSITIONS for n in steps):
                self._keep(block.prefix, entry.ttl)
                return block.end_tokens
        return 0

    def _keep(self, prefix: str, ttl: str) -> None:
        self._entries[prefix] = _Entry(ttl, self.clock() + self.TTL_S[ttl])


def _blocks(body: Body) -> list[_Block]:
    parts = list(_anthropic_parts(body))
    if parts and "cache_control" in body:  # automatic: on the last cacheable block
        last = parts[-1]
        parts[-1] = (last[0], last[1], last[2] or body["cache_control"])
    prefix = hashlib.sha256(str(body.get("model")).encode())
    blocks: list[_Block] = []
    end, position, previous = 0, 0, ""
    for kind, text, control in parts:
        prefix.update(text.encode() + b"\0")
        end += count_tokens(text)
        position += not (kind == previous and kind in ("tool_use", "tool_result"))
        previous = kind
        ttl = control.get("ttl", "5m") if control else None
        blocks.append(_Block(prefix.hexdigest(), end, position, ttl))
    return blocks


def _anthropic_parts(body: Body) -> Iterator[tuple[str, str, Any]]:
    """Each block in the provider's order: its type, canonical text, and `cache_control`."""
    groups = [("tool", body.get("tools", ())), ("system", body.get("system", ()))]
    groups += [(message["role"], message["content"]) for message in body.get("messages", ())]
    for role, content in groups:
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            rest = {key: value for key, value in part.items() if key != "cache_control"}
            text = f"{role}:{json.dumps(rest, sort_keys=True)}"
            yield str(part.get("type")), text, part.get("cache_control")


@dataclass(slots=True)
class OpenAIPromptCache:
    """Automatic caching: openai.com/index/api-prompt-caching, read 2026-11-21.

    The longest prefix computed before, from 1,024 tokens in steps of 128; gone after five minutes
    without use. Its example: 2,006 prompt tokens, 1,920 of them cached.
    """

    MIN_TOKENS = 1024
    STEP_TOKENS = 128
    TTL_S = 300.0

    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, float] = field(default_factory=dict)
    """Prompt text to the time it is forgotten."""

    def look_up(self, body: Body) -> Tokens:
        """Input tokens of this request, split; remembers its prompt."""
        prompt, now = _openai_prompt(body), self.clock()
        shared = {
            old: _common_chars(old, prompt) // CHARS_PER_TOKEN
            for old, expires_s in self._seen.items()
            if expires_s > now
        }
        longest = max(shared.values(), default=0)
        read = longest - longest % self.STEP_TOKENS if longest >= self.MIN_TOKENS else 0
        for old, tokens in shared.items():
            if read and tokens == longest:
                self._seen[old] = now + self.TTL_S
        self._seen[prompt] = now + self.TTL_S
        return Tokens(fresh=count_tokens(prompt) - read, cache_read=read)


def _openai_prompt(body: Body) -> str:
    """The prompt as one text: model, tools, then messages (or the input of a response)."""
    messages = body.get("messages", body.get("input", ()))
    parts = [messages] if isinstance(messages, str) else messages
    head = [body.get("tools", []), body.get("instructions", "")]
    texts = [json.dumps(part, sort_keys=True) for part in [*head, *parts]]
    return "\n".join([str(body.get("model")), *texts])


def _common_chars(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
