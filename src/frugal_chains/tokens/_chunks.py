"""Cut very long text where a cut changes no token.

tiktoken's `o200k_base` pattern backtracks over runs of white space: one run of a million spaces
overflows its stack and panics (tiktoken 0.14.0; 800,000 still work), and before 0.13 a long run of
one character took quadratic time. Text is therefore encoded in pieces of at most 100,000
characters. Both patterns start a new token at the boundaries below, whatever comes before or after,
so cutting there keeps the count exact.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

CHUNK_CHARS = 100_000
_NEAR_CHARS = 4_000

# Letters that are letters in every Unicode version, so that Python and tiktoken agree on them.
_LETTERS = "0-9A-Za-z\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
_BOUNDARY = re.compile(
    # Before a space: it can only open a token, unless more white space stands before it.
    r"(?<=\S)(?= )"
    # Between a line break and a letter: no token holds both.
    rf"|(?<=\n)(?=[{_LETTERS}])"
    # Between a letter and punctuation, except the apostrophe of "it's".
    rf"|(?<=[{_LETTERS}])(?=[!-&(-/:-@\[-`{{-~\u3001\u3002\uff0c])"
)


def split_for_encoding(text: str, limit_chars: int = CHUNK_CHARS) -> Iterator[tuple[str, bool]]:
    """Pieces of at most `limit_chars` characters, each with whether its end is a safe boundary.

    They join to `text`. An unsafe end, in a run without any boundary, can shift the count by a
    token or two.
    """
    start = 0
    while len(text) - start > limit_chars:
        stop = _last_boundary(text, start + 1, start + limit_chars)
        yield text[start : stop or start + limit_chars], stop is not None
        start = stop or start + limit_chars
    yield text[start:], True


def _last_boundary(text: str, start: int, stop: int) -> int | None:
    """The last boundary in `text[start:stop]`, or None. Looks near the end first."""
    for low in (max(start, stop - _NEAR_CHARS), start):
        last = deque(_BOUNDARY.finditer(text, low, stop), maxlen=1)
        if last:
            return last[0].start()
    return None
