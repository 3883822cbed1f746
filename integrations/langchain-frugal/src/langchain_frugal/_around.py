"""What the caller of a compressor says beside: whether, for whom, and whose books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.callbacks.base import Callbacks
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from frugal_chains.tracking import Tracker
from langchain_frugal._books import operation_of, trackers_of

SWITCH: Final = "compress"
"""Under `configurable` or `metadata` of a config: False leaves everything as it is. A retriever
hands on its callbacks alone, and of those only the metadata can be read."""
ROUTE: Final = "route"
"""At the same places: who will answer, as routing knows it; a tier has a budget of its own."""


class Around(NamedTuple):
    """The call that a compressor is part of."""

    wanted: bool = True
    tier: str = ""
    operation_id: str = ""
    trackers: tuple[Tracker, ...] = ()


def around(config: RunnableConfig | None = None, callbacks: Callbacks = None) -> Around:
    """Read off a config, or off the run around this code; `callbacks` go before those in there."""
    found = ensure_config(config)
    given = callbacks if callbacks is not None else found.get("callbacks")
    metadata: Mapping[str, Any] = found.get("metadata") or {}
    operation_id = ""
    if isinstance(given, BaseCallbackManager):
        metadata = {**metadata, **given.metadata}
        operation_id = operation_of(given)
    said = {**metadata, **(found.get("configurable") or {})}
    handlers = given.handlers if isinstance(given, BaseCallbackManager) else given or ()
    return Around(
        wanted=said.get(SWITCH) is not False,
        tier=str(said.get(ROUTE) or ""),
        operation_id=operation_id,
        trackers=trackers_of(handlers),
    )
