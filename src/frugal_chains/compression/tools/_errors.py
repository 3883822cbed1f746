"""The error of this room."""

from __future__ import annotations

from frugal_chains.errors import CompressionError


class ToolPlanError(CompressionError):
    """Facts or limits from which no tools can be chosen: names the value and what was expected."""
