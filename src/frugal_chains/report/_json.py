"""What the commands print with `--json`: exact decimals as text, keys that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from frugal_chains.ledger import EffectTotals, Totals, shown_url
from frugal_chains.money import usd_from_nanos
from frugal_chains.pricing import Explanation, Price, Priced
from frugal_chains.report._cache import WARN_BELOW_PERCENT
from frugal_chains.report._doctor import DoctorFacts, Finding
from frugal_chains.report._facts import ReportFacts, known_cost_usd
from frugal_chains.report._json_cache import cache_json
from frugal_chains.report._json_savings import savings_json
from frugal_chains.report._money import exact_text
from frugal_chains.report._prices import PriceFacts, charge_parts, price_snippet
from frugal_chains.usage import COUNT_FIELDS, Usage


def report_json(facts: ReportFacts) -> dict[str, Any]:
    """The report for machines.

        {"ledger": url, "since": ISO time or null, "until": ISO time or null,
         "first_day": "2026-11-01", "last_day": "2026-11-07" (null without any attempt),
         "total": SUMS,
         "tables": [{"by": ["model"], "rows": [{"key": {"model": "gpt-4o"}, **SUMS}]}],
         "unpriced": [{"provider", "model", "attempts", "reasons": [text]}],
         "estimated_notes": [{"note", "attempts"}],
         "outcomes": [{"status", "error_kind", **SUMS}],
         "effects": [{"lever", "effects", "operations", "unchanged", "inexact", "tokens_before",
                      "tokens_after", "measured_usd", "modelled_usd", "unvalued"}],
         "cache": {"warn_below_percent": 50, "models": [CACHE]},
         "savings": SAVINGS, null where no lever has done anything,
         "waiting": [file], "damaged": [file]}

    SUMS: `attempts`, `operations` (those whose first attempt is among them), `unpriced`,
    `estimated` (attempts, integers), `cost_usd` (exact decimal as text; null when there are
    attempts and none could be priced) and `usage` (one integer for each bucket of `Usage`; parents
    include their parts). The rows of every table sum to `total`. A tag goes by its name, by
    `tag:<name>` where a label has that name. The attempts in `waiting` and `damaged` files are
    missing from all sums; the first are taken in later, the others need a person.

    An effect is what one lever did for one request: `unchanged` counts those that left it alone,
    `inexact` those whose tokens were estimated. `measured_usd` and `modelled_usd` are net savings,
    negative for a loss, exact decimals as text; both leave out the `unvalued`.

    SAVINGS: from what would have been paid to what was; see `savings_json`.

    CACHE: what one model read from its provider's prompt cache, by the attempts that ended well in
    no batch, embeddings left out, with usage that is the provider's word (`attempts`; those with
    estimated usage are `left_out`).

        {"provider", "model", "attempts", "left_out", "input_tokens", "read_tokens",
         "written_tokens", "read_share", "written_share" (0 to 1; null without any input),
         "mean_prompt_tokens", "min_tokens", "highest_min_tokens" (a shorter prefix is not kept;
         they differ where the minimum is not sure), "ttl_s", "control",
         "state": "well", "low", "few", "short", "no discount" or "estimated",
         "warning": true exactly for "low", "cause", "why", "advice" (null unless it is a warning),
         "saved_up_to_usd": exact decimal as text; null: no warning, or a price is not known,
         "drop": null, or {"since": "2026-11-20", "read_share_before", "read_share_since",
                           "input_tokens_before", "input_tokens_since"}}
    """
    return {
        "ledger": shown_url(facts.ledger),
        "since": facts.since and facts.since.isoformat(),
        "until": facts.until and facts.until.isoformat(),
        "first_day": facts.days and facts.days[0],
        "last_day": facts.days and facts.days[1],
        "total": _sums(facts.total),
        "tables": [
            {
                "by": list(table.by),
                "rows": [{"key": dict(row.key), **_sums(row)} for row in table.rows],
            }
            for table in facts.tables
        ],
        "unpriced": [
            {
                "provider": model.provider,
                "model": model.model,
                "attempts": model.attempts,
                "reasons": list(model.reasons),
            }
            for model in facts.unpriced
        ],
        "estimated_notes": [{"note": note, "attempts": count} for note, count in facts.notes],
        "outcomes": [{**line.key, **_sums(line)} for line in facts.outcomes],
        "effects": [_effects(line) for line in facts.effects],
        "cache": {
            "warn_below_percent": WARN_BELOW_PERCENT,
            "models": [cache_json(cache) for cache in facts.caches],
        },
        "savings": savings_json(facts.savings),
        "waiting": list(facts.waiting),
        "damaged": list(facts.damaged),
    }


def _effects(line: EffectTotals) -> dict[str, Any]:
    return {
        **line.key,
        "effects": line.effects,
        "operations": line.operations,
        "unchanged": line.unchanged,
        "inexact": line.inexact,
        "tokens_before": line.tokens_before,
        "tokens_after": line.tokens_after,
        "measured_usd": exact_text(usd_from_nanos(line.measured_nanos)),
        "modelled_usd": exact_text(usd_from_nanos(line.modelled_nanos)),
        "unvalued": line.unvalued,
    }


def _sums(line: Totals) -> dict[str, Any]:
    cost = known_cost_usd(line)
    return {
        "attempts": line.attempts,
        "operations": line.operations,
        "cost_usd": None if cost is None else exact_text(cost),
        "unpriced": line.unpriced,
        "estimated": line.estimated,
        "usage": {name: getattr(line.usage, name) for name in COUNT_FIELDS},
    }


def prices_json(facts: PriceFacts) -> dict[str, Any]:
    """A model's price for machines.

        {"asked": model, "provider", "model", "names": [text], "listed_as", "tier",
         "at": ISO time, "price_id", "price_file": path or "", "context_window_tokens": int or null,
         "notes": [text], "reason": why unpriced or "", "snippet": lines for prices.toml or "",
         **RATES,
         "history": [{"from": ISO time, null for the beginning, **RATES}],
         "example": null, or {"usage", "outcome", "cost_usd", "parts_usd", "reason"}}

    RATES: `outcome` (`priced`, `free`, `unpriced`), `bands` (`above_tokens` and `usd_per_mtok`, one
    price for each bucket) and `usd_per_thousand` calls. Every price is an exact decimal as text;
    `cost_usd` is null when the example is unpriced.
    """
    price = facts.price
    return {
        "asked": facts.asked,
        "provider": price.provider,
        "model": price.model,
        "names": list(price.names),
        "listed_as": price.listed_as,
        "tier": price.tier,
        "at": price.at.isoformat(),
        "price_id": price.price_id,
        "price_file": facts.price_file,
        "context_window_tokens": price.context_window_tokens,
        "notes": list(price.notes),
        "reason": price.reason,
        "snippet": price_snippet(facts),
        **_rates(price),
        "history": [
            {"from": line.at.isoformat() if index else None, **_rates(line)}
            for index, line in enumerate(facts.history)
        ],
        "example": _example(facts.usage, facts.charge),
    }


def _rates(price: Explanation) -> dict[str, Any]:
    return {
        "outcome": price.outcome,
        "bands": [
            {
                "above_tokens": band.above_tokens,
                "usd_per_mtok": {name: exact_text(usd) for name, usd in band.per_mtok.items()},
            }
            for band in price.bands
        ],
        "usd_per_thousand": {fee: exact_text(usd) for fee, usd in price.fees.items()},
    }


def _example(usage: Usage | None, charge: Price | None) -> dict[str, Any] | None:
    if usage is None or charge is None:
        return None
    cost = charge.cost_usd
    parts = charge_parts(charge) if isinstance(charge, Priced) else {}
    return {
        "usage": {name: count for name in COUNT_FIELDS if (count := getattr(usage, name))},
        "outcome": type(charge).__name__.lower(),
        "cost_usd": None if cost is None else exact_text(cost),
        "parts_usd": {part: exact_text(usd) for part, usd in parts.items()},
        "reason": getattr(charge, "reason", ""),
    }


def doctor_json(facts: DoctorFacts, findings: Sequence[Finding]) -> dict[str, Any]:
    """An installation for machines.

    {"broken": int, "warnings": int,
     "findings": [{"subject", "level": "ok", "note", "warning" or "broken", "text", "fix"}],
     "versions": {distribution: version}, "encodings": {encoding: source},
     "price_file": path or "", "ledger": url}
    """
    levels = [finding.level for finding in findings]
    return {
        "broken": levels.count("broken"),
        "warnings": levels.count("warning"),
        "findings": [asdict(finding) for finding in findings],
        "versions": dict(facts.versions),
        "encodings": dict(facts.encodings),
        "price_file": facts.price_file,
        "ledger": shown_url(facts.ledger.url),
    }
