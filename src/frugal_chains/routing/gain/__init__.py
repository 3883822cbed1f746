"""Gain models: how well each candidate would answer a question, and what the stronger one wins."""

from frugal_chains.routing.gain._blend import BlendedGain
from frugal_chains.routing.gain._encode import distinct_prompts
from frugal_chains.routing.gain._fit import Fitted, fit_gain, group_folds
from frugal_chains.routing.gain._scores import Embedder, Example, GainModel, Scores
from frugal_chains.routing.gain._state import from_bytes, to_bytes

__all__ = [
    "BlendedGain",
    "Embedder",
    "Example",
    "Fitted",
    "GainModel",
    "Scores",
    "distinct_prompts",
    "fit_gain",
    "from_bytes",
    "group_folds",
    "to_bytes",
]
