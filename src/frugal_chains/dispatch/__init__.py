"""Dispatch: levers at work, for both adapters: routing, and context to a budget."""

from frugal_chains.dispatch._context import (
    Compressed,
    ContextCompressor,
    Likeness,
    cosines,
)
from frugal_chains.dispatch._course import Course
from frugal_chains.dispatch._files import load_policy, read_rows, save_calibration, with_ledger
from frugal_chains.dispatch._payload import PayloadCompressor
from frugal_chains.dispatch._prefix import PrefixFacts
from frugal_chains.dispatch._question import Embedded, EmbeddingModel, QuestionEmbedder
from frugal_chains.dispatch._router import Route, Router
from frugal_chains.dispatch._user_check import UserCheck

__all__ = [
    "Compressed",
    "ContextCompressor",
    "Course",
    "Embedded",
    "EmbeddingModel",
    "Likeness",
    "PayloadCompressor",
    "PrefixFacts",
    "QuestionEmbedder",
    "Route",
    "Router",
    "UserCheck",
    "cosines",
    "load_policy",
    "read_rows",
    "save_calibration",
    "with_ledger",
]
