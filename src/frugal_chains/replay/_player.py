"""Recorded calls as they would have been sent with one setup, and what that would have cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from frugal_chains.dispatch import CacheKeeper
from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import Free, PriceBook, Priced
from frugal_chains.providers import cache_controls
from frugal_chains.replay._bill import BillBooks, ReplayBill
from frugal_chains.replay._by_size import SizeSender
from frugal_chains.replay._cache import CacheSplit, SimulatedCache
from frugal_chains.replay._memory import Memories
from frugal_chains.replay._outline import Outline
from frugal_chains.replay._prompt import Prompt, Prompts
from frugal_chains.replay._setup import Batch, Setup
from frugal_chains.replay._sizes import Sizes
from frugal_chains.replay._tool_outputs import ToolOutputs
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.routing import RoutingFacts, decide
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import Usage

_ANSWERS: Final = frozenset(("answer", "retry"))
"""Purposes of calls that levers may change: others are work of levers themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where a call stands in a replay."""

    at_us: int
    """When it was sent, or is taken to have been."""
    sizes: Callable[[str, str], Sizes]
    """Of a model and its provider: how many tokens blocks have for it."""
    group: int
    outline: Outline | None = None
    """What is known of a call without texts, where that is of use to any setup."""


class Sent(NamedTuple):
    """What a provider would have seen of a call."""

    model: str
    provider: str
    usage: Usage


class Sender:
    """Sends as one setup would; whether by batch is not its matter.

    Args:
        setup: The levers that are on.
        prompts: Reads requests; shared by all senders of a replay.
        counter: Of tokens.
        prices: Of models.
        by_size: Sends what has no texts; setups that differ in compression alone share one.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        prompts: Prompts,
        counter: TokenCounter,
        prices: PriceBook,
        by_size: SizeSender,
    ) -> None:
        self.setup, self._prompts, self._prices = setup, prompts, prices
        self._by_size = by_size
        self._now_s = 0.0
        self._caches: dict[tuple[str, str], SimulatedCache] = {}
        marks, memory, outputs = setup.prompt_cache, setup.memory, setup.compression
        self._keeper = (
            None
            if marks is None
            else CacheKeeper(
                ttl=marks.ttl, clock=lambda: self._now_s, counter=counter, prices=prices
            )
        )
        self._memories = (
            None
            if memory is None
            else Memories(memory, cache_ttl=setup.cache_ttl, counter=counter, prices=prices)
        )
        self._outputs = (
            None if outputs is None else ToolOutputs(outputs, counter=counter, prices=prices)
        )

    def send(self, call: RecordedCall, moment: Moment) -> Sent:
        """One call; they come in the order in which they were sent."""
        model, provider = self._who(call, moment)
        usage = call.usage or Usage(source="estimated")
        if not is_open_to_levers(call):
            return Sent(model, provider, usage)
        if call.request is not None:
            usage = self._sent(call, call.request, moment, model, provider)
        elif moment.outline is not None:
            split = self._by_size.send(
                moment.outline, model=model, provider=provider, at_s=moment.at_us / 1e6
            )
            usage = _usage(split, call)
        return Sent(model, provider, usage)

    # -- parts ---------------------------------------------------------------------------------

    def _who(self, call: RecordedCall, moment: Moment) -> tuple[str, str]:
        routing = self.setup.routing
        if routing is None or not is_open_to_levers(call):
            return call.model, call.provider
        named = routing.by_task.get(call.task) if call.task else None
        if named is not None:
            return named[1], named[0]
        if routing.policy is None or call.request is None:
            return call.model, call.provider
        facts = RoutingFacts(
            request=call.request,
            at=datetime.fromtimestamp(moment.at_us / 1e6, UTC),
            input_tokens={
                each.name: self._prompts.tokens(
                    call.request, model=each.model, provider=each.provider
                )
                for each in routing.candidates
            },
            tags={"task": call.task} if call.task else {},
        )
        decision = decide(facts, routing.policy, routing.candidates, self._prices)
        chosen = {each.name: each for each in routing.candidates}.get(decision.candidate)
        return (call.model, call.provider) if chosen is None else (chosen.model, chosen.provider)

    def _sent(
        self, call: RecordedCall, request: RequestFacts, moment: Moment, model: str, provider: str
    ) -> Usage:
        self._now_s = moment.at_us / 1e6
        if self._outputs is not None:
            messages = self._outputs.compressed(request.messages, model=model, provider=provider)
            request = replace(request, messages=messages)
        if self._memories is not None and call.conversation:
            request = self._memories.sent(
                request,
                conversation=call.conversation,
                model=model,
                provider=provider,
                at_s=self._now_s,
            )
        prompt = self._prompts.read(request, model=model, provider=provider)
        parts = moment.sizes(model, provider).of(prompt)
        marks, implicit = self._marks(prompt, call, request, model, provider)
        cache = self._cache(model, provider, request.cache_ttl)
        split = cache.send(parts, self._now_s, marks=marks, implicit=implicit)
        if cache.keeps_answers and call.answer is not None:
            said = replace(request, messages=(*request.messages, call.answer))
            prompt = self._prompts.read(said, model=model, provider=provider)
            cache.answered(moment.sizes(model, provider).of(prompt), self._now_s)
        return _usage(split, call)

    def _marks(
        self, prompt: Prompt, call: RecordedCall, request: RequestFacts, model: str, provider: str
    ) -> tuple[list[tuple[int, str]], bool]:
        controls = cache_controls(provider, model)
        if self._keeper is not None:
            plan = self._keeper.plan(
                prompt.blocks,
                model=model,
                provider=provider,
                conversation=call.conversation,
                may_reorder=False,
            )
            return [(each.index, each.ttl) for each in plan.markers], plan.mode != "explicit"
        if not request.cache_ttl or not controls.most_markers or not prompt.blocks:
            return [], True
        # Where the recorded markers stood is not known: mostly behind what is static, and the end.
        static = [at for at, block in enumerate(prompt.blocks) if block.kind != "message"]
        places = {*static[-1:], len(prompt.blocks) - 1}
        return [(at, request.cache_ttl) for at in sorted(places)], True

    def _cache(self, model: str, provider: str, ttl: str) -> SimulatedCache:
        key = (model, provider)
        if key not in self._caches:
            self._caches[key] = SimulatedCache(model, provider, ttl=ttl)
        return self._caches[key]


