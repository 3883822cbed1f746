"""Eight ways to ask a LlamaIndex LLM, and what the ledger holds afterwards."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage

from frugal_chains import Ledger
from frugal_chains.ledger import Attempt

PROMPT = "how many?"
MESSAGES = [ChatMessage(role="user", content=PROMPT)]

WAYS = (
    "chat", "complete", "stream_chat", "stream_complete",
    "achat", "acomplete", "astream_chat", "astream_complete",
)  # fmt: skip


async def ask(llm: Any, way: str, **options: Any) -> Any:
    """Ask in one of `WAYS`; a stream is read to its end and its last chunk returned."""
    given = PROMPT if way.endswith("complete") else MESSAGES
    answer = getattr(llm, way)(given, **options)
    if way.startswith("a"):
        answer = await answer
    if "astream" in way:
        return [chunk async for chunk in answer][-1]
    return list(answer)[-1] if "stream" in way else answer


def rows(ledger: Ledger) -> list[Attempt]:
    return list(ledger.attempts())


def only(ledger: Ledger) -> Attempt:
    """The one attempt of the ledger."""
    (attempt,) = ledger.attempts()
    return attempt
