"""Report: what the `frugal` command says, as facts, as text for a terminal, and as JSON."""

from frugal_chains.report._cache import CACHE_DAYS, ModelCache, recent_since
from frugal_chains.report._cache_drop import CacheDrop
from frugal_chains.report._doctor import WATCHED, DoctorFacts, Finding, LedgerFacts, diagnose
from frugal_chains.report._facts import Question, ReportFacts, grouping, questions, report_facts
from frugal_chains.report._json import doctor_json, prices_json, report_json
from frugal_chains.report._json_misses import misses_json
from frugal_chains.report._misses import cache_misses
from frugal_chains.report._misses_facts import CacheMiss, CacheMisses
from frugal_chains.report._period import moment_of
from frugal_chains.report._prices import PriceFacts
from frugal_chains.report._terminal import report_view
from frugal_chains.report._terminal_doctor import doctor_view
from frugal_chains.report._terminal_misses import misses_view
from frugal_chains.report._terminal_prices import prices_view

__all__ = [
    "CACHE_DAYS",
    "WATCHED",
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
    "cache_misses",
    "diagnose",
    "doctor_json",
    "doctor_view",
    "grouping",
    "misses_json",
    "misses_view",
    "moment_of",
    "prices_json",
    "prices_view",
    "questions",
    "recent_since",
    "report_facts",
    "report_json",
    "report_view",
]
