"""Forty tools of one application, of which a question needs one or two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import Field, create_model

_THINGS = {
    "weather": "the weather forecast of a city",
    "flights": "flights between two airports",
    "hotels": "hotel rooms for a night",
    "recipes": "recipes for dinner with ingredients",
    "stocks": "share prices on the exchange",
    "trains": "trains and their platforms",
    "invoices": "invoices of a customer",
    "medicines": "medicines and their doses",
    "films": "films in the cinema",
    "songs": "songs by an artist",
}
_DOINGS = {
    "search": "searches",
    "cancel": "cancels",
    "rate": "writes a rating of",
    "export": "exports a spreadsheet of",
}
FINE = "Fine print: it answers with a list, which is empty where there is no entry at all. " * 4
FINE = FINE.strip()
NAMES = [f"{doing}_{thing}" for doing in _DOINGS for thing in _THINGS]
WEATHER, DINNER = "What will the weather forecast say for Oslo?", "And recipes for dinner, please?"


def toolbox() -> list[BaseTool]:
    """New objects each time; each says which it is when it is run."""
    return [_tool(doing, thing) for doing in _DOINGS for thing in _THINGS]


def _tool(doing: str, thing: str) -> BaseTool:
    schema = create_model(
        f"{doing}_{thing}_args",
        text=(str, Field(description=f"The words about {thing} to look for.")),
        limit=(int, Field(10, description="The most results. Defaults to 10.")),
        language=(str | None, Field(None, description="(optional) The language of the answer.")),
    )

    def run(text: str, limit: int = 10, language: str | None = None) -> str:
        return f"{doing}_{thing} has run"

    return StructuredTool.from_function(
        run,
        name=f"{doing}_{thing}",
        description=f"This function {_DOINGS[doing]} {_THINGS[thing]}. {FINE}",
        args_schema=schema,
    )


def sent_names(body: Mapping[str, Any]) -> list[str]:
    """Names of the tools in a request to OpenAI or Anthropic."""
    return [each.get("function", each).get("name") for each in body.get("tools", [])]
