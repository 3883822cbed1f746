"""The LLMs that a setup names for tasks: given, or made by their names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from llama_index.core.llms import LLM

from frugal_chains.errors import RoutingError

if TYPE_CHECKING:
    from frugal_chains.replay import Routing

_CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    "anthropic": ("llama_index.llms.anthropic", "Anthropic"),
    "openai": ("llama_index.llms.openai", "OpenAI"),
}
"""By provider, as price lists spell it: where the LLM class is that takes a model's name alone."""


def task_models(routing: Routing | None, models: Mapping[str, LLM]) -> dict[str, LLM]:
    """Who answers, by task; each LLM is made once.

    Args:
        routing: Of the setup.
        models: LLMs by their names in its file, in the place of new ones.

    Raises:
        ReplayError: the setup has the policy of a router.
        RoutingError: an LLM cannot be made, or `models` has one that the setup does not name.
    """
    if routing is not None:
        return routing.models(models, _made)
    if models:
        raise RoutingError(f"models has {', '.join(sorted(models))}; the setup names none")
    return {}


def _made(name: str) -> LLM:
    provider, _, model = name.rpartition(":")
    way_out = f'give the LLM: levers(..., models={{"{name}": ...}})'
    if provider not in _CLASSES:
        raise RoutingError(
            f"routing.by_task names {name}; without being given them only LLMs of "
            f"{', '.join(_CLASSES)} are made: {way_out}"
        )
    module, kind = _CLASSES[provider]
    try:
        made: LLM = getattr(import_module(module), kind)(model=model)
    except Exception as error:  # no integration, no key, no such model
        why = str(error).partition("\n")[0][:200]
        raise RoutingError(
            f"routing.by_task names {name}, and {module}.{kind} cannot make it: "
            f"{type(error).__name__}: {why}; mend that, or {way_out}"
        ) from error
    return made
