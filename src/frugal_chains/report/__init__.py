"""Report: what the `frugal` command says, as facts, as text for a terminal, and as JSON."""

from frugal_chains.report._facts import ReportFacts, questions, report_facts
from frugal_chains.report._json import report_json
from frugal_chains.report._period import moment_of
from frugal_chains.report._terminal import report_view

__all__ = [
    "ReportFacts",
    "moment_of",
    "questions",
    "report_facts",
    "report_json",
    "report_view",
]
