"""`Marking`: a request in, the same request out with markers for its provider's cache."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from langchain_core.messages import BaseMessage

from frugal_chains.dispatch import CacheKeeper
from frugal_chains.errors import wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import CachePlan, Traffic
from frugal_chains.providers import CacheControls, cache_controls
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker
from langchain_frugal._who import models_of, who
from langchain_frugal.prompt_cache._apply import Parts, applied, own_only
from langchain_frugal.prompt_cache._forms import (
    ANTHROPIC,
    KEY,
    OPTIONS,
    Form,
    form_of,
    marks,
    said_of,
    takes_key,
    takes_options,
)
from langchain_frugal.prompt_cache._read import Read, RequestReader, Volatile
from langchain_frugal.prompt_cache._settings import settings_of

logger = logging.getLogger("langchain_frugal")

SWITCH: Final = "prompt_cache"
"""Under `configurable` or `metadata` of a config: False sends requests as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known of the call beside its request."""

    conversation: str = ""
    """Empty: the caller has named none."""
    wanted: bool = True
    summary: bool = False
    """It asks for a summary of the conversation, which does not go on from it."""
    operation_id: str = ""
    trackers: tuple[Tracker, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A request on its way, and what was decided about it."""

    parts: Parts
    model: str = ""
    provider: str = ""
    plan: CachePlan | None = None
    """None: nothing was planned."""
    read: Read | None = None
    settings: Mapping[str, str] | None = None


class Marking:
    """For agents and for models alike. Safe for threads and tasks.

    Args:
        salt, others, ttl, counter, prices: As of `CacheKeeper`.
        volatile: The caller's word on what changes.
        may_reorder: Blocks of the system prompt that stay the same may be put first.
    """

    def __init__(
        self,
        *,
        salt: str = "",
        others: Traffic | None = None,
        ttl: str | None = None,
        volatile: Volatile | None = None,
        may_reorder: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._reader, self._may_reorder = RequestReader(volatile), may_reorder
        self._keeper = CacheKeeper(
            salt=salt, others=others, ttl=ttl, counter=counter, prices=prices
        )

    def marked(self, model: Any, parts: Parts, call: Around, *, schema: Any = None) -> Marked:
        """The request as it is to be sent: itself where there is nothing to do, or anything goes
        wrong.

        Args:
            model: Who is asked, with whatever was bound to it.
            parts: Of the request.
            call: What is known beside it.
            schema: Of an answer that the agent asks for in its own way.
        """
        if not call.wanted:
            return Marked(parts=parts)
        try:
            return self._marked(model, parts, call, schema)
        except Exception as error:
            logger.warning("prompt cache: the request is sent as it was", exc_info=wordless(error))
            return Marked(parts=parts)

    def _marked(self, model: Any, parts: Parts, call: Around, schema: Any) -> Marked:
        name, provider = who(model, parts.settings)
        controls, form = cache_controls(provider, name), form_of(model)
        reaches = controls.control == "automatic" or marks(form, controls)
        if not name or controls.control == "none" or not reaches or _differ(model, parts.settings):
            return Marked(parts=parts)
        clean = own_only(parts, form, controls)
        tail = said_of(model, clean.settings, ANTHROPIC) if form == "anthropic" else None
        read = self._reader.read(
            clean.tools, clean.messages, form=form, controls=controls, model=name,
            schema=_described(schema), tail_marker=tail, in_place=_in_place(model),
        )  # fmt: skip
        settings = settings_of(clean.settings, model)
        plan = self._keeper.plan(
            read.blocks, model=name, provider=provider, conversation=call.conversation,
            settings=settings, may_reorder=self._may_reorder and read.may_reorder,
            reads_only=call.summary, operation_id=call.operation_id, trackers=call.trackers,
        )  # fmt: skip
        if "failed" in plan.reasons:
            return Marked(parts=clean, model=name, provider=provider)
        sent = applied(plan, read, clean, form)
        # A second marker of the last block is one too many where there are four others.
        twice = {ANTHROPIC: None} if tail is not None and not read.tail_marked else {}
        beside = {**twice, **_options(plan, model, name, sent, form, controls)}
        sent = replace(sent, settings={**sent.settings, **beside})
        return Marked(
            parts=sent, model=name, provider=provider, plan=plan, read=read, settings=settings
        )


def _options(
    plan: CachePlan, model: Any, name: str, parts: Parts, form: Form, controls: CacheControls
) -> dict[str, Any]:
    """What stands beside the messages, for OpenAI. What the caller has said there stays."""
    found: dict[str, Any] = {}
    said = {
        each
        for each in (KEY, OPTIONS)
        if each in parts.settings or said_of(model, {}, each) is not None
    }
    if plan.cache_key and KEY not in said and takes_key(form, name, controls):
        found[KEY] = plan.cache_key
    usual = controls.ttls[0][0] if controls.ttls else ""
    long = {"ttl": plan.ttl} if plan.ttl not in ("", usual) else {}
    if (plan.mode == "explicit" or long) and OPTIONS not in said and takes_options(model):
        found[OPTIONS] = {"mode": plan.mode or "implicit", **long}
    return found


def _differ(model: Any, settings: Mapping[str, Any]) -> bool:
    """Whether a model is asked, where another one fails, that takes no such markers: it is handed
    the same request."""
    ways = set()
    for each in models_of(model):
        name, provider = who(each, settings)
        controls, form = cache_controls(provider, name), form_of(each)
        key, options = takes_key(form, name, controls), takes_options(each)
        ways.add((form, controls.control, key, options))
    return len(ways) > 1


def _in_place(model: Any) -> bool:
    profile: Mapping[str, Any] = getattr(models_of(model)[0], "profile", None) or {}
    return bool(profile.get("mid_conversation_system_messages")) or form_of(model) != "anthropic"


def _described(schema: Any) -> str:
    """A schema as a text that is the same for the same one."""
    if schema is None:
        return ""
    inner = getattr(schema, "schema", schema)
    try:
        shape = inner.model_json_schema() if hasattr(inner, "model_json_schema") else inner
        return f"{type(schema).__name__}\n{json.dumps(shape, default=repr, sort_keys=True)}"
    except Exception:  # its model will say what is wrong with it
        return f"{type(schema).__name__}\n{inner!r}"


def messages_with(system: BaseMessage | None, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """As they are sent: the system prompt first."""
    return [*([system] if system is not None else []), *messages]
