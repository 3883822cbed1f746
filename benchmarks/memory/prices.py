"""The price models of the benchmark: a model's prices, and the rules of its cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from memory.caches import Breakpoints, LongestPrefix, PriceModel

PRICE_MODELS: Final[Mapping[str, PriceModel]] = {
    model.name: model
    for model in (
        PriceModel(
            name="Sonnet",
            input_nanos=3000,
            read=0.1,
            write=1.25,
            output=5,
            rules=Breakpoints(min_tokens=1024),
        ),
        PriceModel(
            name="Sonnet 5.5",
            input_nanos=2000,
            read=0.05,
            write=1.25,
            output=5,
            rules=Breakpoints(min_tokens=1024),
        ),
        PriceModel(
            name="Haiku 4.5",
            input_nanos=1000,
            read=0.1,
            write=1.25,
            output=5,
            rules=Breakpoints(min_tokens=4096),
        ),
        PriceModel(
            name="GPT-4o",
            input_nanos=2500,
            read=0.5,
            output=4,
            rules=LongestPrefix(min_tokens=1024, step_tokens=128),
        ),
        PriceModel(
            name="GPT-5.x",
            input_nanos=1250,
            read=0.1,
            output=8,
            rules=LongestPrefix(min_tokens=1024, step_tokens=128),
        ),
        PriceModel(
            name="gpt-6-sol",
            input_nanos=2000,
            read=0.1,
            write=1.25,
            output=5,
            rules=Breakpoints(min_tokens=1024, look_back=80, ttl_s=1800.0),
        ),
        PriceModel(
            name="DeepSeek",
            input_nanos=280,
            read=0.02,
            output=2,
            rules=LongestPrefix(min_tokens=64, step_tokens=64, ttl_s=3600.0),
        ),
        PriceModel(name="uncached", input_nanos=3000, output=5, rules=None),
    )
}
"""By name. Haiku 4.5 has the largest least length. Prices: the providers' lists, 2026-11."""
CACHED: Final = tuple(name for name, model in PRICE_MODELS.items() if model.rules is not None)
