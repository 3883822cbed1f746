"""Anthropic requests as they are sent, and the facts a plan may look at, told apart from them."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from frugal_chains.pricing import CacheTerms, TokenPrices
from frugal_chains.prompt_cache import CacheBlock, CachePlan

Body = dict[str, Any]


def terms(
    write: float, *, read: float = 300, fresh: float = 3000, least: int = 1024, step: int = 1
) -> CacheTerms:
    """Nanos of a token. Claude Sonnet 4.6 unless told: 3 USD per million tokens, reads 0.1x."""
    prices = TokenPrices(fresh=fresh, cache_read=read, cache_write=write)
    return CacheTerms(prices=prices, min_tokens=least, step_tokens=step)


SONNET = {"5m": terms(3750), "1h": terms(6000)}
"""platform.claude.com/docs/en/about-claude/pricing, read 2026-11-22: writes 1.25x and 2x."""
HAIKU = {"5m": terms(3750, least=4096), "1h": terms(6000, least=4096)}


def text_block(text: str, tokens: int) -> Body:
    """A text block of about so many tokens of four characters."""
    return {"type": "text", "text": (text * (4 * tokens))[: 4 * tokens]}


def tool(name: str, tokens: int) -> Body:
    return {
        "name": name,
        "description": "d" * (4 * tokens),
        "input_schema": {"type": "object", "properties": {}},
    }


def parts(body: Body) -> list[tuple[str, Body]]:
    """Every block of a request with its group, in the order in which the provider reads them."""
    found = [("tools", each) for each in body.get("tools", [])]
    found += [("system", each) for each in body.get("system", [])]
    for message in body["messages"]:
        found += [(message["role"], each) for each in message["content"]]
    return found


def cache_blocks(
    body: Body, *, kept: Sequence[int] = (), volatile: Sequence[int] = ()
) -> list[CacheBlock]:
    """Facts of a request. Tokens are those the simulated provider counts: four characters of the
    canonical JSON of the block, after its role."""
    found = []
    for index, (group, block) in enumerate(parts(body)):
        role = "tool" if group == "tools" else group
        text = f"{role}:{json.dumps(block, sort_keys=True)}"
        found.append(
            CacheBlock(
                kind=group if group in ("tools", "system") else "message",  # type: ignore[arg-type]
                tokens=-(-len(text) // 4),
                kept=index in kept,
                volatile=index in volatile,
                run={"tool_use": "calls", "tool_result": "results"}.get(  # type: ignore[arg-type]
                    block.get("type", ""), ""
                ),
            )
        )
    return found


def marked(body: Body, plan: CachePlan) -> Body:
    """A copy of the request with the plan's markers on it."""
    sent = copy.deepcopy(body)
    blocks = parts(sent)
    for marker in plan.markers:
        blocks[marker.index][1]["cache_control"] = {"type": "ephemeral", "ttl": marker.ttl}
    return sent
