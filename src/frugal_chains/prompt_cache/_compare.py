"""Where two requests of one conversation differ first, from their fingerprints.

A provider reads tools, then system, then messages; a setting counts from the level on that it
changes. What differs behind the first difference cannot matter to the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from frugal_chains.prompt_cache._prints import BlockPrint, MessagesPrint, RequestPrint, same
from frugal_chains.prompt_cache._stored import fold
from frugal_chains.providers import Level

Change = Literal[
    "model-changed",
    "setting-changed",
    "tool-added",
    "tool-removed",
    "tool-changed",
    "tools-reordered",
    "system-added",
    "system-removed",
    "system-changed",
    "system-reordered",
    "message-added",
    "message-removed",
    "message-changed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first one."""

    change: Change
    level: Level
    """Entries are lost from here on."""
    same_tokens: int
    """In front of it, by the caller's count: the same in both requests."""
    index: int | None = None
    """Of the block among its like, in the later request; of a removed one in the earlier."""
    last_index: int | None = None
    """Where only some hashes were stored: it is this block at the latest, `index` at the
    earliest."""
    name: str = ""
    """Of the tool or of the setting, where it is known."""


def first_difference(
    before: RequestPrint, after: RequestPrint, resets: Mapping[str, Level]
) -> Difference | None:
    """Where a request leaves the way of an earlier one; None: it only goes on behind its end, as
    far as the fingerprints tell.

    Args:
        before: The earlier request.
        after: The later one.
        resets: By setting, what it loses (`CacheControls.resets`).
    """
    head = after.tools_tokens
    if before.model and after.model and before.model != after.model:
        return Difference(change="model-changed", level="tools", same_tokens=0, name=after.model)
    return (
        _setting(before, after, resets, "tools", 0)
        or _blocks(before.tools, after.tools, "tools", 0)
        or _setting(before, after, resets, "system", head)
        or _blocks(before.system, after.system, "system", head)
        or _setting(before, after, resets, "messages", head + after.system_tokens)
        or _messages(before.messages, after.messages, head + after.system_tokens)
    )


def _setting(
    before: RequestPrint,
    after: RequestPrint,
    resets: Mapping[str, Level],
    level: Level,
    same_tokens: int,
) -> Difference | None:
    """One that both have, with different values."""
    for name in sorted(before.settings.keys() & after.settings.keys()):
        if resets.get(name) == level and not same(before.settings[name], after.settings[name]):
            return Difference(
                change="setting-changed", level=level, same_tokens=same_tokens, name=name
            )
    return None


def _blocks(
    before: Sequence[BlockPrint], after: Sequence[BlockPrint], level: Level, front_tokens: int
) -> Difference | None:
    """Of tools, or of the system prompt."""
    folds = [len(side) for side in (before, after) if side and side[-1].covers > 1]
    if folds:
        before, after = fold(before, folds[0]), fold(after, folds[0])
    pairs = zip(before, after, strict=False)
    equal = next(
        (i for i, (one, other) in enumerate(pairs) if not same(one.hash, other.hash)),
        min(len(before), len(after)),
    )
    if equal == len(before) == len(after):
        return None
    tokens = front_tokens + sum(block.tokens for block in after[:equal])
    change, index, name = _kind_of_change(before, after, equal, level)
    return Difference(change=change, level=level, same_tokens=tokens, index=index, name=name)


_CHANGES: dict[tuple[Level, str], Change] = {
    ("tools", "added"): "tool-added",
    ("tools", "removed"): "tool-removed",
    ("tools", "changed"): "tool-changed",
    ("tools", "reordered"): "tools-reordered",
    ("system", "added"): "system-added",
    ("system", "removed"): "system-removed",
    ("system", "changed"): "system-changed",
    ("system", "reordered"): "system-reordered",
}


def _kind_of_change(
    before: Sequence[BlockPrint], after: Sequence[BlockPrint], equal: int, level: Level
) -> tuple[Change, int, str]:
    """What happened, to which block, and its name. The same blocks in another order; more of them;
    fewer; or other ones, of which the first is told."""
    length = min((len(block.hash) for block in (*before, *after)), default=0)
    had = Counter(block.hash[:length] for block in before)
    has = Counter(block.hash[:length] for block in after)
    new = [i for i, block in enumerate(after) if not had[block.hash[:length]]]
    gone = [i for i, block in enumerate(before) if not has[block.hash[:length]]]
    named = {block.name for block in before if block.name}
    changed = [i for i in new if after[i].name in named]
    if new and gone:
        index = (changed or new)[0]
        return _CHANGES[level, "changed"], index, after[index].name
    if has - had:
        index = new[0] if new else equal
        return _CHANGES[level, "added"], index, after[index].name
    if had - has:
        index = gone[0] if gone else equal
        return _CHANGES[level, "removed"], index, before[index].name
    return _CHANGES[level, "reordered"], equal, after[equal].name


def _messages(before: MessagesPrint, after: MessagesPrint, front_tokens: int) -> Difference | None:
    known = sorted(before.rolling.keys() & after.rolling.keys())
    equal, differs = 0, None
    for number in known:
        if not same(before.rolling[number], after.rolling[number]):
            differs = number
            break
        equal = number
    tokens = front_tokens + after.ends.get(equal, 0)
    if differs is None:
        if after.count >= before.count:
            return None
        return Difference(
            change="message-removed", level="messages", same_tokens=tokens, index=after.count
        )
    return Difference(
        change=_message_change(before, after, equal),
        level="messages",
        same_tokens=tokens,
        index=equal,
        last_index=differs - 1 if differs - 1 > equal else None,
    )


def _message_change(before: MessagesPrint, after: MessagesPrint, at: int) -> Change:
    if before.each and after.each:
        if after.each[at] in before.each[at + 1 :]:
            return "message-removed"
        return "message-added" if before.each[at] in after.each[at + 1 :] else "message-changed"
    return "message-removed" if after.count < before.count else "message-changed"
