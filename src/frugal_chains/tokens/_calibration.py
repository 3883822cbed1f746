"""What returned usage teaches about estimates: one factor per provider and model family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from frugal_chains.providers import model_family, provider_id

# The prior says that the estimate is right, with the weight of four full-sized requests. The memory
# is capped, so that a provider's new tokenizer is learned within a few hundred requests.
_PRIOR_WEIGHT = 4.0
_MEMORY_WEIGHT = 200.0
# A request of this many tokens weighs half of a long one: short ones mostly measure the frame.
_HALF_WEIGHT_TOKENS = 100.0
# One answer moves the mean as if it had missed it by a quarter at most, however absurd it is.
_STEP = math.log(1.28)
# No tokenizer in use differs by more from o200k_base on mixed text.
_LIMIT = math.log(2.5)

Learned = tuple[float, float]
"""(mean log ratio of returned to counted, weight of the evidence behind it)"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Factors learned from returned usage. Immutable; `updated` gives the next one.

    The factor is a weighted geometric mean of returned / counted, shrunk towards 1, robust to
    single outliers and bounded to [0.4, 2.5].
    """

    families: Mapping[str, Learned] = field(default_factory=dict)
    """By `provider/model family`."""

    def factor(self, provider: str | None, model: str) -> float:
        """What to multiply an estimate by: 1.0 where nothing was learned."""
        learned = self.families.get(_key(provider, model))
        return math.exp(learned[0]) if learned else 1.0

    def updated(
        self, provider: str | None, model: str, counted_tokens: float, returned_tokens: int
    ) -> Calibration:
        """This calibration after one more answer.

        `counted_tokens` is the estimate before any calibration. Counts of zero or less teach
        nothing: a provider that returns 0 input tokens did not count.
        """
        if not (0 < counted_tokens < math.inf and 0 < returned_tokens < math.inf):
            return self
        key = _key(provider, model)
        mean, weight = self.families.get(key, (0.0, _PRIOR_WEIGHT))
        gain = counted_tokens / (counted_tokens + _HALF_WEIGHT_TOKENS)
        surprise = math.log(returned_tokens / counted_tokens) - mean
        mean += _clip(surprise, _STEP) * gain / (weight + gain)
        learned = (_clip(mean, _LIMIT), min(weight + gain, _MEMORY_WEIGHT))
        return Calibration({**self.families, key: learned})

    def to_json(self) -> dict[str, list[float]]:
        """Plain JSON; `from_json` restores it."""
        return {key: list(learned) for key, learned in sorted(self.families.items())}

    @classmethod
    def from_json(cls, data: object) -> Calibration:
        """Read what `to_json` gave. Entries that cannot be true are dropped, never raised:
        a damaged calibration costs accuracy, not the user's call."""
        if not isinstance(data, Mapping):
            return cls()
        found = {key: _learned(value) for key, value in data.items() if isinstance(key, str)}
        return cls({key: learned for key, learned in found.items() if learned})


def _learned(value: object) -> Learned | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    if not all(type(number) in (int, float) and math.isfinite(number) for number in value):
        return None
    mean, weight = float(value[0]), float(value[1])
    return (_clip(mean, _LIMIT), min(weight, _MEMORY_WEIGHT)) if weight > 0 else None


def _key(provider: str | None, model: str) -> str:
    return f"{provider_id(provider or '')}/{model_family(model)}"


def _clip(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
