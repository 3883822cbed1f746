"""The call that a request belongs to, read off a config or off the run of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_frugal._around import around as books_around
from langchain_frugal._books import operation_of, trackers_of
from langchain_frugal._facts import thread_of
from langchain_frugal._stand_ins import SOURCE
from langchain_frugal.prompt_cache._marking import SWITCH, Around


def around_agent() -> Around:
    """Of the agent's call that this code runs in."""
    config = ensure_config()
    configured: Mapping[str, Any] = config.get("configurable") or {}
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    books = books_around(config)
    return Around(
        conversation=_conversation(metadata, configured),
        wanted={**metadata, **configured}.get(SWITCH) is not False,
        summary=_is_summary(metadata),
        operation_id=books.operation_id,
        trackers=books.trackers,
    )


def around_run(run: Any) -> Around:
    """Of the run of a model, as its manager knows it."""
    config: RunnableConfig = ensure_config()
    if run is None:
        return around_agent()
    metadata: Mapping[str, Any] = {**(config.get("metadata") or {}), **(run.metadata or {})}
    configured: Mapping[str, Any] = config.get("configurable") or {}
    return Around(
        conversation=_conversation(metadata, configured),
        wanted={**metadata, **configured}.get(SWITCH) is not False,
        summary=_is_summary(metadata),
        # A run that stands alone is an operation of its own.
        operation_id=operation_of(run) if run.parent_run_id is not None else run.run_id.hex,
        trackers=trackers_of(run.handlers),
    )


def _conversation(metadata: Mapping[str, Any], configured: Mapping[str, Any]) -> str:
    """A thread may hold conversations of several agents."""
    thread = thread_of(metadata) or str(configured.get("thread_id") or "")
    agent = str(metadata.get("lc_agent_name") or "")
    return f"{thread}:{agent}" if thread else ""


def _is_summary(metadata: Mapping[str, Any]) -> bool:
    return metadata.get("lc_source") == SOURCE["lc_source"]
