"""Dropped messages as text, in chunks of a size that a summariser takes. Nothing is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts

LEAST_TOKENS: Final = 32
"""A chunk of fewer has hardly room for more than who speaks."""

IMAGE: Final = "[image]"
AUDIO: Final = "[audio]"

_CONTINUED: Final = " (continued)"
_CHARS_PER_TOKEN: Final = 3
"""For the first piece that is tried of a long message; counts of it lead to the next."""
_SHRINK: Final = 0.9


def chunk_transcript(
    messages: Sequence[MessageFacts], *, limit_tokens: int, count: Callable[[str], int]
) -> tuple[str, ...]:
    """The messages as a transcript, each in exactly one chunk, in their order.

    A message is `role: text`, a call `assistant calls: name(arguments)`, a result
    `tool: [name] text`; each image is `[image]`, each recording `[audio]`. A message that alone is
    over the limit is split, at white space where there is some, and goes on as
    `role (continued): `. Messages that say nothing are left out.

    Args:
        limit_tokens: What a chunk may have, at most, by `count`; without the instruction.
        count: Tokens of a text. It is asked a few times for each character, whatever the size.

    Raises:
        MemoryPlanError: a limit below `LEAST_TOKENS`.
    """
    if limit_tokens < LEAST_TOKENS:
        raise MemoryPlanError(f"chunks of {limit_tokens} tokens: expected {LEAST_TOKENS} or more")
    chunks: list[str] = []
    waiting: list[str] = []
    spent = 0
    for part in _parts(messages, limit_tokens, count):
        cost = count(part + "\n")
        if waiting and spent + cost > limit_tokens:
            chunks.extend(_joined(waiting, limit_tokens, count))
            waiting, spent = [], 0
        waiting.append(part)
        spent += cost
    chunks.extend(_joined(waiting, limit_tokens, count))
    return tuple(chunks)


def _joined(parts: list[str], limit: int, count: Callable[[str], int]) -> Iterator[str]:
    """The parts as one chunk; as two where they count for more together than one by one."""
    if not parts:
        return
    whole = "\n".join(parts)
    if len(parts) == 1 or count(whole) <= limit:
        yield whole
        return
    middle = len(parts) // 2
    yield from _joined(parts[:middle], limit, count)
    yield from _joined(parts[middle:], limit, count)


def _parts(
    messages: Sequence[MessageFacts], limit: int, count: Callable[[str], int]
) -> Iterator[str]:
    for message in messages:
        for speaker, said in _said(message):
            whole = f"{speaker}: {said}"
            if count(whole) <= limit:
                yield whole
            else:
                yield from _split(speaker, said, limit, count)


def _said(message: MessageFacts) -> Iterator[tuple[str, str]]:
    """Who speaks, and what: the message itself, then each of its calls."""
    media = [IMAGE] * message.images + [AUDIO] * message.audio
    named = f"[{message.name}]" if message.role == "tool" and message.name else ""
    text = " ".join(filter(None, [named, *media, message.text]))
    if text:
        yield message.role, text
    for call in message.tool_calls:
        yield f"{message.role} calls", f"{call.name}({call.arguments})"


def _split(speaker: str, said: str, limit: int, count: Callable[[str], int]) -> Iterator[str]:
    """A message in pieces within the limit, as long as they may be, or nearly."""
    label, at = speaker, 0
    size = limit * _CHARS_PER_TOKEN
    while at < len(said):
        end = _pause(said, at, min(at + size, len(said)))
        piece = f"{label}: {said[at:end]}"
        tokens = count(piece)
        if tokens > limit and end - at > 1:
            size = max(1, int((end - at) * min(_SHRINK, limit / tokens)))
            continue
        yield piece
        label, at = speaker + _CONTINUED, end
        size = max(size, int(size * min(2.0, limit / max(tokens, 1))))


def _pause(text: str, at: int, end: int) -> int:
    """Behind the last line break or blank in the second half of the piece, else its end."""
    if end == len(text):
        return end
    for mark in ("\n", " "):
        found = text.rfind(mark, at + (end - at) // 2, end)
        if found > at:
            return found + 1
    return end
