"""Eight ways to ask a LlamaIndex LLM, six to embed, and what the ledger holds afterwards."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage

from frugal_chains import Ledger
from frugal_chains.ledger import Attempt

PROMPT = "how many?"
MESSAGES = [ChatMessage(role="user", content=PROMPT)]

TEXTS = ["Pinto beans\nare beans.", "Rice is not.", "Lentils are, more or less."]

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


async def embed(embedding: Any, way: str, texts: list[str] = TEXTS) -> None:
    match way:
        case "query":
            embedding.get_query_embedding(texts[0])
        case "text":
            embedding.get_text_embedding(texts[0])
        case "batch":
            embedding.get_text_embedding_batch(texts)
        case "aquery":
            await embedding.aget_query_embedding(texts[0])
        case "atext":
            await embedding.aget_text_embedding(texts[0])
        case _:
            await embedding.aget_text_embedding_batch(texts)


def rows(ledger: Ledger) -> list[Attempt]:
    return list(ledger.attempts())


def only(ledger: Ledger) -> Attempt:
    """The one attempt of the ledger."""
    (attempt,) = ledger.attempts()
    return attempt
