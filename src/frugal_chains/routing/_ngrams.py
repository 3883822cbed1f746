"""Hashed n-grams: words and pairs of neighbouring words as numbers, the same on every machine.

A word's hash is its CRC-32, a pair's mixes the two; both are cut to `bits` bits by a multiplication
(Knuth's multiplicative hashing), which spreads neighbouring values. Python's own `hash` differs
between processes, and a stored model would not understand itself any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Buckets = NDArray[np.int32]

# Odd constants near 2**64 divided by the golden ratio, sqrt(3) and pi: no structure of their own.
_ONE: Final = np.uint64(0x9E3779B97F4A7C15)
_LEFT: Final = np.uint64(0x93CD3A2C8198E269)
_RIGHT: Final = np.uint64(0x517CC1B727220A95)
_STEP: Final = np.uint64(0xD6E8FEB86659FD93)


def word_hashes(words: Sequence[str]) -> Hashes:
    """Return one 32-bit hash for each word."""
    # One encoding of them all is faster than one for each; no word holds white space.
    encoded = "\n".join(words).encode("utf-8", "surrogatepass").split(b"\n") if words else []
    return np.array([crc32(word) for word in encoded], dtype=np.uint64)


def buckets(hashes: Hashes, bits: int) -> Buckets:
    """Return the bucket of each word, then of each pair of neighbours, each below 2**bits."""
    mixed = np.concatenate([hashes * _ONE, hashes[:-1] * _LEFT + hashes[1:] * _RIGHT])
    return _cut(mixed, bits)


def windows(hashes: Hashes, length: int) -> Hashes:
    """Return one 64-bit hash for each stretch of `length` words; none if there are fewer words."""
    count = len(hashes) - length + 1
    if count <= 0:
        return np.zeros(0, dtype=np.uint64)
    found: Hashes = np.correlate(hashes, _powers(length))
    return found ^ (found >> np.uint64(29))


@cache
def _powers(length: int) -> Hashes:
    """A window is a polynomial in `_STEP` with the words as coefficients, modulo 2**64."""
    powers = np.full(length, _STEP)
    powers[-1] = 1
    return np.cumprod(powers[::-1])[::-1]


def window_bucket(window: Hashes, bits: int) -> Buckets:
    """Return the bucket that stands for a whole stretch of words."""
    return _cut(window * _ONE, bits)


def _cut(mixed: Hashes, bits: int) -> Buckets:
    return (mixed >> np.uint64(64 - bits)).astype(np.int32)
