"""`in_front`: how much surely stands in front of a tool's output, as far as an adapter can see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from frugal_chains.compression.extract import Count
from frugal_chains.dispatch._prefix import PrefixFacts
from frugal_chains.providers import HIGHEST_MIN_TOKENS

_MOST_CHARS: Final = 32_768
"""Of one text, that are counted: enough tokens in nearly all, and never long to wait for."""
_SURE_SHARE: Final = 0.5
"""Of an estimate: the factors of `providers.tokenizer_facts` are 1.8 at most, and too high for
some texts, never twice too high."""


def in_front(
    facts: PrefixFacts,
    *,
    reported_tokens: int = 0,
    texts: Iterable[str] = (),
    count: Count,
    exact: bool,
) -> PrefixFacts:
    """The facts with a lower bound of the tokens in front of an output: too low a number leaves
    more outputs alone than need be, too high a one may cost money.

    Args:
        facts: Of the conversation; its prefix is what stands in front of the first message, such as
            the system prompt and the tools.
        reported_tokens: Input of the latest request, as its provider has counted it, with system
            prompt and tools. 0: not known.
        texts: Of the messages so far, counted where nothing is reported. Only what is needed is
            taken of them.
        count: The tokenizer.
        exact: Whether it is the model's own.
    """
    ahead = facts.ahead
    tokens = max(ahead.prefix_tokens, reported_tokens)
    if not reported_tokens:
        share = 1.0 if exact else _SURE_SHARE
        # More of a prefix changes no verdict, and takes half a millisecond per thousand to count.
        enough = max(HIGHEST_MIN_TOKENS, facts.min_tokens or 0)
        for text in texts:
            if tokens >= enough:
                break
            tokens += int(count(text[:_MOST_CHARS]) * share)
    return replace(facts, ahead=replace(ahead, prefix_tokens=tokens))
