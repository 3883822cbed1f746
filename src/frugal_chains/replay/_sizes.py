"""`Sizes`: how many tokens each block has for its provider, learned from what was billed.

A provider's count of a request is known, that of a block is not. But a call that continues another
has a few blocks more, and the difference of the two counts is theirs. What is known here of a block
(the tokens counted here, its characters, its kind) is brought to such differences by least squares;
a recorded block then has its part of the very difference that it was in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.replay._cache import PromptPart
from frugal_chains.replay._prompt import Kind, Prompt

_KINDS: Final[tuple[Kind, ...]] = ("tools", "system", "user", "assistant", "tool")
_TOKENS, _CHARS, _SIGNS, _EACH, _FIRST_KIND = range(5)
"""Of a block: the tokens counted here, characters and signs of its text, one for itself; and its
tokens once more by its kind."""
_CHARS_PER_TOKEN: Final = 4.0
_PULL: Final = np.array([100.0, 100.0, 10.0, 0.02, *(2_000.0 for _ in _KINDS)])
"""What is learned begins as if so many tokens had been counted with the mean of all, whatever they
say. Kinds have to be seen twenty times as often: what is sent in another form, as a compressed
output is, keeps its kind and changes the rest. Chosen on tau-bench's development split and on an
agent of the tests (docs/notes/replay.md)."""
_MOST: Final = 4.0
"""No tokenizer has so many times more, or fewer."""
Floats = NDArray[np.float64]
_BLOCKS: Final = 100_000
_FRAME: Final = 8
"""Tokens around one message, and what rounding makes of short ones."""
_CONVERSATIONS: Final = 4_096


class Sizes:
    """Of models that are counted alike."""

    def __init__(self) -> None:
        self._squares: Floats = np.diag(_PULL)
        self._products: Floats = np.zeros(len(_PULL))
        self._billed = self._counted = 0.0
        self._weights: Floats | None = None
        self._blocks: OrderedDict[int, float] = OrderedDict()
        self._last: OrderedDict[str, tuple[tuple[int, ...], int]] = OrderedDict()

    def learn(self, prompt: Prompt, tokens: int, conversation: str) -> None:
        """A recorded request, and what its provider has counted.

        Args:
            prompt: With sizes as they are counted here.
            tokens: By the provider.
            conversation: Whose earlier request it may continue; empty: none.
        """
        keys = tuple(part.key for part in prompt.parts)
        before, billed = self._last.get(conversation, ((), 0)) if conversation else ((), 0)
        if keys[: len(before)] != before or len(before) == len(keys):
            before, billed = (), 0
        new = range(len(before), len(keys))
        self._add(prompt, new, tokens - billed)
        if conversation:
            self._last[conversation] = keys, tokens
            self._last.move_to_end(conversation)
            if len(self._last) > _CONVERSATIONS:
                self._last.popitem(last=False)

    def of(self, prompt: Prompt) -> tuple[PromptPart, ...]:
        """The prompt's parts with these sizes; what is rounded at one is made up for at the
        next."""
        exact, whole, parts = 0.0, 0, []
        for at, part in enumerate(prompt.parts):
            known = self._blocks.get(part.key)
            exact += self._guess(_features(prompt, at)) if known is None else known
            tokens = max(0, round(exact) - whole)
            whole += tokens
            parts.append(PromptPart(part.key, tokens, part.positions))
        return tuple(parts)

    def _add(self, prompt: Prompt, new: range, tokens: int) -> None:
        counted = float(sum(prompt.parts[at].tokens for at in new))
        if tokens < 0 or not counted:
            return
        each = [_features(prompt, at) for at in new]
        if _can_be(tokens, counted):
            self._learn(np.sum(each, axis=0), tokens, counted)
        guesses = [self._guess(features) for features in each]
        if not sum(guesses):
            guesses = [float(prompt.parts[at].tokens) for at in new]
        factor = tokens / sum(guesses)
        for at, guess in zip(new, guesses, strict=True):
            self._blocks[prompt.parts[at].key] = guess * factor
            self._blocks.move_to_end(prompt.parts[at].key)
        while len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)

    def _learn(self, whole: Floats, tokens: int, counted: float) -> None:
        # Weighed so that a long first request does not outweigh a hundred short turns.
        self._squares += np.outer(whole, whole) / counted
        self._products += whole * (tokens / counted)
        self._billed, self._counted = self._billed + tokens, self._counted + counted
        self._weights = None

    def _guess(self, features: Floats) -> float:
        """Tokens of the provider's for a block."""
        if not self._counted:
            return float(features[_TOKENS])
        weights = self._weights
        if weights is None:
            mean = np.zeros(len(_PULL))
            mean[_TOKENS] = self._billed / self._counted
            solved = np.linalg.solve(self._squares, self._products + _PULL * mean)
            self._weights = weights = np.asarray(solved, dtype=np.float64)
        return max(0.0, float(np.dot(features, weights)))


def _can_be(tokens: int, counted: float) -> bool:
    """Whether a provider can have counted so many of what is counted here; else it has counted
    something else, of which nothing is learned about other blocks."""
    return abs(tokens - counted) <= _FRAME or 1 / _MOST <= tokens / counted <= _MOST


def _features(prompt: Prompt, at: int) -> Floats:
    found = np.zeros(len(_PULL))
    kind, chars, signs = prompt.traits[at]
    found[_TOKENS] = found[_FIRST_KIND + _KINDS.index(kind)] = prompt.parts[at].tokens
    found[_CHARS] = chars / _CHARS_PER_TOKEN
    found[_SIGNS] = signs / _CHARS_PER_TOKEN
    found[_EACH] = 1.0
    return found
