"""`levers`: what `frugal whatif` has written, as the middleware of an agent."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain.agents.middleware import AgentMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel

from frugal_chains.errors import RoutingError
from frugal_chains.pricing import PriceBook
from langchain_frugal.compression import OutputsByAsker
from langchain_frugal.memory import CompactionMiddleware
from langchain_frugal.prompt_cache import PromptCacheMiddleware
from langchain_frugal.routing import TaskRoutingMiddleware

if TYPE_CHECKING:
    from frugal_chains.replay import Setup

logger = logging.getLogger("langchain_frugal")

Middleware = AgentMiddleware[Any, Any, Any]

_LANGCHAIN: Final[Mapping[str, str]] = {
    "aws": "bedrock_converse",
    "azure": "azure_openai",
    "google": "google_genai",
    "mistral": "mistralai",
    "x-ai": "xai",
}
"""Providers whose names price lists and `init_chat_model` (langchain 1.4) spell in two ways."""


def levers(
    setup: str | Path | Setup,
    *,
    models: Mapping[str, BaseChatModel] | None = None,
    task_tags: Sequence[str] | None = None,
    prices: PriceBook | None = None,
) -> list[Middleware]:
    """The levers of a file that `frugal whatif --out` has written, for an agent.

        agent = create_agent(model, tools, middleware=levers("frugal.toml"))

    They do what was replayed, in the order in which it was played; your own middleware that changes
    messages goes in front of them, what only watches behind.

    - `[compression]`: what tools return is compressed once, when it enters the conversation, by
      the tokens of the model that has asked; without `budget_tokens` nothing is lost.
    - `[routing.by_task]`: calls of these tasks go to these models, all others to the agent's own,
      which also answers where a task's model fails. Say the task as in the books that were
      replayed: `track_cost(task="sort mail")`, or `metadata` of a run.
    - `[memory]`: a `CompactionMiddleware` that picks sentences; no model is asked for summaries.
    - `[prompt_cache]`: a `PromptCacheMiddleware`, the last one: it sees what is really sent.
    - `[batch]` cannot be switched on in a live agent, and a line in the log says so:
      `frugal_chains.replay.read_setup(path).batch.tasks` names the tasks whose calls may wait for
      the provider's batch interface (None: all).

    Args:
        setup: The file, or what `read_setup` has read of it.
        models: Models of `[routing.by_task]` by their names in the file, such as
            `{"openai:gpt-4o-mini": ChatOpenAI(...)}`, with your own settings; all others are made
            by `init_chat_model`.
        task_tags: Names of tags that say what a call is for, the most telling first; None: those of
            a replayed ledger, `task` and `feature`.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        ReplayError: the file cannot be read, or says something that is not understood; or the setup
            has the policy of a router, which no file has.
        RoutingError: a model cannot be made, or `models` has one that the file does not name.
        CompressionError: a budget below 1 token.
    """
    from frugal_chains.replay import TASK_TAGS, Setup  # it brings numpy

    given = setup if isinstance(setup, Setup) else _read(setup)
    routing = _by_task(given, models or {})
    outputs, memory, marks = given.compression, given.memory, given.prompt_cache
    found: list[Middleware] = []
    if outputs is not None:
        found.append(OutputsByAsker(outputs.budget_tokens, prices=prices))
    if routing:
        found.append(
            TaskRoutingMiddleware(
                routing,
                task_tags=TASK_TAGS if task_tags is None else task_tags,
                any_size=memory is not None,
                prices=prices,
            )
        )
    if memory is not None:
        found.append(
            CompactionMiddleware(
                memory.policy,
                recall_tokens=memory.recall_tokens,
                cache_ttl=given.cache_ttl,
                prices=prices,
            )
        )
    if marks is not None:
        found.append(PromptCacheMiddleware(ttl=marks.ttl, may_reorder=False, prices=prices))
    if given.batch is not None:
        logger.info(
            "levers: [batch] does nothing in a live agent; read_setup(...).batch.tasks names the "
            "tasks whose calls may wait for the provider's batch interface"
        )
    return found


def _read(path: str | Path) -> Setup:
    from frugal_chains.replay import read_setup

    return read_setup(path)


def _by_task(setup: Setup, models: Mapping[str, BaseChatModel]) -> dict[str, BaseChatModel]:
    if setup.routing is not None:
        return setup.routing.models(models, _made)
    if models:
        raise RoutingError(f"models has {', '.join(sorted(models))}; the setup names none")
    return {}


def _made(name: str) -> BaseChatModel:
    provider, colon, model = name.partition(":")
    told = f"{_LANGCHAIN.get(provider, provider)}:{model}" if colon else name
    try:
        return init_chat_model(told)
    except Exception as error:  # no integration, no key, no such provider
        why = str(error).partition("\n")[0][:200]
        raise RoutingError(
            f"routing.by_task names {name}, and init_chat_model({told!r}) cannot make it: "
            f"{type(error).__name__}: {why}; mend that, or give the model: "
            f'levers(..., models={{"{name}": ...}})'
        ) from error
