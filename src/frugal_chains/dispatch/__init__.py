"""Dispatch: a routing policy at work, for both adapters, and calibrations as files."""

from frugal_chains.dispatch._course import Course
from frugal_chains.dispatch._files import load_policy, read_rows, save_calibration, with_ledger
from frugal_chains.dispatch._question import Embedded, EmbeddingModel, QuestionEmbedder
from frugal_chains.dispatch._router import Route, Router
from frugal_chains.dispatch._user_check import UserCheck

__all__ = [
    "Course",
    "Embedded",
    "EmbeddingModel",
    "QuestionEmbedder",
    "Route",
    "Router",
    "UserCheck",
    "load_policy",
    "read_rows",
    "save_calibration",
    "with_ledger",
]
