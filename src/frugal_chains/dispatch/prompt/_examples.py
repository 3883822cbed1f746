"""`ExampleChooser`: few-shot examples to a budget, at work, for both adapters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from frugal_chains.compression.prompt import (
    ExampleOrder,
    ExamplePlan,
    PromptExample,
    choose_examples,
)
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.errors import wordless
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.examples"
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""
_REMEMBERED: Final = 32
"""Requests: those of a conversation have the same examples, and are decided once."""
_COUNTED: Final = 4_096
"""Texts: each request weighs the same examples."""


class ExampleChooser:
    """Chooses the examples that a request needs, and writes down what that did. Safe for threads.

    The same examples and the same request give the same choice, in every process. Never the reason
    for no answer: if it fails, all examples are sent.

    Args:
        budget_tokens: Of the examples with what stands between them; never passed.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        diversity: Weight of unlikeness against relevance, 0 (relevance alone) to 1.
        order: `original`, or `best_last`: the most relevant one next to the request.
        at_most: Examples; None: as many as fit.
        min_relevance: Less relevant ones (0 to 1, the best one has 1) do not fill up what is left
            of the budget.
        separator: Between examples.
        counter: The token counter.

    Raises:
        PromptError: a number out of its range.
    """

    def __init__(
        self,
        budget_tokens: int,
        *,
        model: str = "",
        provider: str = "",
        diversity: float = 0.3,
        order: ExampleOrder = "original",
        at_most: int | None = None,
        min_relevance: float = 0.3,
        separator: str = "\n\n",
        counter: TokenCounter | None = None,
    ) -> None:
        self._allowance = Allowance(None, model, provider, counter, None)
        self._budget, self._separator, self._at_most = budget_tokens, separator, at_most
        self._diversity, self._order, self._least = diversity, order, min_relevance
        self._count = lru_cache(_COUNTED)(self._allowance.count)
        self._known = lru_cache(_REMEMBERED)(self._chosen)
        self._chosen((), "")  # numbers that make no sense are refused now

    def choose(
        self,
        examples: Sequence[PromptExample],
        query: str,
        *,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> ExamplePlan:
        """The examples for a request.

        Args:
            examples: In the order of the prompt.
            query: The request.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        plan = self.preview(examples, query)
        self._report(plan, operation_id, trackers)
        return plan

    async def achoose(
        self,
        examples: Sequence[PromptExample],
        query: str,
        *,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> ExamplePlan:
        """As `choose`."""
        if sum(len(example.text) for example in examples) > _LONG_CHARS:
            plan = await asyncio.to_thread(self.preview, examples, query)
        else:
            plan = self.preview(examples, query)
        self._report(plan, operation_id, trackers)
        return plan

    def preview(self, examples: Sequence[PromptExample], query: str) -> ExamplePlan:
        """What `choose` would do; nothing is written down."""
        try:
            return self._known(tuple(examples), query)
        except Exception as error:
            logger.warning("all examples are sent", exc_info=wordless(error))
            return self._all(examples)

    # -- parts ---------------------------------------------------------------------------------

    def _chosen(self, examples: tuple[PromptExample, ...], query: str) -> ExamplePlan:
        return choose_examples(
            examples,
            query,
            self._count,
            self._budget,
            diversity=self._diversity,
            order=self._order,
            at_most=self._at_most,
            min_relevance=self._least,
            separator=self._separator,
        )

    def _all(self, examples: Sequence[PromptExample]) -> ExamplePlan:
        text = self._separator.join(example.text for example in examples)
        return ExamplePlan(
            kept=tuple(range(len(examples))),
            dropped=(),
            scores=(0.0,) * len(examples),
            missing_labels=(),
            text=text,
            full_text=text,
            tokens_before=0,
            tokens_after=0,
            budget_tokens=self._budget,
            reason="failed",
        )

    def _report(self, plan: ExamplePlan, operation_id: str, trackers: Sequence[Tracker]) -> None:
        if plan.reason == "failed":
            return
        report_effect(
            LEVER,
            tokens_before=plan.tokens_before,
            tokens_after=plan.tokens_after,
            exact=self._allowance.exact,
            model=self._allowance.model,
            provider=self._allowance.provider,
            detail={
                "reason": plan.reason,
                "examples": len(plan.scores),
                "dropped": len(plan.dropped),
                "budget_tokens": plan.budget_tokens,
            },
            operation_id=operation_id,
            trackers=trackers,
        )
