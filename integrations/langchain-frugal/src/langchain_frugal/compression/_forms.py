"""Which lossless forms a text may be brought to."""

from __future__ import annotations

from collections.abc import Collection

from frugal_chains.compression.shape import LOSSLESS_FORMS
from frugal_chains.errors import CompressionError


def checked_forms(forms: Collection[str]) -> tuple[str, ...]:
    """The forms to choose among, in the library's order.

    Raises:
        CompressionError: one of them is unknown or loses something.
    """
    unknown = sorted(set(forms) - set(LOSSLESS_FORMS))
    if unknown:
        raise CompressionError(
            f"no lossless form {unknown[0]!r}; there are {', '.join(LOSSLESS_FORMS)}"
        )
    return tuple(form for form in LOSSLESS_FORMS if form in forms)
