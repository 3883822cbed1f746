"""`replay`: recorded traffic through setups, all of them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from frugal_chains.pricing import PriceBook
from frugal_chains.providers import tokenizer_facts
from frugal_chains.replay._bill import ReplayBill, group_of
from frugal_chains.replay._by_size import SizeSender
from frugal_chains.replay._outline import Outline, Outlines
from frugal_chains.replay._player import Biller, Moment, Sender, Sent, is_open_to_levers
from frugal_chains.replay._prompt import Prompts
from frugal_chains.replay._setup import Setup
from frugal_chains.replay._sizes import Sizes
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import Usage

_Found = TypeVar("_Found")

TOLD_EACH: Final = 1_000
"""Calls: so often it is told how many were played."""
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
    by_size: int
    """Calls that memory and markers have changed by the sizes of their conversations alone."""
    first_us: int | None
    last_us: int | None
    """Of the calls that have a time."""
    timeless: int
    """Calls without a time."""
    unseen_tasks: tuple[str, ...] = ()
    """Tasks that a setup names, and no call has."""

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
    run = Replay(setups, prices=prices, now_us=now_us, counter=counter)
    for number, call in enumerate(calls, 1):
        run.add(call)
        if on_progress is not None and not number % TOLD_EACH:
            on_progress(number)
    return run.result()


class Replay:
    """A replay that is handed its calls, so that several can share one reading of them.

    Args:
        setups: What to try.
        prices: Of models.
        now_us: The time of calls that have none, for their prices.
        counter: Of tokens.
    """

    def __init__(
        self,
        setups: Sequence[Setup],
        *,
        prices: PriceBook,
        now_us: int,
        counter: TokenCounter | None = None,
    ) -> None:
        counter = counter or TokenCounter()
        self._prompts = Prompts(counter)
        self._billers = [Biller(setup.batch, prices) for setup in setups]
        self._senders = self._made(setups, counter, prices)
        self._outlines = Outlines() if any(map(_looks_at_sizes, setups)) else None
        self._recorded = Biller(None, prices)
        self._sizes: dict[tuple[str, str], Sizes] = {}
        self._alike: dict[tuple[object, ...], Sizes] = {}
        self._last_us = now_us
        self._first: int | None = None
        self._last: int | None = None
        self._calls = self._with_text = self._by_size = self._timeless = 0
        self._unseen = {task for setup in setups for task in _tasks(setup)}
        self._context = Context()

    def add(self, call: RecordedCall) -> None:
        """One more; they come in the order in which they were sent."""
        # In an empty context: no ledger of a block around this code gets effects of what did not
        # happen.
        self._context.run(self._one, call)

    def result(self) -> Replayed:
        """Of all so far."""
        return Replayed(
            recorded=self._recorded.bill(),
            bills=tuple(biller.bill() for biller in self._billers),
            calls=self._calls,
            with_text=self._with_text,
            by_size=self._by_size,
            first_us=self._first,
            last_us=self._last,
            timeless=self._timeless,
            unseen_tasks=tuple(sorted(self._unseen)),
        )

    # -- parts ---------------------------------------------------------------------------------

    def _made(
        self, setups: Sequence[Setup], counter: TokenCounter, prices: PriceBook
    ) -> list[tuple[Sender, list[Biller]]]:
        """What setups have in common is played once: by batch or not, and, where only sizes are
        known, compressed or not."""
        senders: list[tuple[Setup, tuple[Sender, list[Biller]]]] = []
        by_size: list[tuple[Setup, SizeSender]] = []
        for setup, biller in zip(setups, self._billers, strict=True):
            own = replace(setup, batch=None)
            known = _of(senders, own)
            if known is not None:
                known[1].append(biller)
                continue
            sizes = replace(own, compression=None)
            sized = _of(by_size, sizes)
            if sized is None:
                sized = SizeSender(sizes, counter=counter, prices=prices)
                by_size.append((sizes, sized))
            sender = Sender(
                own, prompts=self._prompts, counter=counter, prices=prices, by_size=sized
            )
            senders.append((own, (sender, [biller])))
        return [each for _, each in senders]

    def _one(self, call: RecordedCall) -> None:
        self._calls += 1
        self._unseen.discard(call.task)
        name = call.conversation or call.operation or str(self._calls)
        self._learn(call)
        outline = self._outline(call)
        moment = Moment(
            at_us=self._at_us(call), sizes=self._sizes_of, group=group_of(name), outline=outline
        )
        usage = call.usage or Usage(source="estimated")
        self._recorded.add_recorded(call, moment, Sent(call.model, call.provider, usage))
        for sender, billers in self._senders:
            sent = sender.send(call, moment)
            for biller in billers:
                biller.add(call, moment, sent)

    def _outline(self, call: RecordedCall) -> Outline | None:
        if self._outlines is None or not is_open_to_levers(call):
            return None
        found = self._outlines.of(call)
        self._by_size += found is not None
        return found

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


def _of(found: Iterable[tuple[Setup, _Found]], setup: Setup) -> _Found | None:
    """Of an equal setup: they are few, and have no hash."""
    return next((one for other, one in found if other == setup), None)


def _tasks(setup: Setup) -> Iterable[str]:
    """That are named."""
    if setup.routing is not None:
        yield from setup.routing.by_task
    if setup.batch is not None:
        yield from setup.batch.tasks or ()


def _looks_at_sizes(setup: Setup) -> bool:
    """It has to know more of a call than what it was billed."""
    return setup.memory is not None or setup.prompt_cache is not None
