"""Handles: short names of texts, the same in every process."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

PREFIX: Final = "fc1-"
"""Names what is a handle, and how it is made: another way gets another number."""
DIGITS: Final = 20
"""Of 5 bits each, so 100 bits of the text's SHA-256. Among a thousand million texts the chance that
any two have the same handle is 4e-13; that is told when the second is put (the archive keeps the
whole hash). As few tokens as can be: about 15 of o200k, against 20 for as many bits in hex."""
_HANDLE: Final = re.compile(rf"{PREFIX}[a-z2-7]{{{DIGITS}}}")


def handle_of(text: str) -> str:
    """The handle under which an archive keeps `text`: `fc1-` and 20 letters and digits.

    Pure: whether any archive has the text is another matter. A handle is not secret: who guesses
    the text can check the guess against it.
    """
    return handle_of_digest(digest_of(encoded(text)))


def handle_of_digest(digest: bytes) -> str:
    """RFC 4648's base32 in lower case: no two of its signs look alike."""
    return PREFIX + base64.b32encode(digest).decode()[:DIGITS].lower()


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def encoded(text: str) -> bytes:
    """As UTF-8; half a character, which that does not know, goes through as it is."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def as_handle(text: str) -> str | None:
    """What a model or a user gave for a handle, in its one spelling; None when it is none."""
    if not isinstance(text, str):
        return None
    found = text.strip(" \t\r\n\"'`[]()<>.,;:").lower()
    return found if _HANDLE.fullmatch(found) else None
