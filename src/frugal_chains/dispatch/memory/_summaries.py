"""Summaries: picked or asked for, checked, and put into a segment's text."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from typing import Final, TypeAlias

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.dispatch.memory._shorten import shortened_texts
from frugal_chains.dispatch.memory._turn import SummaryRequest
from frugal_chains.facts import MessageFacts
from frugal_chains.memory import (
    LEAST_SUMMARY_TOKENS,
    Decision,
    MemoryState,
    Summary,
    aligned_instruction,
    chunk_transcript,
    digest,
    flat_prompt,
    merge_summaries,
    parse_summary,
    usable,
    view,
)

logger = logging.getLogger("frugal_chains.dispatch")

HEADING: Final = "[Summary of earlier messages]\n"
"""Begins every segment: what follows is not what the person says now."""
ATTEMPTS: Final = 2
"""A model is asked so often for one summary."""
CHUNK_TOKENS: Final = 24_000
"""Of a flat prompt's transcript: fits the smallest windows of models that are sold today (32k)."""

Asking: TypeAlias = Generator[SummaryRequest, str | BaseException, Summary | None]


class Summaries:
    """Makes the text of a new segment.

    Args:
        weights: Tokens.
        archive: Where the messages go before they leave the view; None: nowhere.
    """

    def __init__(self, weights: Weights, archive: Archive | None) -> None:
        self._weights, self._archive = weights, archive

    def text(
        self,
        history: History,
        decision: Decision,
        state: MemoryState,
        *,
        ask: bool,
        keeps: bool = True,
    ) -> Generator[SummaryRequest, str | BaseException, tuple[str, str] | None]:
        """The text of the new segment and the archive's handle, or None: it could not be made.

        Args:
            history: All messages.
            decision: With a plan.
            state: As it is before.
            ask: Whether a model may be asked; if not, sentences are picked.
            keeps: Whether the archive gets what leaves: not where it leaves one request alone.

        Raises:
            ArchiveError: the messages could not be put there.
        """
        plan = decision.plan
        assert plan is not None, "only a plan asks for a summary"
        messages = [history.message(at) for at in plan.summarize]
        archive = self._archive if keeps else None
        handle = "" if archive is None else archive.put(_as_text(messages))
        count = self._weights.count(history.model, history.provider)
        budget = max(1, plan.summary_tokens - count(HEADING))
        if plan.way.kind == "digest" or not ask:
            made: Summary | None = digest(messages, budget_tokens=budget, count=count)
        elif plan.way.kind == "aligned":
            request = self._aligned(history, decision, state, budget)
            made = yield from _asked(request, budget, count)
        else:
            made = yield from _flat(messages, budget, count)
        if made is None:
            return None
        if plan.merge:
            old = [parse_summary(_body(segment.text)) for segment in state.segments]
            room = max(1, plan.segment_tokens - count(HEADING))
            made = merge_summaries([*old, made], budget_tokens=room, count=count)
        return HEADING + (made.text() or "(nothing to note)"), handle

    def _aligned(
        self, history: History, decision: Decision, state: MemoryState, budget_tokens: int
    ) -> SummaryRequest:
        plan = decision.plan
        assert plan is not None, "only a plan asks for a summary"
        shown = tuple(
            one
            for one in view(state, len(history.keys), decision.broken)
            if one.position is None or one.position < plan.repeats_to
        )
        sent = frozenset(one.position for one in shown if one.position is not None)
        beyond = sorted(at for at in sent if at >= plan.end)
        limit = max(budget_tokens, LEAST_SUMMARY_TOKENS)
        return SummaryRequest(
            kind="aligned",
            prompt=aligned_instruction(
                limit_tokens=limit,
                earlier=bool(state.segments),
                beyond=len(beyond),
                quote=history.message(beyond[0]).text if beyond else "",
            ),
            limit_tokens=limit,
            view=shown,
            shortened=shortened_texts(self._weights, history, state, sent),
        )


def summarized(
    messages: Sequence[MessageFacts],
    *,
    budget_tokens: int,
    count: Callable[[str], int],
    ask: bool = True,
) -> Generator[SummaryRequest, str | BaseException, str]:
    """A summary of these messages, all of them: a model's, or sentences of theirs if it fails.

    Driven as `Compactor.turn` is.

    Args:
        messages: In order.
        budget_tokens: Of the summary, at most.
        count: Tokens of a text.
        ask: Whether a model is asked.
    """
    made: Summary | None = None
    if ask:
        made = yield from _flat(messages, budget_tokens, count)
    if made is None:
        made = digest(messages, budget_tokens=budget_tokens, count=count)
    return made.text()


def _flat(
    messages: Sequence[MessageFacts],
    budget_tokens: int,
    count: Callable[[str], int],
) -> Asking:
    chunks = chunk_transcript(messages, limit_tokens=CHUNK_TOKENS, count=count)
    limit = max(budget_tokens, LEAST_SUMMARY_TOKENS)
    made = []
    for part, chunk in enumerate(chunks, 1):
        prompt = flat_prompt(chunk, limit_tokens=limit, part=part, parts=len(chunks))
        request = SummaryRequest(kind="flat", prompt=prompt, limit_tokens=limit)
        answer = yield from _asked(request, budget_tokens, count, transcript=chunk)
        if answer is None:
            return None
        made.append(answer)
    if len(made) == 1:
        return made[0]
    return merge_summaries(made, budget_tokens=budget_tokens, count=count)


def _asked(
    request: SummaryRequest,
    budget_tokens: int,
    count: Callable[[str], int],
    *,
    transcript: str = "",
) -> Asking:
    """A summary that a model has written, or None after so many attempts.

    Args:
        request: What is asked.
        budget_tokens: Of the summary.
        count: Tokens of a text.
        transcript: Of the prompt, what is summarised.
    """
    for attempt in range(1, ATTEMPTS + 1):
        answer = yield request
        if isinstance(answer, BaseException):
            kind = type(answer).__name__  # what it says may hold the prompt, or a key
            logger.warning("memory: attempt %d of a summary failed: %s", attempt, kind)
            continue
        found = usable(
            answer,
            limit_tokens=budget_tokens,
            count=count,
            asked=request.prompt,
            transcript=transcript,
        )
        if found.summary is not None:
            return found.summary
        logger.warning("memory: attempt %d of a summary is of no use: %s", attempt, found.refused)
    return None


def _body(text: str) -> str:
    return text.removeprefix(HEADING)


def _as_text(messages: Sequence[MessageFacts]) -> str:
    return json.dumps([asdict(message) for message in messages], ensure_ascii=False)
