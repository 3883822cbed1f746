"""`CacheMiss`: a request of which less was read than there was, in words without a text of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frugal_chains.dispatch.prompt_cache._blocks import PromptBlock
from frugal_chains.prompt_cache import Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMiss:
    """One request of which less was read than there was."""

    block: str
    """What has changed: `tool lookup`, `system prompt`, `message 7`, `tool_choice`; empty: nothing
    that can be seen from here."""
    diagnosis: Diagnosis
    conversation: str = ""
    """As the caller has named it."""
    model: str = ""
    provider: str = ""

    def __str__(self) -> str:
        found = self.diagnosis
        what = f"{found.cause} ({self.block})" if self.block else found.cause
        for_usd = found.total_nanos / 1e9
        return (
            f"{found.missed_tokens} of {found.reusable_tokens} tokens were not read from the "
            f"cache of {self.model}: {what}, {found.requests} times in a row, ${for_usd:.6f}"
        )


def changed_block(found: Diagnosis, blocks: Sequence[PromptBlock]) -> str:
    """What people call the block that has changed."""
    changed = found.difference
    if changed is None or changed.change != found.cause:
        return ""
    if changed.change.startswith("tool"):
        return f"tool {changed.name}" if changed.name else "tools"
    if changed.change.startswith("system"):
        several = sum(block.kind == "system" for block in blocks) > 1
        at = changed.index
        return f"system prompt, block {at + 1}" if several and at is not None else "system prompt"
    if changed.change.startswith("message"):
        names = [block.name for block in blocks if block.kind == "message"]
        at = changed.index if changed.index is not None else len(names)
        return names[at] if at < len(names) else "end of the messages"
    return changed.name
