"""The report as one HTML file: no script, no network, light and dark, for screen and paper."""

from frugal_chains.report.html._budgets import budget_of, budget_spends
from frugal_chains.report.html._facts import (
    LeverFacts,
    LeverOption,
    ModelLatency,
    PageFacts,
    Percentiles,
    RepeatedRequest,
    ScanFacts,
    Series,
    WaterfallFacts,
    WaterfallStep,
)
from frugal_chains.report.html._lever import lever_of
from frugal_chains.report.html._page import html_page, write_page
from frugal_chains.report.html._read import page_facts
from frugal_chains.report.html._waterfall import waterfall_of

__all__ = [
    "LeverFacts",
    "LeverOption",
    "ModelLatency",
    "PageFacts",
    "Percentiles",
    "RepeatedRequest",
    "ScanFacts",
    "Series",
    "WaterfallFacts",
    "WaterfallStep",
    "budget_of",
    "budget_spends",
    "html_page",
    "lever_of",
    "page_facts",
    "waterfall_of",
    "write_page",
]
