"""`SystemPrompts`: system prompts in fewer tokens, the same ones in each request of a conversation.

Both adapters hand it what stands in their messages, and put back what it returns.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from frugal_chains.compression.prompt import PromptPlan, choose_sections
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.dispatch.prompt._bill import Bills
from frugal_chains.dispatch.prompt._parts import Parts, PromptPolicy, parts_of
from frugal_chains.dispatch.prompt._short import Asked, Place, ShortPrompt
from frugal_chains.errors import wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect, shared_prices

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.prompt"
_LONGEST_CHARS: Final = 100_000
"""A longer text is no instructions but data; shortening their words would take a second and more.
"""
_ASKED_CHARS: Final = 2_000
"""About 500 tokens. Of a longer message its beginning and its end are read: what stands between is
what is asked about."""
_ASKED_LAST: Final = 20
"""Messages of the person that are read together, the last ones: who says "yes, please" means what
was said before."""
_REMEMBERED: Final = 64
"""Prompts, and selections: a conversation's is decided once and not at each of its requests."""


class SystemPrompts:
    """Shortens system prompts, and writes down what that did. Safe for threads.

    What is sent depends on the prompt and on what the person has said so far alone, so it is the
    same in every process, and in every later request of a conversation as long as the person asks
    about nothing new; then sections join at the end. Never the reason for no answer: what cannot be
    shortened is sent as it was.

    Args:
        policy: What may be done; None: the defaults.
        model: Whose tokenizer counts and whose prices decide; empty: tokens are estimated, a little
            too high, and prices are taken for the worst.
        provider: Of the model, where its name alone does not tell.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`. They are those of the moment at
            which this is made: a price that changes must not change a conversation.
    """

    def __init__(
        self,
        policy: PromptPolicy | None = None,
        *,
        model: str = "",
        provider: str = "",
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self.policy = policy or PromptPolicy()
        self._allowance = Allowance(None, model, provider, counter, prices)
        book = prices or shared_prices()
        self._bills = Bills(
            self.policy, model=model, provider=provider, book=book, at=datetime.now(UTC)
        )
        self._warned: set[str] = set()
        self._count = lru_cache(_REMEMBERED)(self._allowance.count)
        self._parts = lru_cache(_REMEMBERED)(self._split)
        self._step = lru_cache(_REMEMBERED)(self._chosen)

    def shorten(
        self,
        texts: Sequence[str],
        asked: Asked,
        *,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> list[ShortPrompt]:
        """Shorten the texts of a request's system prompt, and write down what that did.

        Args:
            texts: Of its messages and their blocks, in order; mostly one.
            asked: What is known of the request.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        found = self.preview(texts, asked)
        # What failed has done nothing that could be written down.
        if any(texts) and any(each.reason != "failed" for each in found):
            try:
                self._report(found, operation_id, trackers)
            except Exception as error:
                logger.warning(
                    "an effect of a system prompt is not written", exc_info=wordless(error)
                )
        return found

    def preview(self, texts: Sequence[str], asked: Asked) -> list[ShortPrompt]:
        """What `shorten` would do; nothing is written down."""
        try:
            sizes = [self._count(text) for text in texts]
            found = [
                self._shortened(
                    text,
                    asked,
                    Place(front_tokens=sum(sizes[:n]), behind_tokens=sum(sizes[n + 1 :])),
                    last=n == len(texts) - 1,
                )
                for n, text in enumerate(texts)
            ]
            self._warn([each.parts.unknown for each in found if each.parts is not None])
            return found
        except Exception as error:
            logger.warning("a system prompt is left as it was", exc_info=wordless(error))
            return [ShortPrompt(text=text, before=text) for text in texts]

    def count(self, text: str) -> int:
        """Tokens of a text by the model's tokenizer."""
        return self._allowance.count(text)

    # -- parts ---------------------------------------------------------------------------------

    def _shortened(self, text: str, asked: Asked, place: Place, *, last: bool) -> ShortPrompt:
        tokens = self._count(text)
        if not text or len(text) > _LONGEST_CHARS:
            return _as_it_was(text, tokens, "too long" if text else "all needed")
        parts = self._parts(text, last)
        plan, before = self._grown(text, last, place, asked.questions)
        if not plan.text.strip():
            return _as_it_was(text, tokens, "empty")
        short = ShortPrompt(
            text=plan.text,
            before=text,
            tokens_before=tokens,
            tokens_after=plan.tokens_after,
            reason=_reason(plan, parts, tokens),
            plan=plan,
            joined=tuple(i for i in plan.kept if i not in before) if before else (),
            parts=parts,
        )
        return replace(short, net_nanos=self._bills.net_nanos(short, plan, asked, place))

    def _split(self, text: str, last: bool) -> Parts:
        bills = self._bills
        return parts_of(text, self.policy, self._count, bills.pays, bills.prices, last=last)

    def _grown(
        self, text: str, last: bool, place: Place, questions: Sequence[str]
    ) -> tuple[PromptPlan, tuple[int, ...]]:
        """The plan after the last of the questions, and the sections sent before it."""
        said = [*map(_asked, questions)] or [""]
        before: tuple[int, ...] = ()
        plan = self._step(text, last, place, said[0], before)
        for number in range(2, len(said) + 1):
            before = plan.kept
            if len(before) == len(plan.fates):  # there is nothing left that could join
                break
            query = "\n".join(said[max(number - _ASKED_LAST, 0) : number])
            plan = self._step(text, last, place, query, before)
        return plan, before

    def _chosen(
        self, text: str, last: bool, place: Place, query: str, earlier: tuple[int, ...]
    ) -> PromptPlan:
        parts, policy = self._parts(text, last), self.policy

        def choose(enabled: bool) -> PromptPlan:
            return choose_sections(
                parts.sections,
                query,
                self._count,
                policy.budget_tokens,
                min_share=policy.min_share,
                earlier=earlier,
                prefix=self._bills.use(place, self._count(parts.text)),
                enabled=enabled,
            )

        plan = choose(policy.leave_out)
        capped = policy.budget_tokens is not None and plan.tokens_before > policy.budget_tokens
        if earlier or capped or not plan.dropped:
            return plan
        tokens = self._count(text)
        if self._bills.outlasts_a_join(plan) and self._bills.pays(
            tokens, plan.tokens_after, place.front_tokens
        ):
            return plan
        return replace(choose(False), reason="cache", change=plan.change)

    def _warn(self, unknown: Sequence[frozenset[str]]) -> None:
        """Say once of each name in the policy that it does nothing."""
        for name in sorted(frozenset.intersection(*unknown) - self._warned if unknown else ()):
            self._warned.add(name)
            logger.warning("no section of the system prompt is named %r", name)

    def _report(
        self, found: Sequence[ShortPrompt], operation_id: str, trackers: Sequence[Tracker]
    ) -> None:
        """One effect for the request, whatever the number of texts."""
        plans = [each.plan for each in found if each.plan is not None]
        nets = [each.net_nanos for each in found]
        report_effect(
            LEVER,
            tokens_before=sum(each.tokens_before for each in found),
            tokens_after=sum(each.tokens_after for each in found),
            exact=self._allowance.exact,
            model=self._allowance.model,
            provider=self._allowance.provider,
            net_nanos=None if None in nets else sum(filter(None, nets)),
            detail={
                "reason": found[0].reason if len(found) == 1 else [each.reason for each in found],
                "sections": sum(len(plan.fates) for plan in plans),
                "left_out": sum(len(plan.dropped) for plan in plans),
                "joined": sum(len(each.joined) for each in found),
                "rewritten": sum(len(e.parts.changes) for e in found if e.parts is not None),
                "brevity": next((e.brevity.reason for e in found if e.brevity is not None), ""),
                "budget_tokens": self.policy.budget_tokens,
            },
            operation_id=operation_id,
            trackers=trackers,
        )


def _as_it_was(text: str, tokens: int, reason: str) -> ShortPrompt:
    return ShortPrompt(
        text=text, before=text, tokens_before=tokens, tokens_after=tokens, reason=reason,
        net_nanos=0,
    )  # fmt: skip


def _asked(question: str) -> str:
    if len(question) <= _ASKED_CHARS:
        return question
    half = _ASKED_CHARS // 2
    return f"{question[:half]}\n{question[-half:]}"


def _reason(plan: PromptPlan, parts: Parts, tokens_before: int) -> str:
    if plan.tokens_after != tokens_before:
        return "shorter" if plan.tokens_after < tokens_before else "longer"
    return "cache" if parts.refused else plan.reason
