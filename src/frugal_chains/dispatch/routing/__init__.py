"""Routing at work: a policy, what it remembers between calls, and who is asked next."""

from frugal_chains.dispatch.routing._course import Course
from frugal_chains.dispatch.routing._files import (
    load_policy,
    read_rows,
    save_calibration,
    with_ledger,
)
from frugal_chains.dispatch.routing._question import Embedded, EmbeddingModel, QuestionEmbedder
from frugal_chains.dispatch.routing._router import Route, Router
from frugal_chains.dispatch.routing._user_check import UserCheck

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
