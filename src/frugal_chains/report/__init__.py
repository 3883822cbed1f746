"""Report: what the `frugal` command says, as facts, as text for a terminal, and as JSON."""

from frugal_chains.report._cache import CACHE_DAYS, ModelCache, recent_since
from frugal_chains.report._cache_drop import CacheDrop
from frugal_chains.report._doctor import WATCHED, DoctorFacts, Finding, LedgerFacts, diagnose
from frugal_chains.report._facts import Question, ReportFacts, grouping, questions, report_facts
from frugal_chains.report._json import doctor_json, prices_json, report_json
from frugal_chains.report._json_inventory import inventory_json
from frugal_chains.report._json_lists import lists_json
from frugal_chains.report._json_misses import misses_json
from frugal_chains.report._json_reconcile import reconcile_json
from frugal_chains.report._json_sheet import sheet_json
from frugal_chains.report._json_sweep import sweep_json
from frugal_chains.report._json_whatif import whatif_json
from frugal_chains.report._misses import cache_misses
from frugal_chains.report._misses_facts import CacheMiss, CacheMisses
from frugal_chains.report._period import moment_of
from frugal_chains.report._prices import PriceFacts
from frugal_chains.report._terminal import report_view
from frugal_chains.report._terminal_doctor import doctor_view
from frugal_chains.report._terminal_inventory import inventory_view
from frugal_chains.report._terminal_lists import lists_view
from frugal_chains.report._terminal_misses import misses_view
from frugal_chains.report._terminal_prices import prices_view
from frugal_chains.report._terminal_reconcile import reconcile_view
from frugal_chains.report._terminal_savings import savings_view
from frugal_chains.report._terminal_sheet import sheet_view
from frugal_chains.report._terminal_sweep import sweep_view
from frugal_chains.report._terminal_watch import watch_view
from frugal_chains.report._terminal_whatif import whatif_view
from frugal_chains.report._watch import (
    BudgetLine,
    WatchedLimit,
    WatchFacts,
    budget_of,
    watch_facts,
)

__all__ = [
    "CACHE_DAYS",
    "WATCHED",
    "BudgetLine",
    "CacheDrop",
    "CacheMiss",
    "CacheMisses",
    "DoctorFacts",
    "Finding",
    "LedgerFacts",
    "ModelCache",
    "PriceFacts",
    "Question",
    "ReportFacts",
    "WatchFacts",
    "WatchedLimit",
    "budget_of",
    "cache_misses",
    "diagnose",
    "doctor_json",
    "doctor_view",
    "grouping",
    "inventory_json",
    "inventory_view",
    "lists_json",
    "lists_view",
    "misses_json",
    "misses_view",
    "moment_of",
    "prices_json",
    "prices_view",
    "questions",
    "recent_since",
    "reconcile_json",
    "reconcile_view",
    "report_facts",
    "report_json",
    "report_view",
    "savings_view",
    "sheet_json",
    "sheet_view",
    "sweep_json",
    "sweep_view",
    "watch_facts",
    "watch_view",
    "whatif_json",
    "whatif_view",
]
