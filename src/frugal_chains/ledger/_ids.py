"""Ids and times as a row keeps them.

Attempt ids are UUIDv7 of the start (RFC 9562, section 5.7): the id index is the time index.
"""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXACT_AS_FLOAT = 7_000_000_000 * 1_000_000
"""Until 2191 a float of seconds is less than half a microsecond away from the true time."""
_VARIANT = 0b10 << 38
_COUNTER_MASK = 0xFFFFFF


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exact (a float timestamp is not)."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """The aware UTC time of `microseconds`, exact too."""
    if 0 <= at_us < _EXACT_AS_FLOAT:  # asked for every call, and twice as fast
        return datetime.fromtimestamp(at_us / 1e6, UTC)
    return _EPOCH + timedelta(microseconds=at_us)


class _Noise:
    """What no other process and no other moment has: random bits of this process, and a counter.
    Asking the system for random bits each time would give up the interpreter's lock."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Draw new bits: at the start, and in a forked child, which inherits its parent's."""
        random = int.from_bytes(os.urandom(5), "big") & (1 << 38) - 1
        self.process = f"{_VARIANT | random:010x}"
        self.counter = itertools.count(int.from_bytes(os.urandom(2), "big"))


_noise = _Noise()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_noise.renew)


def new_id(at_us: int) -> str:
    """A fresh id for an attempt that started at `at_us`; 32 hex digits.

    The 12 bits after the version hold the fraction of the millisecond (RFC 9562, section 6.2,
    method 3), so that ids sort by microsecond.
    """
    fraction = at_us % 1000 * 4096 // 1000
    number = next(_noise.counter) & _COUNTER_MASK
    return f"{at_us // 1000:012x}7{fraction:03x}{_noise.process}{number:06x}"


def first_id(at_us: int) -> bytes:
    """The smallest id of the millisecond of `at_us`, packed: the edge of a time range."""
    return (at_us // 1000 << 80).to_bytes(16, "big")


def pack_id(text: str) -> bytes | str | None:
    """A UUID in lower case as its 16 bytes; any other framework id as it is; empty as None."""
    if not text:
        return None
    digits = text
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text.replace("-", "")
    if len(digits) == 32:
        try:
            packed = bytes.fromhex(digits)
        except ValueError:
            return text
        if packed.hex() == digits:  # fromhex takes capitals and spaces too
            return packed
    return text


def unpack_id(packed: bytes | str | None) -> str:
    """The text of `pack_id`; UUIDs come back as 32 hex digits."""
    if packed is None:
        return ""
    return packed.hex() if isinstance(packed, bytes) else packed


def whole_text(text: str) -> str:
    """`text` without lone surrogates: half a character, cut from a stream or from the name of a
    file, cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()
