"""An attempt in OpenTelemetry's words: what is counted, and what a span of it says.

Conventions: github.com/open-telemetry/semantic-conventions-genai at 066d4a7 (read 2026-11-22),
docs/gen-ai/gen-ai-token-metrics.md; all in development, none stable. Cost is in none: the three
`gen_ai.usage.cost.*` are those of its open pull request 443, as of 2026-08-09, on inference spans
alone. What has no name there is under `frugal_chains.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from frugal_chains.ledger import Attempt
from frugal_chains.pricing import Free, Unpriced

AttributeValue = str | int | float | bool
Attributes = dict[str, AttributeValue]

NANOS: Final = 1e9
_USAGE: Final = "gen_ai.client.inference.usage."
_EMBEDDING_TOKENS: Final = "gen_ai.client.embeddings.operation.input_tokens"
_PROVIDERS: Final[Mapping[str, str]] = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gen_ai",  # "may be used when specific backend is unknown"
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "x-ai": "x_ai",
}
"""The conventions' well-known values, where they differ from genai-prices' ids."""


class Instrument(NamedTuple):
    """How a measurement is kept."""

    counter: bool
    """Else a histogram."""
    unit: str
    about: str


INSTRUMENTS: Final[Mapping[str, Instrument]] = {
    f"{_USAGE}input_tokens": Instrument(True, "{token}", "Input tokens, cached ones included."),
    f"{_USAGE}output_tokens": Instrument(True, "{token}", "Output tokens, reasoning included."),
    f"{_USAGE}cache_read.input_tokens": Instrument(True, "{token}", "Input read from a cache."),
    f"{_USAGE}cache_write.input_tokens": Instrument(True, "{token}", "Input written to a cache."),
    f"{_USAGE}reasoning.output_tokens": Instrument(True, "{token}", "Output spent on reasoning."),
    _EMBEDDING_TOKENS: Instrument(False, "{token}", "Input tokens of an embedding request."),
    "frugal_chains.attempts": Instrument(True, "{attempt}", "Requests, by how they ended."),
    "frugal_chains.cost": Instrument(True, "USD", "Cost of the attempts that have a price."),
}


class Measurement(NamedTuple):
    """An amount to add to, or to record with, one of `INSTRUMENTS`."""

    name: str
    value: float
    attributes: Attributes


def measurements(
    attempt: Attempt, *, tags: Sequence[str] = (), estimated: bool = False
) -> list[Measurement]:
    """What an attempt adds.

    By the conventions token counters have the provider's word, and 0 of the modality `unknown`
    where there is none. What is not told as audio or image is `unknown` too: it may be either.
    An answer of a response cache is no inference and adds to `frugal_chains.attempts` alone.

    Args:
        attempt: Which.
        tags: The tags that become attributes, `frugal_chains.tag.<name>`. Each value is a time
            series of its own: none by default.
        estimated: Count tokens that were estimated, as the ledger does.
    """
    own = {**own_attributes(attempt), **tag_attributes(attempt, tags)}
    found = [Measurement("frugal_chains.attempts", 1, {**own, **ending_attributes(attempt)})]
    if attempt.status != "cached":
        found += _tokens(attempt, own, estimated=estimated)
        if attempt.price.nanos is not None:
            cost = {**own, "frugal_chains.purpose": attempt.purpose, **source_attributes(attempt)}
            found.append(Measurement("frugal_chains.cost", attempt.price.nanos / NANOS, cost))
    return found


def corrections(before: Sequence[Measurement], after: Sequence[Measurement]) -> list[Measurement]:
    """What the true end of a call adds to what was counted when it was given up: counters never go
    down, and the attempt is counted already."""
    counted: dict[str, float] = {}
    for each in before:
        counted[each.name] = counted.get(each.name, 0) + each.value
    found = []
    for name, value, attributes in after:
        had = min(counted.get(name, 0), value)
        counted[name] = counted.get(name, 0) - had
        if name != "frugal_chains.attempts" and value > had:
            found.append(Measurement(name, value - had, attributes))
    return found


def _tokens(attempt: Attempt, own: Attributes, *, estimated: bool) -> Iterator[Measurement]:
    usage = attempt.usage
    told = estimated or usage.source != "estimated"
    if attempt.purpose == "embed":
        if told:
            yield Measurement(_EMBEDDING_TOKENS, usage.input_tokens, own)
        return
    parts = {
        "input_tokens": (
            usage.input_tokens, usage.input_audio_tokens, usage.input_image_tokens
        ),
        "output_tokens": (
            usage.output_tokens, usage.output_audio_tokens, usage.output_image_tokens
        ),
        "cache_read.input_tokens": (usage.cache_read_tokens, usage.cache_read_audio_tokens, 0),
        "cache_write.input_tokens": (usage.cache_write_tokens, 0, 0),
        "reasoning.output_tokens": (usage.reasoning_tokens, 0, 0),
    }  # fmt: skip
    for name, (whole, audio, image) in parts.items():
        amounts = {"audio": audio, "image": image, "unknown": whole - audio - image}
        if not told:
            amounts = {"unknown": 0}
        for modality, amount in amounts.items():
            if amount or (modality == "unknown" and (not whole or not told)):
                attributes = {**own, "gen_ai.token.modality": modality}
                yield Measurement(f"{_USAGE}{name}", amount, attributes)


def own_attributes(attempt: Attempt) -> Attributes:
    """The attributes that every signal of an inference has."""
    found: Attributes = {
        "gen_ai.operation.name": operation_name(attempt),
        "gen_ai.provider.name": _PROVIDERS.get(attempt.provider, attempt.provider) or "unknown",
    }
    if asked := attempt.model_asked or attempt.model:
        found["gen_ai.request.model"] = asked
    if attempt.model and attempt.status == "ok":
        found["gen_ai.response.model"] = attempt.model
    return found


def operation_name(attempt: Attempt) -> str:
    return "embeddings" if attempt.purpose == "embed" else "chat"


def ending_attributes(attempt: Attempt) -> Attributes:
    found: Attributes = {
        "frugal_chains.status": attempt.status,
        "frugal_chains.purpose": attempt.purpose,
        "frugal_chains.usage.source": attempt.usage.source,
        "frugal_chains.price.outcome": _outcome(attempt),
    }
    if attempt.status in ("error", "aborted"):
        found["error.type"] = attempt.error_kind or "_OTHER"
    return found


def _outcome(attempt: Attempt) -> str:
    if isinstance(attempt.price, Unpriced):
        return "unpriced"
    return "free" if isinstance(attempt.price, Free) else "priced"


def source_attributes(attempt: Attempt) -> Attributes:
    """Whether the amount came with the response or was worked out here."""
    price_id = getattr(attempt.price, "price_id", "")
    billed = isinstance(price_id, str) and price_id.startswith("billed by ")
    return {"gen_ai.usage.cost.source": "provider" if billed else "local"}


def tag_attributes(attempt: Attempt, names: Sequence[str]) -> Attributes:
    return {
        f"frugal_chains.tag.{name}": str(attempt.tags[name])
        for name in names
        if name in attempt.tags
    }
