"""Budgets by tier and by price at their edges, and labels from templates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from frugal_chains.compression import ContextBudget, budget_tokens, written_label


@pytest.mark.parametrize(
    ("tokens", "least_tokens", "input_nanos", "expected"),
    [
        # $0.001 at $2.50 a million tokens: 400.
        (1000, 200, 2_500_000, 400),
        (1000, 500, 2_500_000, 500),  # at least that much
        (300, 500, 2_500_000, 300),  # but never more than `tokens`
        (1000, 200, 0, 1000),  # a model that costs nothing
        (1000, 200, None, 1000),
    ],
)
def test_a_limit_in_dollars_leaves_the_least_and_no_more_than_all(
    tokens: int, least_tokens: int, input_nanos: int | None, expected: int
) -> None:
    budget = ContextBudget(tokens=tokens, limit_usd=Decimal("0.001"), least_tokens=least_tokens)
    assert budget_tokens(budget, input_nanos=input_nanos) == expected


def test_a_tier_has_its_own_and_never_more_than_all() -> None:
    budget = ContextBudget(tokens=1000, by_tier={"dear": 300, "cheap": 5000})
    assert [budget_tokens(budget, tier=tier) for tier in ("dear", "cheap", "other", "")] == [
        300, 1000, 1000, 1000,
    ]  # fmt: skip


class Secretive:
    secret = "not for labels"

    def __str__(self) -> str:
        return "shown"


@pytest.mark.parametrize(
    ("template", "label"),
    [
        ("", ""),
        ("[{n}] {title}\n", "[3] Bridges\n"),
        ("{n:03d}|{title:>9}", "003|  Bridges"),
        ("{missing}-{n}", "-3"),
        ("{title:d}", "Bridges"),  # its format is not its kind
        ("{it.secret}{it}", "shown"),
        ("{it.__class__}", ""),
        ("{doc.id}", "D7"),  # a key of that very name
        ("{{n}}", "{n}"),
    ],
)
def test_a_label_is_its_template_with_what_is_there(template: str, label: str) -> None:
    names: dict[str, Any] = {"n": 3, "title": "Bridges", "it": Secretive(), "doc.id": "D7"}
    assert written_label(template, names) == label
