"""The next lever: what would save most of the bill, told from a replay of the newest attempts."""

from frugal_chains.report.levers._days import Days, days_of
from frugal_chains.report.levers._facts import LeverGain, Move, NextLever
from frugal_chains.report.levers._json import lever_json
from frugal_chains.report.levers._next import next_lever_of
from frugal_chains.report.levers._read import MOST_REPLAYED, next_lever
from frugal_chains.report.levers._terminal import lever_lines
from frugal_chains.report.levers._trial import Trial, trial_of

__all__ = [
    "MOST_REPLAYED",
    "Days",
    "LeverGain",
    "Move",
    "NextLever",
    "Trial",
    "days_of",
    "lever_json",
    "lever_lines",
    "next_lever",
    "next_lever_of",
    "trial_of",
]