class Biller:
    """Prices what was sent, and adds it up.

    Args:
        batch: Which calls wait for the provider's batch interface; None: none.
        prices: Of models.
    """

    def __init__(self, batch: Batch | None, prices: PriceBook) -> None:
        self._batch, self._prices = batch, prices
        self._books = BillBooks()

    def add(self, call: RecordedCall, moment: Moment, sent: Sent) -> None:
        """One call more."""
        nanos = self._nanos(moment, sent, "batch") if self._waits(call) else None
        if nanos is None:  # not every provider has such a price
            nanos = self._nanos(moment, sent, call.tier)
        self._books.add(moment.group, sent.model, sent.usage, nanos)

    def add_recorded(self, call: RecordedCall, moment: Moment, sent: Sent) -> None:
        """One call more, at what the recording says it has cost, where it says so."""
        if call.nanos is None:
            self.add(call, moment, sent)
        else:
            self._books.add(moment.group, sent.model, sent.usage, call.nanos)

    def bill(self) -> ReplayBill:
        """Of all calls so far."""
        return self._books.bill()

    def _waits(self, call: RecordedCall) -> bool:
        batch = self._batch
        if batch is None or call.tier != "standard":
            return False
        return batch.tasks is None or call.task in batch.tasks

    def _nanos(self, moment: Moment, sent: Sent, tier: str) -> int | None:
        price = self._prices.price_at(
            moment.at_us, sent.usage, model=sent.model, provider=sent.provider or None, tier=tier
        )
        return price.nanos if isinstance(price, Priced) else 0 if isinstance(price, Free) else None


def is_open_to_levers(call: RecordedCall) -> bool:
    """Not a lever's own work, and not a call that failed before anything was counted: it has cost
    nothing, and would not have."""
    return call.purpose in _ANSWERS and (call.status == "ok" or call.usage is not None)


def _usage(split: CacheSplit, call: RecordedCall) -> Usage:
    """As the provider would report it; the answer is taken to be as long as it was."""
    recorded = call.usage
    return Usage(
        input_tokens=split.tokens,
        output_tokens=recorded.output_tokens if recorded is not None else 0,
        reasoning_tokens=recorded.reasoning_tokens if recorded is not None else 0,
        cache_read_tokens=split.read,
        cache_write_5m_tokens=split.write_short,
        cache_write_1h_tokens=split.write_long,
        source="estimated",
    )
