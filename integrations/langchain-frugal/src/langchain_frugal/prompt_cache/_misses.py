"""What an answer's usage says about the request that was marked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from langchain_core.messages import BaseMessage

from frugal_chains.dispatch.prompt_cache import CacheMiss, MissWatch
from frugal_chains.errors import wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import read_langchain_usage
from langchain_frugal.prompt_cache._marking import Around, Marked

logger = logging.getLogger("langchain_frugal")

_THEIRS: Final = ("diagnostics", "prompt_cache_diagnostics")
"""Where Anthropic and OpenAI say themselves why a cache was missed, if the request has asked."""


class Misses:
    """Looks at answers, if anybody wants to know. Safe for threads and tasks.

    Args:
        on_miss, counter, prices: As of `MissWatch`.
        diagnose: Whether to look where there is no `on_miss`.
    """

    def __init__(
        self,
        on_miss: Callable[[CacheMiss], None] | None,
        *,
        diagnose: bool,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self.wanted = diagnose or on_miss is not None
        self._watch = MissWatch(on_miss, counter=counter, prices=prices)
        self.now_s = self._watch.now_s

    def answered(
        self, marked: Marked, call: Around, sent_s: float, answer: BaseMessage | None
    ) -> None:
        """An answer has come; None: none of a model's."""
        if answer is not None:
            usage = getattr(answer, "usage_metadata", None)
            self.used(marked, call, sent_s, usage, answer.response_metadata)

    def used(
        self,
        marked: Marked,
        call: Around,
        sent_s: float,
        usage_metadata: Any,
        metadata: Mapping[str, Any],
    ) -> None:
        """As `answered`, of what is left of an answer that was streamed."""
        if not self.wanted or marked.read is None or marked.plan is None or call.summary:
            return
        try:
            reading = read_langchain_usage(usage_metadata, response_metadata=metadata)
        except Exception as error:  # the answer is there, and paid
            logger.warning("prompt cache: usage was not read", exc_info=wordless(error))
            return
        if reading is None:
            return
        theirs = {name: metadata[name] for name in _THEIRS if name in metadata}
        self._watch.answered(
            marked.read.blocks, marked.plan, usage=reading.usage, at_s=sent_s, model=marked.model,
            provider=marked.provider, conversation=call.conversation, settings=marked.settings,
            theirs=theirs or None,
        )  # fmt: skip
