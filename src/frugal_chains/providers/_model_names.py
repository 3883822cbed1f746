"""Model names as the tables know them: without routing prefixes, vendors and snapshot dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")

# Bedrock's `us.anthropic.claude-...`, with or without an inference region; and the
# `provider:model` of LangChain's `init_chat_model`. Ollama's `mistral:7b` is neither.
_VENDOR = re.compile(
    r"^(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?"
    r"(?:ai21|amazon|anthropic|cohere|google|meta|mistral|moonshot|openai|qwen)\."
    r"|^(?:anthropic|azure_ai|azure_openai|bedrock|bedrock_converse|cohere|fireworks|google_genai"
    r"|google_vertexai|groq|mistralai|ollama|openai|openrouter|together|xai):"
)
# `-20250929`, `@20250929`, `-2024-08-06`, `-latest`, and Bedrock's `-v1:0` behind any of them.
_SNAPSHOT = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d\d-\d\d|latest))?(?:-v\d+(?::\d+)*)?$")


@lru_cache(maxsize=1024)
def bare_model_name(model: str) -> str:
    """The model's own name, in lower case, without what a router or a fine-tune put around it.

    `models/gemini-2.5-flash`, `us.anthropic.claude-sonnet-4-5-20250929-v1:0` and
    `ft:gpt-4o-mini-2024-07-18:acme::9x` become `gemini-2.5-flash`,
    `claude-sonnet-4-5-20250929-v1:0` and `gpt-4o-mini-2024-07-18`.
    """
    name = model.strip().lower().rpartition("/")[2]
    if name.startswith("ft:"):
        return name[3:].partition(":")[0]
    return _VENDOR.sub("", name)


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
