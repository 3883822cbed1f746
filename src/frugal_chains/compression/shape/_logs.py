"""Logs, grouped by message: what happened, how often, and every problem in full."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from frugal_chains.compression.shape._logs_evidence import CLEAR_GAIN, is_stamped, why_no_log
from frugal_chains.compression.shape._logs_groups import Template, gathered, templates_of
from frugal_chains.compression.shape._logs_lines import MASK, Lines, Unit, cleaned, units_of
from frugal_chains.compression.shape._logs_result import GROUPED, ShapedLog, as_is
from frugal_chains.compression.shape._logs_values import column, words
from frugal_chains.compression.shape._shaped import Count

_OPENING: Final = "[log of "
_LEGEND: Final = (
    "{lines} lines: alike ones are grouped, the first shown, ×N = N of them, "
    "{{what else stood where they differ}}; problems in full]"
)
_SHORTEST_LIST: Final = 24
"""Characters from which a list that comes again is named instead of repeated."""
_SHORTEST_TRACE: Final = 3
"""Lines from which the equal part of two problems is shown once."""

_TIME: Final = re.compile(r"\[?\d[\d:.,/T -]*")
_FEWEST_TIMES: Final = 3
_SHORTEST_TIME: Final = 5
"""Lines, and characters, from which a shared time is cut."""


def group_logs(
    text: str, count: Count, *, sure: bool = False, cut_times: bool = False
) -> ShapedLog:
    """Group the lines of a log by message. Lossy: of lines that are alike the first is shown, with
    their number, the range of the numbers and every word in which the others differ.

    Every line that tells of a problem (error, warning, failure, traceback with its frames, a
    server's 5xx) stays word for word; only exact repeats become one with a count. Messages stand in
    the order of their first line. Colours, other terminal control and blank lines are taken out.

    Args:
        text: The log, or any text: what is no log comes back as it was.
        count: Tokens of a text; asked twice.
        sure: It is a log; do not look whether it is one.
        cut_times: Say the digits that all times begin with (`2026-11-22 08:`) once, at the top.
            Lines that tell of a problem keep theirs.

    Returns:
        Never more tokens than before. The same text always gives the same bytes.
    """
    before = count(text)
    refusal = "a grouped log already" if text.startswith(_OPENING) else ""
    if not refusal and MASK in text:
        refusal = "not a log: it holds NUL characters"
    if refusal:
        return as_is(text, before, refusal)
    log = Lines.of(cleaned(text))
    if not sure and (refusal := why_no_log(log)):
        return as_is(text, before, refusal)
    grouped, lines, messages = _grouped(log, cut_times)
    after = count(grouped)
    if not lines or after >= before:
        return as_is(text, before, "nothing to gain: its lines hardly repeat")
    if not sure and after * CLEAR_GAIN > before and not is_stamped(log):
        return as_is(text, before, "not clearly a log: no times, no levels, and little to gain")
    return ShapedLog(
        text=grouped,
        form=GROUPED,
        tokens_before=before,
        tokens_after=after,
        reason=f"{lines} lines are {messages} messages",
        lines=lines,
        messages=messages,
        lossless=False,
    )


@dataclass(slots=True)
class _Message:
    """One message of the output, before lists that come again are named."""

    at: int
    text: str
    count: int
    kept: bool = False
    values: Sequence[str] = ()


def _grouped(log: Lines, cut_times: bool) -> tuple[str, int, int]:
    units = units_of(log)
    kept: dict[str, list[Unit]] = {}
    plain: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.kept:
            kept.setdefault(log.text(unit), []).append(unit)
        else:
            plain.setdefault(log.template(unit), []).append(unit)
    messages = [*_problems(kept), *_plain_messages(log, plain)]
    messages.sort(key=lambda message: message.at)
    lines = sum(map(bool, map(str.strip, log.lines)))
    legend = _LEGEND.format(lines=lines)
    if cut_times and (shared := _shared_time([m.text for m in messages if not m.kept])):
        legend = f"{legend[:-1]}; … = {shared}]"
        for message in messages:
            if not message.kept and message.text.startswith(shared):
                message.text = f"…{message.text[len(shared) :]}"
    return f"{_OPENING}{legend}\n{_written(messages)}", lines, len(messages)


def _shared_time(texts: Sequence[str]) -> str:
    """The digits and signs with which all lines begin that begin with a time."""
    timed = [match[0] for text in texts if (match := _TIME.match(text))]
    if len(timed) < _FEWEST_TIMES:
        return ""
    low, high = min(timed), max(timed)
    pairs = enumerate(zip(low, high, strict=False))
    end = next((i for i, (a, b) in pairs if a != b), min(len(low), len(high)))
    shared = low[:end].rstrip("0123456789")
    return shared if len(shared) >= _SHORTEST_TIME else ""


# -- problems --------------------------------------------------------------------------------------


def _problems(kept: dict[str, list[Unit]]) -> Iterable[_Message]:
    """Each distinct problem in full; what many share below their first line is shown once.

    Two failures at the same place differ in their first line (the time) and in their last (what was
    wrong), but not in the frames between.
    """
    cut = {text: text.split("\n") for text in kept}
    frames = Counter("\n".join(lines[1:-1]) for lines in cut.values() if _long(lines))
    names: dict[str, str] = {}
    for text, units in kept.items():
        lines = cut[text]
        inner = "\n".join(lines[1:-1])
        if _long(lines) and frames[inner] > 1:
            if inner in names:
                text = f"{lines[0]}\n{names[inner]} again\n{lines[-1]}"
            else:
                names[inner] = f"[frames {len(names) + 1}: {len(lines) - 2} lines]"
                text = f"{lines[0]}\n{names[inner]}\n{inner}\n{lines[-1]}"
        yield _Message(units[0].first, text, len(units), kept=True)


def _long(lines: Sequence[str]) -> bool:
    return len(lines) - 2 >= _SHORTEST_TRACE


# -- other lines -----------------------------------------------------------------------------------


def _plain_messages(log: Lines, plain: dict[str, list[Unit]]) -> Iterable[_Message]:
    members = list(plain.values())
    templates = templates_of(plain)
    for group in gathered(templates):
        together = _message(log, [(templates[i], members[i]) for i in group])
        if len(group) > 1:
            apart = [_message(log, [(templates[i], members[i])]) for i in group]
            if sum(map(_length, apart)) <= _length(together):
                yield from apart
                continue
        yield together


def _length(message: _Message) -> int:
    return len(message.text) + sum(map(len, message.values)) + 6


def _message(log: Lines, group: Sequence[tuple[Template, list[Unit]]]) -> _Message:
    first = group[0][1][0]
    count = sum(len(units) for _, units in group)
    message = _Message(first.first, log.text(first), count)
    if count > 1:
        columns = [_columns(log, units) for _, units in group]
        if len(group) == 1:
            pieces = [column(values) for values in columns[0]]
        else:
            pieces = _pieces([template.parts[::2] for template, _ in group], columns)
        message.values = [piece for piece in dict.fromkeys(pieces) if piece]
    return message


def _columns(log: Lines, units: Sequence[Unit]) -> list[list[str]]:
    """The values behind each mask of one template."""
    starts, values = log.starts, log.values
    begin = [starts[unit.first] for unit in units]
    masks = starts[units[0].last] - begin[0]
    return [[values[at + place] for at in begin] for place in range(masks)]


def _pieces(tokens: Sequence[Sequence[str]], columns: Sequence[list[list[str]]]) -> list[str]:
    """What varies at each place of templates that differ in some of their tokens."""
    used = [0] * len(tokens)
    pieces = []
    for here in zip(*tokens, strict=True):
        first = here[0]
        if here.count(first) == len(here):
            for _ in range(first.count(MASK)):
                pieces.append(column(_next_values(columns, used)))
            continue
        shapes: dict[str, list[list[str]]] = {}
        for index, token in enumerate(here):
            many = token.count(MASK)
            known = shapes.setdefault(token, [[] for _ in range(many)])
            for place in range(many):
                known[place].extend(columns[index][used[index] + place])
            used[index] += many
        pieces.append(words(list(shapes.items())))
    return pieces


def _next_values(columns: Sequence[list[list[str]]], used: list[int]) -> list[str]:
    """The next mask's values of all templates in one list."""
    out: list[str] = []
    for index, many in enumerate(columns):
        out.extend(many[used[index]])
        used[index] += 1
    return out


# -- text ------------------------------------------------------------------------------------------


def _written(messages: Sequence[_Message]) -> str:
    """The messages as text. A long list that comes again gets a name where it first stands."""
    again = Counter(
        value for message in messages for value in message.values if len(value) >= _SHORTEST_LIST
    )
    names: dict[str, str] = {}
    out = []
    for message in messages:
        if message.count == 1:
            out.append(message.text)
            continue
        shown = []
        for value in message.values:
            if again[value] > 1:
                if value in names:
                    value = names[value]
                else:
                    names[value] = f"§{len(names) + 1}"
                    value = f"{names[value]}={value}"
            shown.append(value)
        tail = f" {{{'; '.join(shown)}}}" if shown else ""
        out.append(f"{message.text} ×{message.count}{tail}")
    return "\n".join(out)
