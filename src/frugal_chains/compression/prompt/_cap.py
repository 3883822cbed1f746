"""How many tokens an answer may have, from how many answers of its kind had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from frugal_chains.compression.prompt._checks import in_unit
from frugal_chains.errors import PromptError


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCap:
    """A `max_tokens`, and what is known of the answers it would cut."""

    max_tokens: int
    cut_share: float
    """At most this share of further answers of the kind is cut; see `confidence`."""
    confidence: float
    """How sure that is: of so many samples like this one, the share whose cap keeps its word."""
    observed: int
    """Answers it was learned from."""
    rank: int
    """The cap is the answer of this rank from below (1: the shortest), and the headroom on it."""


def output_cap(
    observed_tokens: Sequence[int],
    *,
    quantile: float = 0.99,
    headroom: float = 1.1,
    confidence: float = 0.95,
    cut: int = 0,
    ceiling: int | None = None,
    enabled: bool = True,
) -> OutputCap | None:
    """The least cap under which at most `1 - quantile` of the answers would be cut.

    The bound holds whatever the lengths are distributed like: the chance that a share of at least
    `quantile` lies at or below the k-th smallest of n is `P(Bin(n, quantile) <= k - 1)`, and the
    smallest k is taken for which that is at least `confidence`. For lengths, which come in whole
    numbers, the chance is higher yet. S. S. Wilks, "Determination of sample sizes for setting
    tolerance limits", Ann. Math. Statist. 12 (1941) 91-96; P. N. Sommerville, "Tables for obtaining
    non-parametric confidence limits", Ann. Math. Statist. 29 (1958) 599-601. What it takes for
    granted is that further answers are like those observed: the same kind of task, model and
    prompt. Where they drift, observe anew.

    A cap does not make answers shorter: the model does not know of it. It bounds what a runaway
    answer can cost and what a budget has to hold back for a call.

    Args:
        observed_tokens: Output tokens of finished answers of one kind, reasoning counted where the
            provider counts it into `max_tokens`.
        quantile: Share of the answers to leave whole, above 0 and below 1.
        headroom: On top of the observed length, as a factor of 1 or more.
        confidence: In the bound, above 0 and below 1.
        cut: So many of the observed were themselves cut by a cap, and would have been longer by an
            unknown amount. They must be in `observed_tokens`; they count as the longest.
        ceiling: The model's own cap, in tokens.
        enabled: False: no cap.

    Returns:
        None where too few were observed for the bound (59 for 95 % at 95 % confidence, 299 for
        99 %), where the rank falls on an answer that was cut, or where the ceiling is lower.

    Raises:
        PromptError: An argument is out of its range.
    """
    _check(observed_tokens, quantile, headroom, confidence, cut)
    if not enabled:
        return None
    rank = tolerance_rank(len(observed_tokens), quantile=quantile, confidence=confidence)
    if rank is None or rank > len(observed_tokens) - cut:
        return None
    length = sorted(observed_tokens)[rank - 1]
    # A cap of 0 is no cap for some providers and an error for the others.
    tokens = max(math.ceil(length * headroom), 1)
    if ceiling is not None and tokens > ceiling:
        return None
    return OutputCap(
        max_tokens=tokens,
        cut_share=1 - quantile,
        confidence=confidence,
        observed=len(observed_tokens),
        rank=rank,
    )


def tolerance_rank(n: int, *, quantile: float, confidence: float) -> int | None:
    """The smallest k with `P(Bin(n, quantile) <= k - 1) >= confidence`; None: there is none.

    Summed from the top: `P(Bin >= k) <= 1 - confidence` fails at a few terms, far from n.
    """
    log_hit, log_miss = math.log(quantile), math.log1p(-quantile)
    above, rank = 0.0, None
    for k in range(n, 0, -1):
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        above += math.exp(ways + k * log_hit + (n - k) * log_miss)
        # A hair of slack for the rounding of a sum that meets its bound exactly.
        if above > (1 - confidence) * (1 + 1e-12):
            break
        rank = k
    return rank


def _check(
    observed: Sequence[int], quantile: float, headroom: float, confidence: float, cut: int
) -> None:
    in_unit(quantile=quantile, confidence=confidence)
    if quantile in (0, 1) or confidence in (0, 1):
        raise PromptError("quantile and confidence lie between 0 and 1, and are neither")
    if not (math.isfinite(headroom) and headroom >= 1):
        raise PromptError(f"headroom is {headroom}; expected a factor of 1 or more")
    if not 0 <= cut <= len(observed):
        raise PromptError(f"cut is {cut}; expected 0 to {len(observed)}, the answers observed")
    if any(tokens < 0 for tokens in observed):
        raise PromptError(f"observed_tokens holds {min(observed)}; expected 0 or more")
