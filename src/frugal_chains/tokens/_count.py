"""`TokenCount`: a number of tokens that says how it was found, and its worst case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Method = Literal["encoding", "frame", "proxy", "heuristic"]
"""`encoding`: tokenized by the model's own encoding, framed as its provider is known to.
`frame`: the model's own encoding, or most likely it; what surrounds the text is estimated.
`proxy`: tokenized by another encoding, times the provider's factor.
`heuristic`: no rank file on this machine; estimated from character classes."""

# How far the true count was seen above the estimate, over the 80 samples in `tests/core/tokens` and
# the tokenizers named in `providers/_tokenizers.py`. frame: allows for nested tool schemas, whose
# rendering is unpublished. proxy: covers every sample on Claude, Mistral and DeepSeek; Llama 3 goes
# beyond it on Hebrew and Bengali, Qwen 3 on Greek, Hindi and Bengali. heuristic: the same with the
# character classes in front.
_MARGINS: Mapping[Method, float] = {
    "encoding": 0.0,
    "frame": 0.15,
    "proxy": 0.70,
    "heuristic": 1.25,
}
_SPARE_TOKENS = 16
"""On short requests the unknown frame is larger than any share of the text."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens, and how well that is known."""

    tokens: int
    exact: bool
    """Whether the provider's own count is this number, as far as it has published how it counts."""
    method: Method
    headroom_tokens: int = 0
    """What images may cost on top, because their sizes are not known here."""
    factor: float = 1.0
    """The calibration already inside `tokens`; 1.0 where nothing was learned yet."""


def worst_case_tokens(count: TokenCount) -> int:
    """What to reserve for `count`: itself when exact, otherwise with a safety margin.

    The margin is a share that depends on the method (15 % for an estimated frame, 70 % for another
    provider's text, 125 % without rank files), plus 16 tokens, plus the images' headroom.
    """
    if count.exact:
        return count.tokens
    share = math.ceil(count.tokens * (1 + _MARGINS[count.method]))
    return share + _SPARE_TOKENS + count.headroom_tokens
