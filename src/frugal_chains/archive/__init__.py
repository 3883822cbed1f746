"""Archive: originals of shortened texts, fetched again by handle. Stores text only if opened."""

from frugal_chains.archive._archive import DEFAULT_MAX_BYTES, DEFAULT_URL, Archive
from frugal_chains.archive._handle import handle_of

__all__ = ["DEFAULT_MAX_BYTES", "DEFAULT_URL", "Archive", "handle_of"]
