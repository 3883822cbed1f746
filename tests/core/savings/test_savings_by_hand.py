"""What routing saved over a whole ledger, against plain arithmetic that shares no code with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.ledger import Attempt, Ledger, as_followed
from frugal_chains.pricing import PriceBook
from frugal_chains.savings import ledger_waterfall
from frugal_chains.savings._requests import request_alone, requests_of
from frugal_chains.usage import Usage
from tests.core.savings.samples import attempt, book

MODELS = {"cheap": "small", "dear": "big", "third": "big"}
NANOS = {"small": (1_000, 100, 4_000), "big": (10_000, 1_000, 40_000)}
"""A token of input, of input from the cache, and of output: as `samples` has the prices."""


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    return book(tmp_path_factory.mktemp("prices"))


_bills = st.dictionaries(st.sampled_from([*MODELS]), st.integers(0, 3), max_size=3)


@st.composite
def calls(draw: st.DrawFn) -> Attempt:
    """An attempt of an operation of its own, routed as this version or an earlier one writes it."""
    chosen, bills = draw(st.sampled_from([*MODELS])), draw(_bills)
    routing: dict[str, Any] = {
        "action": draw(st.sampled_from(["call", "call", "call", "refuse"])), "candidate": chosen,
        "expected_nanos": bills, "excluded": draw(st.sampled_from([{}, {"dear": "too small"}])),
    }  # fmt: skip
    fit = [name for name in bills if name not in routing["excluded"]]
    if fit and draw(st.booleans()):
        routing["dearest"] = ["acme", MODELS[_dearest(bills, fit)]]
    read = draw(st.integers(0, 50))
    usage = Usage(
        input_tokens=read + draw(st.integers(0, 50)),
        cache_read_tokens=read,
        output_tokens=draw(st.integers(0, 9)),
    )
    return attempt(
        draw(st.integers(0, 3 * 86_400)),
        operation=f"{draw(st.integers(0, 10**9)):032x}",
        model=MODELS[chosen],
        purpose=draw(st.sampled_from(["answer", "answer", "draft", "retry", "summary"])),
        status=draw(st.sampled_from(["ok", "ok", "aborted", "error", "cached"])),
        nanos=draw(st.none() | st.integers(0, 10**6)),
        usage=usage,
        decision=draw(st.sampled_from([{"routing": routing}, {"routing": routing}, {}, None])),
    )


def _dearest(bills: dict[str, int], fit: Sequence[str]) -> str:
    return sorted(fit, key=lambda name: (-bills[name], name))[0]


def by_hand(attempts: Sequence[Attempt]) -> tuple[int, int, int]:
    """Saved by routing, over so many attempts, of which so many are unknown."""
    routed = [a for a in attempts if a.decision and "routing" in a.decision]
    answered = defaultdict(set)
    for each in routed:
        answered[each.decision["routing"]["candidate"]].add(each.model)
    saved = count = unknown = 0
    for each in routed:
        routing = each.decision["routing"]
        is_call = routing["action"] == "call"
        if each.purpose not in ("answer", "draft"):
            continue
        if is_call and each.status not in ("ok", "aborted"):
            continue
        count += 1
        bills = routing["expected_nanos"]
        fit = [name for name in bills if name not in routing["excluded"]]
        paid, dearest = each.price.nanos, _dearest(bills, fit) if fit else ""
        known = "dearest" in routing or dearest in answered or dearest == routing["candidate"]
        if not is_call or paid is None or not fit or not known:
            unknown += 1
            continue
        model = MODELS[dearest]
        if model == each.model:
            continue  # it would have been the same bill
        fresh, read, out = NANOS[model]
        usage = each.usage
        would = (usage.input_tokens - usage.cache_read_tokens) * fresh
        would += usage.cache_read_tokens * read + usage.output_tokens * out
        saved += would - paid
    return saved, count, unknown


@given(st.lists(calls(), max_size=12, unique_by=lambda each: each.operation_id))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_routing_is_what_plain_arithmetic_says(prices, attempts):
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        found = ledger_waterfall(books, book=prices)
    step = found.step("routing")
    assert (step.modelled_nanos, step.attempts, step.unknown_attempts) == by_hand(attempts)
    lost = [a for a in attempts if a.purpose == "retry"]
    lost += [a for a in attempts if a.purpose == "draft" and "routing" not in (a.decision or {})]
    paid = sum(a.price.nanos or 0 for a in lost)
    assert found.step("retries").measured_nanos + found.step("drafts").measured_nanos == -paid
    decided = [a for a in attempts if a.decision is not None]
    assert found.covered_operations == len(decided)
    assert found.covered_nanos == sum(a.price.nanos or 0 for a in decided)


@given(calls())
def test_what_is_tried_alone_is_told_as_among_others(each):
    alone = as_followed(each)
    kept, lost = request_alone(alone)
    expected = [*requests_of([alone])]
    assert (kept is not None or bool(lost)) == bool(expected)
    assert [(kept, lost)] * len(expected) == expected


def test_rows_of_an_earlier_version_stand_beside_new_ones(prices, tmp_path: Path):
    """`dear` never answers: an old row cannot say which model that is, a new one does."""
    decision = {
        "action": "call", "reason": "gain", "candidate": "cheap", "tier": "gatekeeper",
        "expected_nanos": {"cheap": 1, "dear": 2},
    }  # fmt: skip
    usage = Usage(input_tokens=100, output_tokens=10)
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as books:
        for routing in (decision, {**decision, "dearest": ["acme", "big"]}):
            row = attempt(nanos=140_000, usage=usage, decision={"routing": routing})
            books.record(row._replace(operation_id=row.id))
        step = ledger_waterfall(books, book=prices).step("routing")
    assert (step.attempts, step.unknown_attempts) == (2, 1)
    assert step.nanos == 100 * 10_000 + 10 * 40_000 - 140_000
