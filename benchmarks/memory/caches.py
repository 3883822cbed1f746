"""Bills by the providers' own cache rules. Shares nothing with the library it measures.

Three kinds of cache:

- *longest prefix* (OpenAI before GPT-5.6; DeepSeek, nearly): whatever a prompt has in common with
  the beginning of an earlier one is read, in whole steps, from a least length on. Writing is free.
- *breakpoints* (Anthropic; OpenAI from GPT-5.6 on): an entry is kept for each marked place of a
  request, of the least length or more. A later request looks for entries at its own marks and a
  number of content blocks back from each. What is read ends at an entry; from there to the last
  mark it is written, at a surcharge; what follows the last mark is fresh.
- *none*: all input is fresh.

Entries live for `ttl_s` seconds after they were last read or written.

Sources, read 2026-11: developers.openai.com/api/docs/guides/prompt-caching (1,024 tokens, steps of
128), platform.claude.com/docs/en/build-with-claude/prompt-caching (minimums, four breakpoints,
20 positions of which the breakpoint is the first, five minutes, refreshed by every use; OpenAI from
GPT-5.6 on: 30 minutes after the last use, at least), api-docs.deepseek.com/guides/kv_cache
(hours to days; here one hour).

DeepSeek keeps whole units (ends of requests, beginnings that it has found to be shared, fixed
intervals); here it reads any shared beginning in steps of 64. That credits what was rewritten, the
peers' prompts, with a little more than DeepSeek would.

Not modelled: parallel first calls, eviction before the time to live, what answers leave behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from memory.protocol import Block, Purpose, Request

MOST_MARKS: Final = 4
"""Breakpoints in one request, Anthropic and OpenAI."""
TTL_S: Final = 300.0


class TooManyMarks(ValueError):
    """A request with more breakpoints than providers take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestPrefix:
    """Rules of a cache that finds any shared beginning."""

    min_tokens: int
    step_tokens: int
    ttl_s: float = TTL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakpoints:
    """Rules of a cache that keeps what ends at a mark."""

    min_tokens: int
    look_back: int = 20
    """Content blocks searched from each mark, the marked one included."""
    ttl_s: float = TTL_S


Rules = LongestPrefix | Breakpoints | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceModel:
    """Prices of a model, and the rules of its cache."""

    name: str
    input_nanos: float
    """Nano-USD for a fresh token: USD per million times 1,000."""
    read: float = 1.0
    """Multiples of the price of a fresh token;"""
    write: float = 1.0
    output: float
    rules: Rules


@dataclass(frozen=True, slots=True)
class Split:
    """The tokens of one prompt, as they are billed."""

    fresh: int
    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """One request on the bill."""

    turn: int
    purpose: Purpose
    split: Split
    output_tokens: int
    nanos: float


@dataclass(slots=True)
class _Tree:
    """Every beginning that was ever sent, as a node; the root is 0."""

    _child: dict[tuple[int, tuple[object, ...]], int] = field(default_factory=dict)
    _children: dict[int, list[tuple[int, Block]]] = field(default_factory=dict)
    used_s: dict[int, float] = field(default_factory=dict)
    """When a beginning that is kept was last read or written."""

    def path(self, blocks: Iterable[Block]) -> list[int]:
        """The node at the end of each block; those that are new are added."""
        node, nodes = 0, []
        for block in blocks:
            key = (node, block.key)
            child = self._child.get(key)
            if child is None:
                child = self._child[key] = len(self._child) + 1
                self._children.setdefault(node, []).append((child, block))
            node = child
            nodes.append(node)
        return nodes

    def live(self, node: int, at_s: float, ttl_s: float) -> bool:
        used = self.used_s.get(node)
        return used is not None and at_s - used <= ttl_s

    def shared_in_block(self, parent: int, block: Block, at_s: float, ttl_s: float) -> int:
        """Tokens at the beginning of a block that a live sibling begins with, too: as many of
        them as of its characters."""
        best = 0
        for child, other in self._children.get(parent, ()):
            if other.role == block.role and self.live(child, at_s, ttl_s):
                best = max(best, _same(block.text, other.text))
        return best * block.tokens // max(1, len(block.text))


