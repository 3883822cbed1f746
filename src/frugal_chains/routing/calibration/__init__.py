"""Calibration: from a log of scored answers to a gain model, a threshold and an honest report."""

from frugal_chains.errors import CalibrationError
from frugal_chains.routing.calibration._calibrate import Calibration, calibrate
from frugal_chains.routing.calibration._choice import choose
from frugal_chains.routing.calibration._log import CalibrationLog, read_log
from frugal_chains.routing.calibration._report import Interval, Line, Report
from frugal_chains.routing.calibration._target import (
    QualityFloor,
    SpendLimit,
    StrongShare,
    Target,
)

__all__ = [
    "Calibration",
    "CalibrationError",
    "CalibrationLog",
    "Interval",
    "Line",
    "QualityFloor",
    "Report",
    "SpendLimit",
    "StrongShare",
    "Target",
    "calibrate",
    "choose",
    "read_log",
]
