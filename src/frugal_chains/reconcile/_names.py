"""Which names of an export and of the ledger mean one model."""

from __future__ import annotations

import re
from typing import Final

from frugal_chains.providers import model_family

_LINE_ITEM: Final = re.compile(
    r"(?:(?:priority|flex|batch) \| )?(?P<model>[^,|]+?),\s*"
    r"(?:(?:cached |audio |image |text )*(?:input|output)(?:[_ ]tokens)?|cached[_ ]input[_ ]tokens"
    r"|cache writes)(?:, .*)?",
    re.IGNORECASE,
)
"""What OpenAI's cost export calls a part of a model's bill; other items have no model."""
_CLAUDE_VERSION_FIRST: Final = re.compile(r"claude-(\d+(?:-\d{1,2})?)-([a-z]+)")
_SHORT_SNAPSHOT: Final = re.compile(r"^(gpt-(?:3\.5-turbo|4)(?:-[a-z]+)*)-\d{4}(?=-|$)")


def model_key(name: str) -> str:
    """One name for a model's alias, its dated snapshots and what a console calls it.

    `Claude Haiku 4.5` and `claude-haiku-4-5-20251001` are `claude-haiku-4-5`;
    `Claude 3.5 Sonnet 2024-10-22` is `claude-sonnet-3-5`. Empty stays empty.
    """
    name = name.strip().lower()
    if name.startswith("claude") and not name.startswith("claude-v"):
        name = re.sub(r"[\s._]+", "-", name)
    family = model_family(name)
    if family.startswith("claude-"):
        family = _CLAUDE_VERSION_FIRST.sub(r"claude-\2-\1", family)
        return re.sub(r"(-\d)-0$", r"\1", family)  # `claude-opus-4-0` is an alias of Claude Opus 4
    return _SHORT_SNAPSHOT.sub(r"\1", family)


def item_model(item: str) -> str:
    """The model in a line item of OpenAI's cost export; the item itself where it names none."""
    found = _LINE_ITEM.fullmatch(item.strip())
    return found["model"].strip() if found else item.strip()
