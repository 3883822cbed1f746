"""The task inventory as rich renderables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.money import usd_text
from frugal_chains.replay.inventory import ClassTotals, Inventory, Sums, TaskGroup
from frugal_chains.report._layout import fields, indented, name_table, title
from frugal_chains.report._money import aligned, count_text, plain_text, share_text

MAX_ROWS: Final = 20
"""Groups with a line of their own; all of them are in the JSON."""
MAX_REASONS: Final = 10
MAX_MODELS: Final = 3
NAME_CELLS: Final = 24
"""A name may ask for so many columns before figures are left out."""
ADVICE: Final = (
    "The class is by size and shape: length, tools, steps, reasoning, documents. It is not "
    "measured quality, and no reason to route by itself. Have two models answer a sample of a "
    "task, score the answers, and frugal calibrate measures where the smaller one is good enough."
)


class _Column(NamedTuple):
    """A figure of every group. Where room is short the highest rank goes first; rank 0 stays."""

    head: str
    cell: Callable[[TaskGroup, Sums], str]
    rank: int = 0


_COLUMNS: Final = (
    _Column("class", lambda group, _: group.task_class),
    _Column("calls", lambda group, _: count_text(group.sums.calls)),
    _Column("%", lambda group, total: share_text(group.sums.calls, total.calls), 4),
    _Column("in", lambda group, _: _number(group.median("input_tokens")), 5),
    _Column("in p90", lambda group, _: _number(group.input_p90), 7),
    _Column("out", lambda group, _: _number(group.median("output_tokens")), 5),
    _Column("out p90", lambda group, _: _number(group.output_p90), 7),
    _Column("cached", lambda group, _: _cached(group.sums), 6),
    _Column("% money", lambda group, total: share_text(group.sums.nanos, total.nanos), 3),
)


def inventory_view(facts: Inventory, *, width: int) -> RenderableType:
    """What there is to route: tasks and classes, to be printed on `width` columns."""
    if not facts.total.calls:
        return title("No call to look at: the input has none that a model answered.")
    parts: list[RenderableType] = [_header(facts), "", _classes(facts), "", _groups(facts, width)]
    return Group(*parts, *_reasons(facts), "", indented(ADVICE))


def _header(facts: Inventory) -> RenderableType:
    total = facts.total
    rows = [
        ("calls", _calls(facts)),
        ("tokens", f"{total.input_tokens:,} in, {total.output_tokens:,} out"),
        ("cached", f"{share_text(total.cache_read_tokens, total.input_tokens)} of input tokens"),
        ("cost", f"{_cost(total)} + {total.unpriced:,} unpriced, {total.estimated:,} estimated"),
        ("tasks", _tasks(facts)),
    ]
    return fields(rows, strong="cost")


def _calls(facts: Inventory) -> str:
    told = [f"{facts.total.calls:,}"]
    for count, what in (
        (facts.total.failed, "failed"),
        (facts.total.unsized, "of unknown size"),
        (facts.left_out, "more left out: embeddings, or answered from a cache"),
    ):
        if count:
            told.append(f"{count:,} {what}")
    return ", ".join(told)


def _tasks(facts: Inventory) -> str:
    groups = f"{len(facts.groups):,} {'group' if len(facts.groups) == 1 else 'groups'}"
    share = share_text(facts.untagged, facts.total.calls)
    told = f"{groups}; {share} of calls have no task tag"
    return told + (" and are grouped by what their prompts begin with" if facts.untagged else "")


def _classes(facts: Inventory) -> RenderableType:
    table = name_table(("class",))
    columns = [
        ("groups", [f"{line.groups:,}" for line in facts.classes]),
        ("calls", [share_text(line.sums.calls, facts.total.calls) for line in facts.classes]),
        ("tokens", [share_text(line.sums.tokens, facts.total.tokens) for line in facts.classes]),
        ("money", [share_text(line.sums.nanos, facts.total.nanos) for line in facts.classes]),
        ("cost", aligned([_class_cost(line) for line in facts.classes])),
    ]
    rows: list[list[str]] = [[line.task_class] for line in facts.classes]
    _add(rows, columns, table.add_column)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _class_cost(line: ClassTotals) -> str:
    return _cost(line.sums) if line.groups else "-"


def _groups(facts: Inventory, width: int) -> RenderableType:
    rows = facts.groups[:MAX_ROWS]
    costs = aligned([_cost(group.sums) for group in rows])
    figures = [
        (column.rank, column.head, [column.cell(group, facts.total) for group in rows])
        for column in _COLUMNS
    ]
    figures.insert(-1, (0, "cost", costs))
    names = [plain_text(group.name) for group in rows]
    room = width - min(NAME_CELLS, max(map(cell_len, names)))
    table = name_table(("task",))
    shown = [(head, cells) for _, head, cells in _fitting(figures, room)]
    lines = [[name] for name in names]
    _add(lines, shown, table.add_column)
    for line in lines:
        table.add_row(*map(Text, line))
    if len(facts.groups) > MAX_ROWS:
        more = f"and {len(facts.groups) - MAX_ROWS:,} more groups, all in --json"
        return Group(table, Text(more))
    return table


Figures = tuple[int, str, list[str]]


def _fitting(figures: Iterable[Figures], room: int) -> list[Figures]:
    """Those that fit, the ones that matter least left out first."""
    shown = list(figures)
    while any(rank for rank, _, _ in shown) and room < sum(
        2 + max(map(len, (head, *cells))) for _, head, cells in shown
    ):
        shown.remove(max(shown, key=lambda figure: figure[0]))
    return shown


def _add(
    rows: Sequence[list[str]],
    columns: Iterable[tuple[str, Sequence[str]]],
    add_column: Callable[..., None],
) -> None:
    """Put columns of figures behind the names, all cells of one as wide as the widest."""
    for head, cells in columns:
        width = max(map(len, (head, *cells)))
        left = head == "class"
        add_column(head.ljust(width) if left else head.rjust(width), no_wrap=True)
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell.ljust(width) if left else cell.rjust(width))


def _reasons(facts: Inventory) -> Iterable[RenderableType]:
    yield ""
    yield title("Why")
    for group in facts.groups[:MAX_REASONS]:
        yield indented(plain_text(f"{group.name}: {group.task_class}, {group.reason}"))
        yield indented(plain_text(f"  models: {_models(group)}"))


def _models(group: TaskGroup) -> str:
    named = [f"{name or '(no model)'} {calls:,}" for name, calls in group.models[:MAX_MODELS]]
    more = len(group.models) - MAX_MODELS
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _cost(sums: Sums) -> str:
    return "unpriced" if sums.cost_usd is None else usd_text(sums.cost_usd)


def _number(count: int | None) -> str:
    return "-" if count is None else count_text(count)


def _cached(sums: Sums) -> str:
    return share_text(sums.cache_read_tokens, sums.input_tokens)
