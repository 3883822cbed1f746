"""To how many tokens a text may be shortened where shortening it further may not pay."""

from __future__ import annotations

from frugal_chains.compression._pays import Ahead, pays
from frugal_chains.pricing import CacheTerms


def fewest_that_pay(
    before_tokens: int,
    after_tokens: int,
    terms: CacheTerms | None,
    ahead: Ahead,
    *,
    short_tokens: int = 0,
) -> int | None:
    """The fewest tokens, `after_tokens` or more, to which a text may be shortened: where `pays`
    refuses `after_tokens`, a little more may stay above the minimum, or leave out whole steps.

    Args:
        before_tokens: Of the text.
        after_tokens: Of the shortest form that is wanted.
        terms: Of the provider; None: nothing is cached.
        ahead: What is known of the conversation.
        short_tokens: By which a text may come out shorter than it was asked for: it pays with each
            of these lengths. Ask `pays` again with what came out.

    Returns:
        None: no length was found that pays.

    Raises:
        CompressionError: as `pays`.
    """

    def ok(tokens: int) -> bool:
        return pays(before_tokens, tokens, terms, ahead).ok

    if after_tokens >= before_tokens:
        return None
    if terms is None or ok(after_tokens):
        return after_tokens
    # What is left out decides in whole steps, so one step tells of all; once more where the prompt
    # is just long enough to be kept.
    kept = terms.min_tokens - ahead.prefix_tokens
    for first in sorted({after_tokens + 1, max(after_tokens + 1, kept)}):
        last = min(first + terms.step_tokens + short_tokens, before_tokens - 1)
        run = 0
        for tokens in range(first, last + 1):
            run = run + 1 if ok(tokens) else 0
            if run > short_tokens:
                return tokens
    return None
