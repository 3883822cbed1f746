"""Fingerprints as they are kept in the row of an attempt: a few hundred bytes of JSON, for a
conversation of any length.

Of tools and of the system prompt the first blocks keep a hash of their own, the rest share one. Of
messages the hash of the first n blocks is kept for few n: for the last ones, as a conversation is
mostly continued from there, and for whole steps, each four times as far apart as the last ones
allow. The steps are powers of two, so that two requests of one conversation share some of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from frugal_chains.errors import CachePlanError
from frugal_chains.prompt_cache._prints import BlockPrint, MessagesPrint, RequestPrint

VERSION: Final = 1
_LAST: Final = 6
"""Message blocks at the end whose hashes are all kept: a turn adds an answer, calls and results."""
_STEPS: Final = 8
"""Hashes are kept at so many whole steps before them, at most."""
_TOOLS: Final = 16
_SYSTEM: Final = 4
"""Blocks with a hash of their own."""
_HEAD_BYTES: Final = 3
_ROLLING_BYTES: Final = 5
_SETTING_BYTES: Final = 3
"""Of a stored hash: it is compared with a handful of others, not with all there are."""
_SETTINGS: Final = (
    "tool_choice",
    "images",
    "thinking",
    "effort",
    "format",
    "verbosity",
    "speed",
    "service_tier",
    "parallel_tool_calls",
    "cache_key",
    "web_search",
    "citations",
)
"""Those that are stored, one bit each: new ones are put behind, none is taken out."""


def to_json(request: RequestPrint) -> dict[str, Any]:
    """As plain data for JSON: below 400 bytes without blanks, for a model's name of up to 40
    ASCII letters, up to six settings, and prompts of up to ten million tokens."""
    messages = request.messages
    numbers = [n for n in _kept_numbers(messages.count) if n in messages.rolling]
    ends = [messages.ends[n] for n in numbers]
    stored: dict[str, Any] = {"v": VERSION, "m": request.model}
    if request.tools:
        stored["t"] = _blocks_text(request.tools, _TOOLS)
    if request.system:
        stored["s"] = _blocks_text(request.system, _SYSTEM)
    if messages.count:
        hashes = b"".join(messages.rolling[n][:_ROLLING_BYTES] for n in numbers)
        steps = [after - before for before, after in zip([0, *ends], ends, strict=False)]
        stored["n"] = messages.count
        stored["h"] = _text(hashes + b"".join(_varint(step) for step in steps))
    if request.settings:
        stored["o"] = _settings_text(request.settings)
    return stored


def from_json(stored: Mapping[str, Any]) -> RequestPrint:
    """What `to_json` has stored.

    Raises:
        CachePlanError: something else, or of another version.
    """
    if stored.get("v") != VERSION:
        raise CachePlanError(f"fingerprints of version {stored.get('v')!r}: expected {VERSION}")
    try:
        return RequestPrint(
            model=str(stored["m"]),
            tools=_blocks(stored.get("t", ""), _TOOLS),
            system=_blocks(stored.get("s", ""), _SYSTEM),
            messages=_messages(int(stored.get("n", 0)), stored.get("h", "")),
            settings=_settings(stored.get("o", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CachePlanError(f"no fingerprints that to_json has stored: {error!r}") from error


def _kept_numbers(count: int) -> list[int]:
    """Ascending, the same for the same count in every process; `count` itself is the last."""
    first_last = max(1, count - _LAST + 1)
    step = 1
    while count // step > _STEPS:
        step *= 2
    steps = range(step, first_last, step)
    return [*steps, *range(first_last, count + 1)] if count else []


def _messages(count: int, text: str) -> MessagesPrint:
    numbers, data = _kept_numbers(count), _bytes(text)
    cut = len(numbers) * _ROLLING_BYTES
    hashes = [data[at : at + _ROLLING_BYTES] for at in range(0, cut, _ROLLING_BYTES)]
    tokens, ends = 0, []
    for step in _varints(data[cut:], len(numbers)):
        tokens += step
        ends.append(tokens)
    return MessagesPrint(
        count=count,
        tokens=tokens,
        rolling=dict(zip(numbers, hashes, strict=True)),
        ends=dict(zip(numbers, ends, strict=True)),
    )


def _blocks_text(blocks: Sequence[BlockPrint], most: int) -> str:
    """Their number, their hashes, their tokens; where there are too many the last hash is of all
    the others."""
    shown = fold(blocks, most)
    hashes = b"".join(block.hash[:_HEAD_BYTES] for block in shown)
    sizes = b"".join(_varint(block.tokens) for block in shown)
    return _text(_varint(sum(block.covers for block in blocks)) + hashes + sizes)


def fold(blocks: Sequence[BlockPrint], most: int) -> tuple[BlockPrint, ...]:
    """At most so many: the last one stands for all the others."""
    if len(blocks) <= most:
        return tuple(blocks)
    rest = blocks[most - 1 :]
    whole = b"".join(block.hash[:_HEAD_BYTES] for block in rest)
    one = BlockPrint(
        hash=hashlib.blake2b(whole, digest_size=_HEAD_BYTES).digest(),
        tokens=sum(block.tokens for block in rest),
        covers=len(rest),
    )
    return (*blocks[: most - 1], one)


def _blocks(text: str, most: int) -> tuple[BlockPrint, ...]:
    if not text:
        return ()
    data = _bytes(text)
    count, at = _read_varint(data, 0)
    shown = min(count, most)
    sizes = _varints(data[at + shown * _HEAD_BYTES :], shown)
    return tuple(
        BlockPrint(
            hash=data[at + i * _HEAD_BYTES : at + (i + 1) * _HEAD_BYTES],
            tokens=size,
            covers=count - shown + 1 if i == shown - 1 else 1,
        )
        for i, size in enumerate(sizes)
    )


def _settings_text(settings: Mapping[str, bytes]) -> str:
    """One bit for each that is there, then their hashes."""
    there = [name for name in _SETTINGS if name in settings]
    bits = sum(1 << _SETTINGS.index(name) for name in there)
    hashes = b"".join(settings[name][:_SETTING_BYTES] for name in there)
    return _text(_varint(bits) + hashes)


def _settings(text: str) -> dict[str, bytes]:
    if not text:
        return {}
    data = _bytes(text)
    bits, at = _read_varint(data, 0)
    there = [name for place, name in enumerate(_SETTINGS) if bits >> place & 1]
    starts = range(at, at + len(there) * _SETTING_BYTES, _SETTING_BYTES)
    return {
        name: data[start : start + _SETTING_BYTES]
        for name, start in zip(there, starts, strict=True)
    }


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while data[at] & 128:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1


def _varints(data: bytes, count: int) -> list[int]:
    numbers, at = [], 0
    for _ in range(count):
        number, at = _read_varint(data, at)
        numbers.append(number)
    return numbers


def _text(data: bytes) -> str:
    return base64.b85encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b85decode(text)
