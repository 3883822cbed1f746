"""Requests as Anthropic's client is handed them: read block by block, and marked.

Which blocks take `cache_control`: platform.claude.com/docs/en/build-with-claude/prompt-caching,
"What can be cached" and "What cannot be cached", of 2026-09, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from frugal_chains.dispatch import PromptBlock
from frugal_chains.prompt_cache import CachePlan
from frugal_chains.providers import CacheControls
from llama_index_frugal._request import as_json
from llama_index_frugal.prompt_cache._messages import SystemPart
from llama_index_frugal.prompt_cache._wire import (
    Place,
    Read,
    Request,
    Volatile,
    chosen,
    is_recalled,
    ttl_in,
)

MARK: Final = "cache_control"
_REASONING: Final = frozenset({"thinking", "redacted_thinking"})
_MEDIA: Final = frozenset({"image", "document"})
_SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "thinking": ("thinking",),
    "effort": ("output_config",),
    "format": ("output_format",),
    "speed": ("speed",),
}


def read(
    request: Request,
    *,
    controls: CacheControls,
    system: Sequence[SystemPart] = (),
    media_tokens: int = 0,
    volatile: Volatile | None = None,
) -> Read:
    """The blocks of a request.

    Args:
        request: Keywords of `messages.create` or `beta.messages.parse`.
        controls: Of the provider.
        system: The texts that LlamaIndex has joined into the system prompt.
        media_tokens: Of an image.
        volatile: The caller's word on what changes.
    """
    given = {
        **request,
        "tools": [*(request.get("tools") or ())],
        "system": _system(request.get("system"), system),
        "messages": [_with_parts(message) for message in request.get("messages") or ()],
    }
    found = _read(given, controls, media_tokens)
    pairs = list(found if volatile is None else _told(found, volatile))
    tail = ttl_in(request.get(MARK), controls)
    last = max((at for at, (block, _) in enumerate(pairs) if block.markable), default=None)
    if tail and last is not None:
        # A marker beside the messages stands for one on the last block that can have one.
        block, place = pairs[last]
        given[MARK] = None
        if not block.marker:
            pairs[last] = (replace(block, marker=tail), place)
            _put(given, place, request[MARK])
    return Read.of(given, iter(pairs))


def settings(found: Read) -> dict[str, str]:
    """What else the provider's cache goes by."""
    images = {"images": "some"} if any(block.hidden for block in found.blocks) else {}
    return {**chosen(found.request, _SETTINGS), **images, **_tool_choice(found.request)}


def _tool_choice(request: Request) -> dict[str, str]:
    """What is not the same as to say nothing: a request for a summary says nothing."""
    given = request.get("tool_choice")
    if not isinstance(given, Mapping):
        return {}
    said = {name: value for name, value in given.items() if value not in (False, "auto")}
    return {"tool_choice": repr(sorted(said.items()))} if said else {}


def applied(plan: CachePlan, found: Read, request: Request, controls: CacheControls) -> Request:
    """The request with the markers of a plan; itself where it has none.

    Args:
        plan: Of `found.blocks`.
        found: What was read of the request.
        request: As it was given.
        controls: Of the provider.
    """
    if not plan.markers and not plan.dropped:
        return request
    given = {
        **found.request,
        "tools": [*found.request["tools"]],
        "system": [*found.request["system"]],
        "messages": [{**m, "content": [*m["content"]]} for m in found.request["messages"]],
    }
    for index in plan.dropped:
        _put(given, found.places[index], None)
    usual = controls.ttls[0][0]
    for each in plan.markers:
        if each.ttl != found.blocks[each.index].marker:
            ttl = {"ttl": each.ttl} if each.ttl != usual else {}
            _put(given, found.places[each.index], {"type": "ephemeral", **ttl})
    if plan.order:
        given["system"] = [given["system"][found.places[index].item] for index in plan.order]
    for name in ("tools", "system"):
        if not given[name]:
            given[name] = request.get(name)
    return {k: v for k, v in given.items() if k in request and not (k == MARK and v is None)}


def _put(given: dict[str, Any], place: Place, mark: Any) -> None:
    """Puts a marker on a copy of one block, or takes it off."""
    row = given[place.where]
    at = place.item
    if place.where == "messages":
        row, at = row[place.item]["content"], place.part
    block = {key: value for key, value in row[at].items() if key != MARK}
    row[at] = block if mark is None else {**block, MARK: mark}


