"""A message that fits no window, in so many tokens: its beginning and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.memory import MemoryState

_MARK: Final = "\n[... left out here: the middle of a message of {tokens:,} tokens ...]\n"
_HEAD_SHARE: Final = 2 / 3
"""Of what is kept; the end is kept as well, as errors and questions often stand there."""
_ROUNDS: Final = 12
_LESS: Final = 0.9


def shortened_texts(
    weights: Weights, history: History, state: MemoryState, sent: frozenset[int]
) -> tuple[tuple[int, str], ...]:
    """Positions and texts of the messages among `sent` that are cut by the state."""
    if not state.shortened:
        return ()
    to, found = dict(state.shortened), []
    count = weights.count(history.model, history.provider)
    for at in sorted(sent):
        tokens = to.get(history.keys[at])
        if tokens is not None:
            facts, whole = history.message(at), weights.held(history, at).tokens
            frame = whole - count(facts.text) if len(facts.text) < 100_000 else 0
            found.append((at, shortened(facts.text, max(1, tokens - max(0, frame)), whole, count)))
    return tuple(found)


def shortened(text: str, to_tokens: int, tokens: int, count: Callable[[str], int]) -> str:
    """The two ends of a text, with a note between them, in at most `to_tokens`.

    Args:
        text: Of about `tokens` tokens.
        to_tokens: For all of it; where the note alone has more, nothing but the note is left.
        tokens: What the note says.
        count: Tokens of a text.
    """
    mark = _MARK.format(tokens=tokens)
    chars = int(len(text) * min(1.0, to_tokens / max(1, tokens)))
    for _ in range(_ROUNDS):
        head = int(chars * _HEAD_SHARE)
        tail = chars - head
        cut = text[:head] + mark + (text[-tail:] if tail else "")
        over = count(cut) / to_tokens
        if over <= 1:
            return cut
        chars = int(chars * _LESS / over)
    return mark
