"""`replay`: recorded traffic through setups, all of them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Final

from frugal_chains.pricing import PriceBook
from frugal_chains.providers import tokenizer_facts
from frugal_chains.replay._bill import ReplayBill, group_of
from frugal_chains.replay._player import Biller, Moment, Sender, Sent
from frugal_chains.replay._prompt import Prompts
from frugal_chains.replay._setup import Setup
from frugal_chains.replay._sizes import Sizes
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import Usage

_GAP_US: Final = 1_000_000
"""Between two calls of a recording without times: caches are taken to be warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay has found."""

    recorded: ReplayBill
    """As the recording says; a call whose cost it does not say is priced by its recorded usage."""
    bills: tuple[ReplayBill, ...]
    """Of each setup."""
    calls: int
    with_text: int
    """Calls whose texts were recorded: the levers that need texts leave the others as they are."""
    first_us: int | None
    last_us: int | None
    """Of the calls that have a time."""
    timeless: int
    """Calls without a time."""

    @property
    def span_s(self) -> float:
        """From the first call to the last."""
        if self.first_us is None or self.last_us is None:
            return 0.0
        return (self.last_us - self.first_us) / 1e6


def replay(
    calls: Iterable[RecordedCall],
    setups: Sequence[Setup],
    *,
    prices: PriceBook,
    now_us: int,
    counter: TokenCounter | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Replayed:
    """Play recorded calls with each setup; memory does not grow with their number.

    Nothing is sent and nothing is written: no ledger sees it.

    Args:
        calls: In the order in which they were sent.
        setups: What to try; `Setup()` is how it was without any lever.
        prices: Of models.
        now_us: The time of calls that have none, for their prices.
        counter: Of tokens.
        on_progress: Told how many calls were played, now and then.
    """
    counter = counter or TokenCounter()
    prompts = Prompts(counter)
    senders: list[tuple[Sender, list[Biller]]] = []
    billers = []
    for setup in setups:
        biller = Biller(setup.batch, prices)
        billers.append(biller)
        own = replace(setup, batch=None)
        for sender, others in senders:
            if sender.setup == own:  # sent once, whether by batch or not
                others.append(biller)
                break
        else:
            sender = Sender(own, prompts=prompts, counter=counter, prices=prices)
            senders.append((sender, [biller]))
    run = _Run(senders, prompts, prices, now_us)
    # An empty context: no ledger of a block around this code gets effects of what did not happen.
    Context().run(run.all, calls, on_progress)
    return run.result([biller.bill() for biller in billers])


class _Run:
    def __init__(
        self,
        senders: Sequence[tuple[Sender, Sequence[Biller]]],
        prompts: Prompts,
        prices: PriceBook,
        now_us: int,
    ) -> None:
        self._senders, self._prompts = senders, prompts
        self._recorded = Biller(None, prices)
        self._sizes: dict[tuple[str, str], Sizes] = {}
        self._alike: dict[tuple[object, ...], Sizes] = {}
        self._last_us = now_us
        self._first: int | None = None
        self._last: int | None = None
        self._calls = self._with_text = self._timeless = 0

    def all(self, calls: Iterable[RecordedCall], on_progress: Callable[[int], None] | None) -> None:
        for call in calls:
            self._one(call)
            if on_progress is not None and not self._calls % 1_000:
                on_progress(self._calls)

    def result(self, bills: Sequence[ReplayBill]) -> Replayed:
        return Replayed(
            recorded=self._recorded.bill(),
            bills=tuple(bills),
            calls=self._calls,
            with_text=self._with_text,
            first_us=self._first,
            last_us=self._last,
            timeless=self._timeless,
        )

    def _one(self, call: RecordedCall) -> None:
        self._calls += 1
        name = call.conversation or call.operation or str(self._calls)
        self._learn(call)
        moment = Moment(at_us=self._at_us(call), sizes=self._sizes_of, group=group_of(name))
        usage = call.usage or Usage(source="estimated")
        self._recorded.add_recorded(call, moment, Sent(call.model, call.provider, usage))
        for sender, billers in self._senders:
            sent = sender.send(call, moment)
            for biller in billers:
                biller.add(call, moment, sent)

    def _at_us(self, call: RecordedCall) -> int:
        if call.at_us is None:
            self._timeless += 1
            self._last_us += _GAP_US
            return self._last_us
        self._first = call.at_us if self._first is None else min(self._first, call.at_us)
        self._last = call.at_us if self._last is None else max(self._last, call.at_us)
        self._last_us = call.at_us
        return call.at_us

    def _learn(self, call: RecordedCall) -> None:
        """What the provider has counted."""
        if call.request is None:
            return
        self._with_text += 1
        usage = call.usage
        if usage is None or usage.source != "provider" or not usage.input_tokens:
            return
        read = self._prompts.read(call.request, model=call.model, provider=call.provider)
        sizes = self._sizes_of(call.model, call.provider)
        sizes.learn(read, usage.input_tokens, call.conversation)

    def _sizes_of(self, model: str, provider: str) -> Sizes:
        """Models that are counted alike have blocks of the same sizes."""
        named = (model, provider)
        found = self._sizes.get(named)
        if found is None:
            facts = tokenizer_facts(model, provider or None)
            key = (facts.encoding, facts.own_encoding, facts.ascii_factor, facts.message_tokens)
            found = self._sizes[named] = self._alike.setdefault(key, Sizes())
        return found
