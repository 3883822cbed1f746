"""The waterfall of a whole ledger, in one pass whose memory does not grow with it.

Most steps are sums that need no operation: effects by lever and overheads by purpose are kept by
day. What is left goes by attempt (routing) or by operation (drafts and retries), and the ledger
hands it over in that order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from frugal_chains.ledger import Ledger, PeriodBooks
from frugal_chains.pricing import PriceBook
from frugal_chains.savings._baseline import Baseline, ModelName, WithoutRouting, known_models
from frugal_chains.savings._operation import add_requests
from frugal_chains.savings._requests import TRIED_AGAIN
from frugal_chains.savings._tally import OVERHEAD_OF_PURPOSE, Tally
from frugal_chains.savings._waterfall import Waterfall

_CANDIDATE = ("$.routing.step.candidate", "$.routing.candidate")
"""Where the JSON of a decision names whom an attempt was sent to."""


def ledger_waterfall(
    ledger: Ledger,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    book: PriceBook | None = None,
    baseline_model: str = "",
    baseline_provider: str = "",
) -> Waterfall:
    """From what all operations of `[since, until)` would have cost to what they did: the sum of
    `operation_waterfall` over them, exactly.

    An operation that begins before the period or goes on behind it is taken for what is inside. Of
    a running application open a ledger of its own, to be read only: see `Ledger.read_period`.

    Args:
        ledger: The books.
        since, until: The period; None: from the beginning, to the end.
        book: Prices of the baseline's model; without it routing is unknown.
        baseline_model, baseline_provider: Who would have answered every routed request; empty: of
            each the dearest candidate that its decision weighed. Decisions of an earlier version
            do not say which model that is: then an attempt in the period must tell.

    Raises:
        LedgerUnavailable, LedgerCorrupt: it cannot be read.
    """
    baseline = Baseline(model=baseline_model, provider=baseline_provider)
    return ledger.read_period(
        lambda books: period_waterfall(books, baseline=baseline, book=book), since, until
    )


def has_levers(
    ledger: Ledger, since: datetime | None = None, until: datetime | None = None
) -> bool:
    """Whether any lever has written an effect, or a decision, in `[since, until)`.

    Raises:
        LedgerUnavailable, LedgerCorrupt: it cannot be read.
    """
    return ledger.read_period(
        lambda books: bool(books.effect_totals([])) or books.has_decisions(), since, until
    )


def period_waterfall(
    books: PeriodBooks, *, baseline: Baseline | None = None, book: PriceBook | None = None
) -> Waterfall:
    """`ledger_waterfall` of books that are open already. Candidates that the baseline does not
    know, and decisions do not say, are looked up in them."""
    purposes = books.totals(["purpose"])
    tally = Tally()
    for line in books.effect_totals(["lever"]):
        tally.add_effects(
            line.key["lever"],
            measured=line.measured_nanos,
            modelled=line.modelled_nanos,
            effects=line.effects,
            unknown=line.unvalued,
        )
    for total in purposes:
        overhead = OVERHEAD_OF_PURPOSE.get(total.key["purpose"])
        if overhead is not None:
            tally.add_overhead(
                overhead, total.nanos, attempts=total.attempts, unpriced=total.unpriced
            )
    without = _without_routing(books, baseline or Baseline(), book)
    for attempts in books.followed(purposes=TRIED_AGAIN):
        add_requests(tally, attempts, without)
    coverage = books.coverage()
    return Waterfall(
        bill_nanos=sum(line.nanos for line in purposes),
        steps=tally.steps(),
        operations=coverage.operations,
        covered_operations=coverage.covered_operations,
        covered_nanos=coverage.covered_nanos,
        attempts=sum(line.attempts for line in purposes),
        unpriced=sum(line.unpriced for line in purposes),
        loose_effects=coverage.loose_effects,
    )


def _without_routing(
    books: PeriodBooks, baseline: Baseline, book: PriceBook | None
) -> WithoutRouting:
    def candidates() -> Mapping[str, ModelName]:
        """Read from all decisions, and needed for those of an earlier version alone."""
        seen = known_models(
            (name, (labels["provider"], labels["model_asked"] or labels["model"]))
            for name, labels in books.decided_labels(*_CANDIDATE)
        )
        return {**seen, **baseline.candidates}

    return WithoutRouting(baseline, book, candidates)
