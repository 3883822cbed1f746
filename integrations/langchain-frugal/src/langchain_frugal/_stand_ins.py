"""Messages that stand for others: summaries, and earlier messages that are shown again."""

from __future__ import annotations

from typing import Final

from langchain_core.messages import BaseMessage, HumanMessage

SOURCE: Final = {"lc_source": "summarization"}
"""In `additional_kwargs` of what stands for other messages, as LangChain's own summaries have it:
integrations send entries that they know (`name`, `tool_calls`), and not this one. In the metadata
of a run it says that a summary is being written."""


def stands_for(text: str, id: str | None = None) -> HumanMessage:
    """A message in place of others."""
    return HumanMessage(text, id=id, additional_kwargs=dict(SOURCE))


def is_ours(message: BaseMessage) -> bool:
    """Whether it is a summary or recalled text, and not the conversation's own."""
    return message.additional_kwargs.get("lc_source") == SOURCE["lc_source"]
