"""How each integration writes cache markers into a request, and which of its blocks can carry one.

Read in langchain-anthropic 1.7.7 (`_format_messages`, `_merge_messages`,
`convert_to_anthropic_tool`), langchain-openai 1.7.3 (`_convert_message_to_dict`,
`_apply_prompt_cache_breakpoint`) and langchain-aws (`_lc_content_to_bedrock`, `bind_tools`), all on
2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from frugal_chains.providers import CacheControls, model_family
from langchain_frugal._who import models_of

Form = Literal["anthropic", "openai", "bedrock", ""]
"""Whose way of writing markers an integration passes on; empty: nobody's that is known."""

ANTHROPIC: Final = "cache_control"
OPENAI: Final = "prompt_cache_breakpoint"
BEDROCK: Final = "cachePoint"
MARKS: Final = (ANTHROPIC, OPENAI, BEDROCK)
OPTIONS: Final = "prompt_cache_options"
KEY: Final = "prompt_cache_key"

_BY_CLASS: Final[Mapping[str, Form]] = {
    "ChatAnthropic": "anthropic",
    "BaseChatOpenAI": "openai",
    "ChatBedrockConverse": "bedrock",
}
"""By name of a class: integrations are optional, and subclasses write as these do."""
_CONTROLS: Final[Mapping[str, Form]] = {
    "cache_control": "anthropic",
    "prompt_cache_breakpoint": "openai",
    "cachePoint": "bedrock",
}
_OPENAIS_OWN: Final = ("gpt-", "o1", "o3", "o4", "chatgpt-")
_OPEN_WEIGHTS: Final = "gpt-oss"
"""Served by others. Servers that only speak as OpenAI does may refuse a request with a key."""


def form_of(model: Any) -> Form:
    """Of a chat model, whatever was bound to it."""
    for kind in type(models_of(model)[0]).__mro__:
        if kind.__name__ in _BY_CLASS:
            return _BY_CLASS[kind.__name__]
    return ""


def marks(form: Form, controls: CacheControls) -> bool:
    """Whether markers of this provider reach it through this integration."""
    return bool(form) and _CONTROLS.get(controls.control, "") == form


def takes_key(form: Form, model: str, controls: CacheControls) -> bool:
    """Whether a `prompt_cache_key` may be sent."""
    family = model_family(model)
    own = family.startswith(_OPENAIS_OWN) and not family.startswith(_OPEN_WEIGHTS)
    return form == "openai" and controls.cache_key and own


def takes_options(model: Any) -> bool:
    """Whether the integration knows OpenAI's `prompt_cache_options`: its client refuses keywords
    that it does not know."""
    first = models_of(model)[0]
    return isinstance(first, BaseChatModel) and OPTIONS in type(first).model_fields


def said_of(model: Any, settings: Mapping[str, Any], name: str) -> Any:
    """What a call says under this name: in its settings, in what was bound to its model, or in what
    its model was made with; None: nothing."""
    while name not in settings and isinstance(model, RunnableBinding | RunnableWithFallbacks):
        settings = getattr(model, "kwargs", {})
        model = model.bound if isinstance(model, RunnableBinding) else model.runnable
    if name in settings:
        return settings[name]
    beside = getattr(model, "model_kwargs", None) or {}
    return beside[name] if name in beside else getattr(model, name, None)


def marker(form: Form, ttl: str) -> Any:
    """What stands on a block, or behind it. Without `ttl` it has the provider's usual one."""
    if form == "openai":
        return {"mode": "explicit"}
    if form == "bedrock":
        return {"type": "default", **({"ttl": ttl} if ttl == "1h" else {})}
    return {"type": "ephemeral", **({"ttl": ttl} if ttl == "1h" else {})}


def ttl_in(value: Any, controls: CacheControls) -> str:
    """The time to live of a caller's marker; empty: it is none."""
    if not isinstance(value, Mapping):
        return ""
    usual = controls.ttls[0][0] if controls.ttls else ""
    said = str(value.get("ttl") or "")
    return (said if said in dict(controls.ttls) else "") or usual
