"""Model names as the tables know them: without routing prefixes, vendors and snapshot dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")

_BEDROCK_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:")
# `anthropic.claude-...`, and `us.anthropic.claude-...` with an inference region before it.
_BEDROCK_VENDOR = re.compile(
    r"(?:(?:apac|au|ca|eu|global|in|jp|us|us-gov)\.)?"
    r"(ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai"
    r"|nvidia|openai|qwen|stability|twelvelabs|writer|zai)\."
)
# `provider:model` of LangChain's `init_chat_model`. Ollama's `mistral:7b` is none.
_CHAT_PREFIX = re.compile(
    r"^(?:anthropic|azure_ai|azure_openai|bedrock|bedrock_converse|cohere|fireworks|google_genai"
    r"|google_vertexai|groq|mistralai|ollama|openai|openrouter|together|xai):"
)
# OpenRouter's variants of one model (openrouter.ai/docs/guides/routing/model-variants, read
# 2026-11-21). `:extended` stays: it has a longer window, and writes longer answers.
_ROUTE = re.compile(r":(?:batch|beta|exacto|floor|free|nitro|online|thinking)$")
# OpenRouter writes `claude-opus-4.7` and `claude-3.5-sonnet`; `claude-2.1` is Anthropic's own.
_DOTTED_CLAUDE = re.compile(r"^(claude-(?!2|instant)(?:[a-z]+-)?\d+)\.(?=\d)")
# Vertex AI writes `claude-opus-4-5@20251101`, and `@default` for the newest.
_VERTEX_VERSION = re.compile(r"@(?:default|(\d{8}))$")
# `-20250929`, `@20250929`, `-2024-08-06`, `-latest`, and Bedrock's `-v1:0` behind any of them.
_SNAPSHOT = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d\d-\d\d|latest))?(?:-v\d+(?::\d+)*)?$")


def is_bedrock_id(model: str) -> bool:
    """Whether `model` is a model id, an inference profile or an ARN of Amazon Bedrock.

    Source: docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html, read 2026-11-21.
    """
    name = model.strip().lower()
    return bool(_BEDROCK_ARN.match(name) or _BEDROCK_VENDOR.match(name))


@lru_cache(maxsize=1024)
def bare_model_name(model: str) -> str:
    """The model's own name, in lower case, without what a router or a fine-tune put around it.

    `models/gemini-2.5-flash`, `us.anthropic.claude-sonnet-4-5-20250929-v1:0` and
    `ft:gpt-4o-mini-2024-07-18:acme::9x` become `gemini-2.5-flash`,
    `claude-sonnet-4-5-20250929-v1:0` and `gpt-4o-mini-2024-07-18`; `claude-opus-4.7:floor` and
    `claude-opus-4-5@20251101` become `claude-opus-4-7` and `claude-opus-4-5-20251101`.
    """
    name = model.strip().lower().rpartition("/")[2]
    if name.startswith("ft:"):
        return name[3:].partition(":")[0]
    name = _ROUTE.sub("", _without_vendor(name))
    if name.startswith("claude-"):
        name = _DOTTED_CLAUDE.sub(r"\1-", name)
        name = _VERTEX_VERSION.sub(lambda at: f"-{at[1]}" if at[1] else "", name)
    return name


def _without_vendor(name: str) -> str:
    vendor = _BEDROCK_VENDOR.match(name)
    if vendor is None:
        return _CHAT_PREFIX.sub("", name)
    rest = name[vendor.end() :]
    # Bedrock's `deepseek.r1-v1:0` leaves the vendor out of the model's name.
    return f"deepseek-{rest}" if vendor[1] == "deepseek" else rest


@lru_cache(maxsize=1024)
def model_family(model: str) -> str:
    """The bare name without its snapshot: `claude-sonnet-4-5`, `gpt-4o-mini`."""
    return _SNAPSHOT.sub("", bare_model_name(model), count=1)


def longest_prefix(table: Mapping[str, _T], name: str) -> _T | None:
    """The entry of `table` whose key is the longest prefix of `name`, or None.

    Names are matched with a dash behind them, so the key `o1-` also matches the bare `o1`.
    """
    dashed = name + "-"
    matches = [key for key in table if dashed.startswith(key)]
    return table[max(matches, key=len)] if matches else None
