"""What the span of an attempt says, in OpenTelemetry's words and in OpenInference's."""

from __future__ import annotations

from collections.abc import Sequence

from frugal_chains.export._otel import (
    NANOS,
    Attributes,
    ending_attributes,
    operation_name,
    own_attributes,
    source_attributes,
    tag_attributes,
)
from frugal_chains.ledger import Attempt
from frugal_chains.pricing import Priced, Unpriced


def span_name(attempt: Attempt) -> str:
    """`chat gpt-4o`, as the conventions have it."""
    return f"{operation_name(attempt)} {attempt.model_asked or attempt.model}".strip()


def span_attributes(
    attempt: Attempt, *, tags: Sequence[str] = (), openinference: bool = False
) -> Attributes:
    """What the span of one inference says of its usage and cost.

    No cost where there is no price. Never put these on the span of an agent or a workflow, too: a
    backend that sums would count twice.

    Args:
        attempt: Which.
        tags: The tags that become attributes, `frugal_chains.tag.<name>`.
        openinference: Also `llm.token_count.*` and `llm.cost.*`, as Phoenix and Arize read them
            (github.com/Arize-ai/openinference, spec/semantic_conventions.md, read 2026-11-22).
    """
    usage = attempt.usage
    found = {
        **own_attributes(attempt),
        **tag_attributes(attempt, tags),
        **ending_attributes(attempt),
    }
    found |= {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    if attempt.streamed:
        found["gen_ai.request.stream"] = True
    if attempt.first_token_s is not None:
        found["gen_ai.response.time_to_first_chunk"] = attempt.first_token_s
    if attempt.price.nanos is not None:
        found["gen_ai.usage.cost.amount"] = attempt.price.nanos / NANOS
        found["gen_ai.usage.cost.currency"] = "USD"
        found |= source_attributes(attempt)
    return found | _openinference(attempt) if openinference else found


def _openinference(attempt: Attempt) -> Attributes:
    usage, price = attempt.usage, attempt.price
    found: Attributes = {
        "openinference.span.kind": "EMBEDDING" if attempt.purpose == "embed" else "LLM",
        "llm.model_name": attempt.model,
        "llm.provider": attempt.provider,
        "llm.token_count.prompt": usage.input_tokens,
        "llm.token_count.completion": usage.output_tokens,
        "llm.token_count.total": usage.total_tokens,
        "llm.token_count.prompt_details.cache_read": usage.cache_read_tokens,
        "llm.token_count.prompt_details.cache_write": usage.cache_write_tokens,
        "llm.token_count.completion_details.reasoning": usage.reasoning_tokens,
    }
    if isinstance(price, Unpriced):
        return found
    costs = price if isinstance(price, Priced) else Priced(nanos=0)
    read, write = costs.cache_read_nanos, costs.cache_write_nanos
    return found | {
        "llm.cost.prompt": (costs.input_nanos + read + write) / NANOS,
        "llm.cost.prompt_details.input": costs.input_nanos / NANOS,
        "llm.cost.prompt_details.cache_read": read / NANOS,
        "llm.cost.prompt_details.cache_write": write / NANOS,
        "llm.cost.completion": costs.output_nanos / NANOS,
        "llm.cost.total": costs.nanos / NANOS,  # with fees of tools, which are neither
    }
