"""What a report says, against sums added up here from the attempts themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from frugal_chains.ledger import Attempt, Ledger
from frugal_chains.pricing import Unpriced
from frugal_chains.report import grouping, questions, report_facts, report_json
from tests.core.report.sample_books import HINT, NO_PRICE, attempt, cost_of, report_of, sample


def test_the_totals_are_those_of_the_attempts():
    attempts = sample()
    facts = report_of(attempts)
    assert facts.total.cost_usd == cost_of(attempts)
    assert facts.total.attempts == len(attempts)
    assert facts.total.operations == len({a.operation_id for a in attempts})
    assert facts.total.usage.input_tokens == sum(a.usage.input_tokens for a in attempts)
    assert facts.total.usage.cache_read_tokens == sum(a.usage.cache_read_tokens for a in attempts)
    assert facts.total.unpriced == sum(a.cost_usd is None for a in attempts)
    assert facts.total.estimated == sum(a.usage.source != "provider" for a in attempts)
    assert facts.days == ("2026-11-01", "2026-11-03")


@pytest.mark.parametrize(
    ("by", "label"),
    [
        ("model", lambda a: (a.model,)),
        ("feature", lambda a: (a.tags.get("feature", ""),)),
        ("day", lambda a: (f"{a.at:%Y-%m-%d}",)),
    ],
)
def test_every_default_table_groups_and_sums_to_the_whole(by, label):
    attempts = sample()
    facts = report_of(attempts)
    (table,) = [table for table in facts.tables if table.by == (by,)]
    groups: dict[tuple[str, ...], list[Attempt]] = {}
    for each in attempts:
        groups.setdefault(label(each), []).append(each)
    assert {tuple(row.key.values()): row.cost_usd for row in table.rows} == {
        key: cost_of(group) for key, group in groups.items()
    }
    assert sum(row.cost_usd for row in table.rows) == cost_of(attempts)
    assert sum(row.operations for row in table.rows) == facts.total.operations


def test_the_users_own_grouping_replaces_the_default_tables():
    attempts = sample()
    facts = report_of(attempts, by=["model", "feature", "model"])
    (table,) = facts.tables
    assert table.by == ("model", "feature")
    expected = Counter((a.model, a.tags.get("feature", "")) for a in attempts)
    assert {tuple(row.key.values()): row.attempts for row in table.rows} == expected


def tagged(values: dict[str, int]) -> list[Attempt]:
    """Attempts that carry each tag with that many different values."""
    return [
        attempt(tags={tag: f"value {number}"})
        for tag, count in values.items()
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, []),
        ({"feature": 3, "tenant": 2}, ["feature"]),
        ({"feature": 40}, ["feature"]),
        ({"tenant": 2, "team": 12}, ["team", "tenant"]),
        ({"user": 13, "team": 2}, ["team"]),
        ({"model": 2, "team": 2}, ["tag:model", "team"]),
    ],
)
def test_the_feature_tag_is_shown_or_else_every_tag_with_few_values(values, shown):
    facts = report_of([attempt(), *tagged(values)])
    tables = [table.by[0] for table in facts.tables]
    assert tables == ["model", *shown, "day"]


def test_a_feature_tag_outside_the_period_leaves_the_other_tags_shown():
    attempts = [attempt(tags={"feature": "old"}), attempt(day=5, tags={"team": "search"})]
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        since = datetime(2026, 11, 3, tzinfo=UTC)
        answers = {q: books.totals(q, since=since) for q in questions((), books.tag_names())}
    facts = report_facts(answers)
    assert [table.by[0] for table in facts.tables] == ["model", "team", "day"]


def test_unpriced_models_come_with_their_reasons_the_most_frequent_first():
    rare = attempt(model="in-house", provider="acme", price=Unpriced(reason="a rare reason"))
    other = attempt(model="other", nanos=None)
    facts = report_of([rare, other, *sample()])
    assert [(m.model, m.provider, m.attempts, m.reasons) for m in facts.unpriced] == [
        ("in-house", "acme", 3, (NO_PRICE, "a rare reason")),
        ("other", "openai", 1, (NO_PRICE,)),
    ]


def test_only_what_did_not_end_well_is_an_outcome():
    facts = report_of(sample())
    found = {(o.key["status"], o.key["error_kind"]): o.attempts for o in facts.outcomes}
    assert found == {("error", "rate_limit"): 1, ("aborted", "cancelled"): 1, ("cached", ""): 1}


def test_notes_of_estimated_attempts_are_counted():
    attempts = sample()
    facts = report_of([*attempts, attempt(note="not an estimate")])
    counted = Counter(a.note for a in attempts if a.usage.source != "provider")
    assert facts.notes == tuple(counted.most_common())
    assert counted[HINT] == 2


def test_no_attempt_is_a_report_of_zeros():
    document = report_json(report_of([], by=["model"]))
    assert {name: document["total"][name] for name in ("attempts", "operations", "cost_usd")} == {
        "attempts": 0,
        "operations": 0,
        "cost_usd": "0",
    }
    assert set(document["total"]["usage"].values()) == {0}
    assert (document["first_day"], document["last_day"]) == (None, None)
    assert document["tables"] == [{"by": ["model"], "rows": []}]


@pytest.mark.parametrize(
    ("asked", "spelled"),
    [
        (["feature"], ("feature",)),
        (["tag:feature"], ("feature",)),
        (["model", "tag:feature", "feature"], ("model", "feature")),
        (["tag:model", "model"], ("tag:model", "model")),
        (["tag:day"], ("tag:day",)),
        (["tag:never seen"], ("tag:never seen",)),
    ],
)
def test_a_tag_has_one_spelling_and_is_never_taken_for_a_label(asked, spelled):
    assert grouping(asked, ["day", "feature", "model"]) == spelled


def test_the_tables_by_default_and_on_request_have_the_same_keys():
    (default,) = [t for t in report_of(sample()).tables if t.by[0] == "feature"]
    for asked in ("feature", "tag:feature"):
        (table,) = report_json(report_of(sample(), by=[asked]))["tables"]
        assert table["by"] == ["feature"]
        assert [row["key"] for row in table["rows"]] == [row.key for row in default.rows]


def test_json_has_exact_text_and_no_cost_for_what_is_unknown():
    attempts = sample()
    facts = report_of(attempts)
    document = report_json(facts)
    assert document["total"]["cost_usd"] == str(cost_of(attempts)).rstrip("0")
    models = {row["key"]["model"]: row for row in document["tables"][0]["rows"]}
    assert models["in-house"]["cost_usd"] is None
    assert models["llama3"]["cost_usd"] == "0"
    assert models["gpt-4o"]["usage"]["cache_read_tokens"] == 3_000
    assert [row["status"] for row in document["outcomes"]] == [
        outcome.key["status"] for outcome in facts.outcomes
    ]


def test_attempts_that_wait_and_those_that_need_a_person_are_told_apart():
    attempts = sample()
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        answers = {asked: books.totals(asked) for asked in questions((), ())}
    facts = report_facts(answers, waiting=("a.1.inbox", "a.2.damaged"))
    assert (facts.waiting, facts.damaged) == (("a.1.inbox",), ("a.2.damaged",))
    document = report_json(facts)
    assert (document["waiting"], document["damaged"]) == (["a.1.inbox"], ["a.2.damaged"])


def test_a_password_in_the_ledgers_url_is_not_repeated():
    facts = replace(report_of([]), ledger="postgresql://svc:hunter2@db/books")
    assert report_json(facts)["ledger"] == "postgresql://***@db/books"