def _same(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Cache:
    """What a provider keeps of one conversation, for one model."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._tree = _Tree()

    def send(self, request: Request) -> Split:
        """How a prompt is billed. It is kept where the rules say so.

        Raises:
            TooManyMarks: more than four breakpoints.
        """
        match self._rules:
            case LongestPrefix() as rules:
                return self._longest(rules, request)
            case Breakpoints() as rules:
                return self._marked(rules, request)
        return Split(request.tokens)

    def _longest(self, rules: LongestPrefix, request: Request) -> Split:
        total = request.tokens
        tree, at_s = self._tree, request.at_s
        nodes = tree.path(request.blocks)
        shared, parent = 0, 0
        for node, block in zip(nodes, request.blocks, strict=True):
            if not tree.live(node, at_s, rules.ttl_s):
                shared += tree.shared_in_block(parent, block, at_s, rules.ttl_s)
                break
            shared += block.tokens
            parent = node
        for node in nodes:
            tree.used_s[node] = at_s
        read = shared - shared % rules.step_tokens
        return Split(total - read, read) if read >= rules.min_tokens else Split(total)

    def _marked(self, rules: Breakpoints, request: Request) -> Split:
        tree, at_s = self._tree, request.at_s
        nodes = tree.path(request.blocks)
        tokens, parts = _running(request.blocks)
        marks = [mark for mark in marks_of(request) if tokens[mark] >= rules.min_tokens]
        found: list[int] = []
        for mark in marks:
            for at in range(mark, -1, -1):
                if parts[at] <= parts[mark] - rules.look_back:
                    break
                if tree.live(nodes[at], at_s, rules.ttl_s):
                    found.append(at)
                    break
        for at in (*found, *marks):
            tree.used_s[nodes[at]] = at_s
        read = max((tokens[at] for at in found), default=0)
        end = max((tokens[mark] for mark in marks), default=0)
        return Split(request.tokens - end, read, end - read)


def marks_of(request: Request) -> tuple[int, ...]:
    """After which blocks breakpoints stand.

    Raises:
        TooManyMarks: more than four.
    """
    if request.marks is not None:
        if len(set(request.marks)) > MOST_MARKS:
            raise TooManyMarks(f"{len(set(request.marks))} breakpoints: at most {MOST_MARKS}")
        return tuple(sorted(set(request.marks)))
    last: dict[str, int] = {}
    for number, block in enumerate(request.blocks):
        if block.kind in ("system", "summary"):
            last[block.kind] = number
    return tuple(sorted({*last.values(), len(request.blocks) - 1}))


def _running(blocks: Iterable[Block]) -> tuple[list[int], list[int]]:
    """Tokens and content blocks up to the end of each block."""
    tokens, parts = [], []
    token, part = 0, 0
    for block in blocks:
        token += block.tokens
        part += block.parts
        tokens.append(token)
        parts.append(part)
    return tokens, parts


def nanos(split: Split, output_tokens: int, model: PriceModel) -> float:
    """What one request costs, in nano-USD."""
    weighed = split.fresh + split.read * model.read + split.written * model.write
    return model.input_nanos * (weighed + output_tokens * model.output)


def bill(requests: Iterable[Request], model: PriceModel) -> list[Charge]:
    """Each request of one conversation, in order. Every model of it has its own cache."""
    caches: dict[str, Cache] = {}
    charges = []
    for request in requests:
        cache = caches.setdefault(request.model, Cache(model.rules))
        split = cache.send(request)
        cost = request.price * nanos(split, request.output_tokens, model)
        charges.append(Charge(request.turn, request.purpose, split, request.output_tokens, cost))
    return charges
