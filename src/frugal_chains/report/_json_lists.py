"""The same traffic at several price lists, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frugal_chains.replay import WhatIf
from frugal_chains.report._json_whatif import whatif_json


def lists_json(found: Sequence[tuple[str, WhatIf]]) -> dict[str, Any]:
    """Replays by price list: `{"price_lists": [{"prices": name, ...}]}`, each as `whatif_json` has
    it. Where the recording says what its calls have cost, `recorded` is at the prices of its time.

    Args:
        found: Each list by its name; of the same calls and levers.
    """
    return {"price_lists": [{"prices": name, **whatif_json(each)} for name, each in found]}
