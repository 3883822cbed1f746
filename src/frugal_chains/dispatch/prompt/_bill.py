"""What shortening a system prompt does to the bill, net of the provider's cache."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from frugal_chains.compression import pays
from frugal_chains.compression.prompt import PrefixUse, PromptPlan, weigh_prefix_change
from frugal_chains.dispatch._prefix import CAREFUL
from frugal_chains.dispatch.prompt._parts import PromptPolicy
from frugal_chains.dispatch.prompt._short import Asked, Place, ShortPrompt
from frugal_chains.pricing import CacheTerms, PriceBook, TokenPrices
from frugal_chains.providers import cache_rule

_GROWTH_TOKENS: Final = 170
"""By which a conversation grows from call to call, where that is not known: the mean over the agent
calls of tau-bench's airline runs, without definitions of tools."""


class Bills:
    """The arithmetic for one model, at the prices of one moment.

    Args:
        policy: What is known of the prompt's use.
        model: Who reads it; empty: not known.
        provider: Of the model.
        book: Of prices.
        at: The moment.
    """

    def __init__(
        self, policy: PromptPolicy, *, model: str, provider: str, book: PriceBook, at: datetime
    ) -> None:
        self._facts, self._shared = policy.prefix, policy.shared
        ttl = policy.prefix.ttl if policy.prefix is not None else ""
        known = TokenPrices.of(book, model=model, provider=provider or None, at=at, ttl=ttl)
        self.prices = known or CAREFUL
        self._in_nanos = known is not None
        rule = cache_rule(provider, model)
        told = policy.prefix.min_tokens if policy.prefix is not None else None
        self._sure_least = told is not None or rule.highest_min_tokens is None
        least = told if told is not None else rule.highest_min_tokens or rule.min_tokens
        # A prompt of many conversations: the steps of a cache fall differently in each of them, and
        # what is lost to them is the same on average.
        self._terms = CacheTerms(prices=self.prices, min_tokens=least)

    def pays(self, before_tokens: int, after_tokens: int, front_tokens: int = 0) -> bool:
        """Whether the shorter text may stand in the conversations from now on, whatever they
        become: not where that is below the least which the provider keeps."""
        if self._facts is None:
            return True
        ahead = self._facts.ahead
        ahead = replace(
            ahead,
            prefix_tokens=ahead.prefix_tokens + front_tokens,
            # That no prompt reaches a least which is only taken for the worst says nothing.
            most_tokens=ahead.most_tokens if self._sure_least else None,
        )
        return pays(
            before_tokens, after_tokens, self._terms if self._facts.caches else None, ahead
        ).ok

    def use(self, place: Place, full_tokens: int) -> PrefixUse | None:
        """What leaving out sections is weighed against; None: nothing is lost by it."""
        facts = self._facts
        if facts is None or not facts.caches:
            return None
        front = facts.ahead.prefix_tokens + place.front_tokens
        return PrefixUse(
            terms=self._terms,
            calls=self._calls_until_join or 1,
            warm_tokens=front + full_tokens + place.behind_tokens if self._shared else 0,
            front_tokens=front,
            behind_tokens=place.behind_tokens,
        )

    def outlasts_a_join(self, plan: PromptPlan) -> bool:
        """Whether leaving out pays although one of the sections will be asked for: it and all that
        has been said by then are new to the cache. To be careful, nothing is saved from halfway
        through the conversation on, and it is lost as late as can be, with the most behind it."""
        facts, change, calls = self._facts, plan.change, self._calls_until_join
        if facts is None or change is None:
            return True
        if calls is None or facts.ahead.most_calls == 1:
            return calls is not None
        one = sum(fate.tokens for fate in plan.dropped) / len(plan.dropped)
        said = (facts.ahead.growth_tokens or _GROWTH_TOKENS) * facts.ahead.calls
        loss = (one + said) * (self.prices.cache_write - self.prices.cache_read)
        return change.net_nanos > loss

    def net_nanos(
        self, short: ShortPrompt, plan: PromptPlan, asked: Asked, place: Place
    ) -> int | None:
        """What this one request saves; negative: what it costs. None: no price is known.

        It is taken to be long enough for the cache, with all that stands behind the prompt.
        """
        if self._facts is None or not self._in_nanos:
            return None
        saved = short.tokens_before - short.tokens_after
        if not self._facts.caches:
            net = saved * self.prices.fresh
        elif len(asked.questions) > 1 or asked.answered:
            net = saved * self.prices.cache_read - self._joining(short, plan, asked, place)
        else:
            net = self._first(short, plan, place)
        brevity = short.brevity
        if brevity is not None and brevity.added:
            net += brevity.expected_saved_tokens * self.prices.output
        return round(net)

    # -- parts ---------------------------------------------------------------------------------

    @property
    def _calls_until_join(self) -> int | None:
        """None: nothing is known of the conversation, and nothing is sure to pay."""
        if self._facts is None:
            return None
        ahead = self._facts.ahead
        if ahead.most_calls == 1:
            return 1
        return max(int(ahead.calls / 2), 1) if ahead.calls > 1 else None

    def _first(self, short: ShortPrompt, plan: PromptPlan, place: Place) -> float:
        """Of the first request of a conversation. All conversations share the shorter words; the
        sections are this one's own choice, so what stands behind a gap is new to the cache."""
        in_front = 0
        for fate in plan.fates:
            if not fate.kept:
                break
            in_front += fate.tokens
        in_front = min(in_front, plan.tokens_after)
        warm = place.front_tokens + plan.tokens_before + place.behind_tokens
        change = weigh_prefix_change(
            before_tokens=place.front_tokens + in_front,
            removed_tokens=max(plan.saved_tokens, 0),
            behind_tokens=plan.tokens_after - in_front + place.behind_tokens,
            terms=CacheTerms(prices=self.prices, min_tokens=0),
            calls=1,
            warm_tokens=warm if self._shared else 0,
        )
        fewer_words = short.tokens_before - plan.tokens_before
        rate = self.prices.cache_read if self._shared else self.prices.cache_write
        return (change.net_nanos if plan.dropped else 0.0) + fewer_words * rate

    def _joining(self, short: ShortPrompt, plan: PromptPlan, asked: Asked, place: Place) -> float:
        """What it costs that sections join: they and all behind them are new to the cache."""
        if asked.answered or not short.joined:
            return 0.0
        tokens = sum(plan.fates[i].tokens for i in short.joined)
        tokens += place.behind_tokens + asked.behind_tokens()
        return tokens * (self.prices.cache_write - self.prices.cache_read)
