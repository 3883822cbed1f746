"""More tools than a request needs, and long instructions."""

from __future__ import annotations

import json

from frugal_chains.facts import ToolFacts

THINGS = (
    "weather", "flights", "hotels", "recipes", "stocks", "trains", "invoices", "medicines",
    "films", "songs", "parcels", "museums", "dentists", "lawns", "violins", "glaciers",
)  # fmt: skip
FINE = "Fine print: it answers with a list, which is empty where there is no entry at all. " * 7
TOOLS = tuple(
    ToolFacts(
        name=f"{doing}_{thing}",
        description=f"This function will {doing} the {thing} that somebody has asked about. {FINE}",
        parameters=json.dumps({
            "type": "object", "title": "Args",
            "properties": {"text": {"type": "string", "description": f"The words on {thing}."}},
            "required": ["text"],
        }),
    )
    for doing in ("search", "cancel", "rate")
    for thing in THINGS
)  # fmt: skip
NAMES = [tool.name for tool in TOOLS]
LONG = "You help people with whatever they ask for, politely and at length. " * 160
