"""What a change did to a text, for people: by lines, or by words within a line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

DiffView = Literal["lines", "words"]

_COMPARED: Final = 2_000
"""More changed lines or words in one piece are shown as all removed, all added: comparing takes
time in the square of their number."""
_CONTEXT: Final = 3
"""Unchanged lines around a change, as `diff -u` has it."""
_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")

_Edit = tuple[str, int, int, int, int]


def diff_text(before: str, after: str, view: DiffView = "lines") -> str:
    """The change from `before` to `after`; empty where nothing changed.

    `lines` is a unified diff. `words` is `before` with what went as `[-gone-]` and what came
    as `{+new+}`, and nothing else of the text left out.
    """
    if before == after:
        return ""
    if view == "words":
        return "".join(_words(before, after))
    return "\n".join(_lines(before.split("\n"), after.split("\n")))


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    yield "--- before"
    yield "+++ after"
    edits = [edit for edit in _edits(old, new) if edit[0] != "equal"]
    for group in _near(edits):
        start = max(group[0][1] - _CONTEXT, 0)
        shift = group[0][3] - group[0][1]
        end = min(group[-1][2] + _CONTEXT, len(old))
        end_new = group[-1][4] + end - group[-1][2]
        yield f"@@ -{start + 1},{end - start} +{start + shift + 1},{end_new - start - shift} @@"
        at = start
        for _, i, j, k, m in group:
            yield from (f" {line}" for line in old[at:i])
            yield from (f"-{line}" for line in old[i:j])
            yield from (f"+{line}" for line in new[k:m])
            at = j
        yield from (f" {line}" for line in old[at:end])


def _near(edits: Sequence[_Edit]) -> Iterator[list[_Edit]]:
    """Edits whose contexts touch, together."""
    group: list[_Edit] = []
    for edit in edits:
        if group and edit[1] - group[-1][2] > 2 * _CONTEXT:
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _words(before: str, after: str) -> Iterator[str]:
    # Lines first: where two lines are the same, so are their words.
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for kind, i, j, k, m in _edits(old, new):
        if kind == "equal":
            yield "".join(old[i:j])
            continue
        gone, came = _WORD.findall("".join(old[i:j])), _WORD.findall("".join(new[k:m]))
        for each, a, b, c, d in _edits(gone, came):
            if each == "equal":
                yield "".join(gone[a:b])
                continue
            yield f"[-{''.join(gone[a:b])}-]" if b > a else ""
            yield f"{{+{''.join(came[c:d])}+}}" if d > c else ""


def _edits(old: Sequence[str], new: Sequence[str]) -> Iterator[_Edit]:
    """As `SequenceMatcher.get_opcodes`, in bounded time."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    if head:
        yield "equal", 0, head, 0, head
    if max(old_end, new_end) - head > _COMPARED:
        yield "replace", head, old_end, head, new_end
    else:
        middle = difflib.SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False)
        for kind, i, j, k, m in middle.get_opcodes():
            yield kind, i + head, j + head, k + head, m + head
    if tail:
        yield "equal", old_end, len(old), new_end, len(new)
