"""`prompt_cache_key`: by which a provider brings requests with one beginning to one machine."""

from __future__ import annotations

import hashlib


def prompt_cache_key(salt: str, prefix: str) -> str:
    """A key of 32 characters for requests that begin alike (OpenAI takes up to 64).

    Args:
        salt: What keys are kept apart by, say a tenant; it cannot be read off the key.
        prefix: The fingerprint of the part that stays the same (`RequestPrint.head`).
    """
    salted = hashlib.blake2b(
        prefix.encode("utf-8", "surrogatepass"),
        key=hashlib.sha256(salt.encode("utf-8", "surrogatepass")).digest(),
        digest_size=14,
        person=b"key",
    )
    return f"fc1-{salted.hexdigest()}"
