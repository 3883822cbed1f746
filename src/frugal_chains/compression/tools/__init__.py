"""Tools: pruned, put in fewer words, or left and cached, whichever costs least."""

from frugal_chains.compression.tools._bill import (
    RELATIVE_PRICES,
    CacheFacts,
    Forecast,
    expected_nanos,
)
from frugal_chains.compression.tools._find import FIND_TOOL, answer, find_tools
from frugal_chains.compression.tools._index import ToolIndex, embedding_texts
from frugal_chains.compression.tools._outcome import (
    Alternative,
    Dropped,
    Reason,
    ToolPlan,
    WhyDropped,
)
from frugal_chains.compression.tools._plan import plan_tools
from frugal_chains.compression.tools._request import Action, Offered, ToolPolicy, ToolRequest
from frugal_chains.compression.tools._slim import slim_tool
from frugal_chains.errors import ToolPlanError
from frugal_chains.pricing import TokenPrices

__all__ = [
    "FIND_TOOL",
    "RELATIVE_PRICES",
    "Action",
    "Alternative",
    "CacheFacts",
    "Dropped",
    "Forecast",
    "Offered",
    "Reason",
    "TokenPrices",
    "ToolIndex",
    "ToolPlan",
    "ToolPlanError",
    "ToolPolicy",
    "ToolRequest",
    "WhyDropped",
    "answer",
    "embedding_texts",
    "expected_nanos",
    "find_tools",
    "plan_tools",
    "slim_tool",
]
