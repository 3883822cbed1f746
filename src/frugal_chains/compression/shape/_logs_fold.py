"""Logs without loss: templates once, then the values of every line. `unfold_log` gives it back.

Where a log may lose nothing at all this halves it (`group_logs` makes a quarter of it). A value is
left out where it is the one of the line before: times and hosts nearly vanish.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from frugal_chains.compression.shape._logs_groups import tokens_and_names
from frugal_chains.compression.shape._logs_result import FOLDED, ShapedLog, as_is
from frugal_chains.compression.shape._shaped import Count
from frugal_chains.errors import ShapeError

_OPENING: Final = (
    "[log, every line kept: first templates, where {mark} is a value; then for each line "
)
_LEGEND: Final = (
    "its template and values: . as in this template's line before, ^ as in the line above, "
    "*x as above but for the end x; = a line as it is]"
)
_MARKS: Final = "◊□¤‡◆"
"""Signs that may stand for a value: the first one that the text does not hold."""
_END: Final = "--"
_SAME, _ABOVE, _TAIL, _RAW, _ESCAPE = ".", "^", "*", "=", "\\"
_SHORTEST_TEMPLATE: Final = 8
"""Characters; a shorter line is cheaper as it is."""
_TAILED: Final = range(6, 65)
"""Lengths of values that may be written by their end only; a longer one is not compared."""
_SHORTEST_SHARE: Final = 3


def fold_log(text: str, count: Count) -> ShapedLog:
    """Write a log as templates and values; lossless.

    Args:
        text: The log, or any text: where it does not become shorter it comes back as it was.
        count: Tokens of a text; asked twice.

    Returns:
        Form `folded_log`, for which `unfold_log(result.text) == text`, or `original`.
    """
    before = count(text)
    mark = next((sign for sign in _MARKS if sign not in text), None)
    if mark is None:
        return as_is(text, before, "it holds every sign that could stand for a value")
    if text.startswith(_OPENING[:16]):
        return as_is(text, before, "a folded log already")
    folded = _folded(text, mark)
    after = count(folded)
    if after >= before:
        return as_is(text, before, "nothing to gain: its lines hardly repeat")
    return ShapedLog(
        text=folded,
        form=FOLDED,
        tokens_before=before,
        tokens_after=after,
        reason="templates and values, every line kept",
        lossless=True,
    )


def _folded(text: str, mark: str) -> str:
    lines = text.split("\n")
    rows = tokens_and_names(lines, mark)
    used = Counter(template for template, _ in rows)
    ids: dict[str, str] = {}
    last: dict[str, Sequence[str]] = {}
    above: Sequence[str] = ()
    body = []
    for line, (template, values) in zip(lines, rows, strict=True):
        if used[template] < 2 or len(template) < _SHORTEST_TEMPLATE:
            body.append(_RAW + line)
            continue
        name = ids.setdefault(template, _name(len(ids)))
        written = _written(values, last.get(template, ()), above)
        body.append(" ".join([name, *written]))
        last[template] = above = values
    head = _OPENING.format(mark=mark) + _LEGEND
    return "\n".join([head, *[f"{name} {key}" for key, name in ids.items()], _END, *body])


def _written(values: Sequence[str], before: Sequence[str], above: Sequence[str]) -> list[str]:
    """Values as short as the lines before allow; what repeats at the end is left out."""
    out = []
    shared = len(above)
    for place, value in enumerate(values):
        if before and before[place] == value:
            out.append(_SAME)
        elif place < shared and above[place] == value:
            out.append(_ABOVE)
        elif place < shared and (cut := _cut(above[place], value)):
            out.append(_TAIL + value[cut:])
        elif value in (_SAME, _ABOVE) or value[0] in (_TAIL, _ESCAPE):
            out.append(_ESCAPE + value)
        else:
            out.append(value)
    while out and out[-1] == _SAME:
        out.pop()
    return out


def _cut(above: str, value: str) -> int:
    """How many characters two values of one length share, up to a sign; 0 where too few."""
    if len(above) != len(value) or len(value) not in _TAILED:
        return 0
    at = 0
    while above[at] == value[at]:
        at += 1
    while at and value[at - 1].isalnum():
        at -= 1
    return at if at >= _SHORTEST_SHARE else 0


def _name(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(97 + letter) + name
    return name


def unfold_log(text: str) -> str:
    """The text that `fold_log` was given.

    Raises:
        ShapeError: It is no folded log, or a part of one.
    """
    opening, _, rest = text.partition("\n")
    start, _, end = _OPENING.partition("{mark}")
    if not (opening.startswith(start) and opening.endswith(end + _LEGEND)):
        raise ShapeError("not a folded log: its first line is not the one that fold_log writes")
    lines = rest.split("\n")
    try:
        return _unfolded(lines, mark=opening[len(start)])
    except (KeyError, IndexError, ValueError) as broken:
        raise ShapeError(
            f"a folded log of {len(lines)} lines cannot be read back; was a part of it cut?"
        ) from broken


def _unfolded(lines: Sequence[str], *, mark: str) -> str:
    at = lines.index(_END)
    templates = dict(line.split(" ", 1) for line in lines[:at])
    pieces = {name: template.split(mark) for name, template in templates.items()}
    last: dict[str, list[str]] = {}
    above: list[str] = []
    out = []
    for line in lines[at + 1 :]:
        if line.startswith(_RAW):
            out.append(line[1:])
            continue
        name, *written = line.split(" ")
        between = pieces[name]
        written += [_SAME] * (len(between) - 1 - len(written))
        values = []
        for place, value in enumerate(written):
            if value == _SAME:
                value = last[name][place]
            elif value == _ABOVE:
                value = above[place]
            elif value[0] == _TAIL:
                whole = above[place]
                value = whole[: len(whole) - len(value) + 1] + value[1:]
            elif value[0] == _ESCAPE:
                value = value[1:]
            values.append(value)
        pairs = zip(between, [*values, ""], strict=True)
        out.append("".join([part for pair in pairs for part in pair]))
        last[name] = above = values
    return "\n".join(out)