def _system(given: Any, parts: Sequence[SystemPart]) -> list[dict[str, Any]]:
    """The system prompt as blocks, which together are the text that was given."""
    if not isinstance(given, str):
        return [*given] if isinstance(given, Sequence) else []
    if "\n".join(part.text for part in parts) != given:
        parts = [SystemPart(given)]
    blocks: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        text = part.text + ("\n" if number + 1 < len(parts) else "")
        if blocks and not (text.strip() and blocks[-1]["text"].strip()):
            blocks[-1]["text"] += text  # a block of blanks is refused
        else:
            blocks.append({"type": "text", "text": text})
        if part.mark is not None:
            blocks[-1][MARK] = part.mark
    return [block for block in blocks if block["text"].strip()]


def _with_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a message whose content is a list, markers on its blocks and not inside them."""
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": [{"type": "text", "text": content}]}
    return {**message, "content": [_lifted(block) for block in content]}


def _lifted(block: Any) -> Any:
    """A tool's result is marked as a whole: LlamaIndex puts the marker on a text inside it, which
    counts, and marks the same place."""
    if not isinstance(block, Mapping):
        return block
    inner = block.get("content")
    if block.get("type") != "tool_result" or not isinstance(inner, list):
        return block
    marks = [part[MARK] for part in inner if isinstance(part, Mapping) and part.get(MARK)]
    if not marks:
        return block
    bare = [
        {k: v for k, v in part.items() if k != MARK} if isinstance(part, Mapping) else part
        for part in inner
    ]
    return {MARK: marks[-1], **block, "content": bare}


def _read(
    given: Request, controls: CacheControls, media_tokens: int
) -> Iterator[tuple[PromptBlock, Place]]:
    for at, tool in enumerate(given["tools"]):
        yield _tool(tool, controls), Place("tools", at)
    for at, block in enumerate(given["system"]):
        yield _block("system", block, controls, media_tokens), Place("system", at)
    messages = given["messages"]
    for at, message in enumerate(messages):
        role = str(message["role"])
        for part, block in enumerate(message["content"]):
            read_one = _block(role, block, controls, media_tokens)
            last = at + 1 == len(messages) and part + 1 == len(message["content"])
            if last and isinstance(block, Mapping) and is_recalled(str(block.get("text") or "")):
                read_one = replace(read_one, volatile=True)
            yield read_one, Place("messages", at, part)


def _told(
    found: Iterator[tuple[PromptBlock, Place]], volatile: Volatile
) -> Iterator[tuple[PromptBlock, Place]]:
    for block, place in found:
        text = block.text.partition("\n")[2]
        if block.kind != "tools" and text and volatile(text):
            yield replace(block, volatile=True), place
        else:
            yield block, place


def _tool(tool: Any, controls: CacheControls) -> PromptBlock:
    if not isinstance(tool, Mapping):
        return PromptBlock(kind="tools", text=as_json(tool), markable=False)
    return PromptBlock(
        kind="tools",
        text=as_json({k: v for k, v in tool.items() if k != MARK}),
        name=str(tool.get("name") or tool.get("type") or ""),
        marker=ttl_in(tool.get(MARK), controls),
        # "You cannot set both": a tool that is looked for is not in the prompt.
        markable=not tool.get("defer_loading"),
    )


def _block(role: str, block: Any, controls: CacheControls, media_tokens: int) -> PromptBlock:
    """One block, its text with its role in front."""
    kind: Any = "system" if role == "system" else "message"
    if not isinstance(block, Mapping):
        return PromptBlock(kind=kind, text=f"{role}\n{as_json(block)}", markable=False)
    name = str(block.get("type") or "")
    own = ttl_in(block.get(MARK), controls)
    if name == "text":
        text = str(block.get("text") or "")
        return PromptBlock(
            kind=kind, text=f"{role}\n{text}", marker=own, markable=bool(text.strip())
        )
    bare = {k: v for k, v in block.items() if k != MARK}
    if name in _MEDIA:
        return PromptBlock(
            kind=kind, text=f"{role}\n{name}", hidden=as_json(bare), media_tokens=media_tokens,
            marker=own,
        )  # fmt: skip
    if name == "tool_result":
        return _result(role, bare, own, media_tokens)
    return PromptBlock(
        kind=kind, text=f"{role}\n{as_json(bare)}", marker=own,
        markable=name not in _REASONING, run="calls" if name == "tool_use" else "",
    )  # fmt: skip


def _result(role: str, block: Mapping[str, Any], own: str, media_tokens: int) -> PromptBlock:
    inner = block.get("content")
    parts = inner if isinstance(inner, list) else [{"type": "text", "text": str(inner or "")}]
    media = [part for part in parts if isinstance(part, Mapping) and part.get("type") in _MEDIA]
    texts = [as_json(part) for part in parts if part not in media]
    return PromptBlock(
        kind="message",
        text=f"{role}\n{block.get('tool_use_id')}\n{block.get('is_error')}\n" + "\n".join(texts),
        hidden=as_json(media) if media else "",
        media_tokens=media_tokens * len(media),
        marker=own,
        run="results",
    )
