"""`find_tool`: how a model asks for a tool that was left out, and what it is answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from frugal_chains.facts import ToolFacts

if TYPE_CHECKING:
    from frugal_chains.compression.tools._index import ToolIndex, Vector

FIND_TOOL: Final = ToolFacts(
    name="find_tool",
    description="Finds further tools. Call it if no other tool fits.",
    parameters='{"type":"object","properties":{"task":{"type":"string"}},"required":["task"]}',
)
"""Every word is paid for in every call. That there are further tools has to be said, since a model
that sees none that fits says so to the user; what a task is needs no saying."""

_AFTER: Final = "after "
_LISTED_CHARS: Final = 4_000
"""Of names, when nothing fits: about 1,000 tokens."""


def fallback_for(tools: Iterable[ToolFacts]) -> ToolFacts:
    """`find_tool`, under another name where one of the tools has that."""
    taken = {tool.name for tool in tools}
    name, number = FIND_TOOL.name, 2
    while name in taken:
        name, number = f"{FIND_TOOL.name}_{number}", number + 1
    return ToolFacts(name=name, description=FIND_TOOL.description, parameters=FIND_TOOL.parameters)


def find_tools(
    task: str,
    index: ToolIndex,
    *,
    offered: Collection[str] = (),
    most: int = 5,
    vector: Vector | None = None,
) -> tuple[int, ...]:
    """The tools that answer a call of `find_tool`: they are to be offered from then on.

    Tools that are named come first, then the best by words (and meaning, with a vector). One that
    shares no word with the task, and is not near in meaning, is not found: see `answer`.

    Args:
        task: What the model asked for: a task, or the name of a tool.
        index: All tools of the application.
        offered: Names of those that the model has already; they are not found again.
        most: How many, at most. All that are named count first.
        vector: Of the task, by the embedder of the tools.

    Returns:
        Their numbers in the index, the best first.
    """
    if _continued(task, index):
        return ()
    has = frozenset(offered)
    wanted = task.strip().casefold()
    named = [number for number, tool in enumerate(index.tools) if tool.name.casefold() == wanted]
    named += index.named_in(task)
    scores = index.scores(task, vector=vector)
    ranked = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    found = dict.fromkeys([*named, *(number for number in ranked if scores[number] > 0)])
    new = [number for number in found if index.tools[number].name not in has]
    return tuple(new[: max(most, 0)])


def answer(
    task: str, found: Sequence[int], index: ToolIndex, *, offered: Collection[str] = ()
) -> str:
    """What the model is told of the search. Where nothing is found, the names there are.

    They are listed up to about 1,000 tokens, with how to ask for the next ones, so that every tool
    can be reached. Arguments as for `find_tools`; `found` is what it returned.
    """
    if found:
        return "Now available: " + ", ".join(index.tools[number].name for number in found)
    has = frozenset(offered)
    start = _continued(task, index)
    names = [tool.name for tool in index.tools[start:] if tool.name not in has]
    if not names:
        return "There is no other tool."
    listed, chars = 0, 0
    while listed < len(names) and (not listed or chars + len(names[listed]) <= _LISTED_CHARS):
        chars += len(names[listed]) + 2
        listed += 1
    rest = len(names) - listed
    more = f". {rest} more: ask for '{_AFTER}{names[listed - 1]}'" if rest else ""
    head = "More" if start else "Nothing fits. Ask for one by its name"
    return f"{head}: {', '.join(names[:listed])}{more}"


def _continued(task: str, index: ToolIndex) -> int:
    """The number of the tool with which the list goes on; 0: that is not what is asked for."""
    asked = task.strip().strip("'\"")
    if not asked.startswith(_AFTER):
        return 0
    name = asked.removeprefix(_AFTER)
    places = [number + 1 for number, tool in enumerate(index.tools) if tool.name == name]
    return places[-1] if places else 0
