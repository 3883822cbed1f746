"""Requests as OpenAI's client is handed them, of chat completions and of responses.

Which blocks take `prompt_cache_breakpoint` (GPT-5.6 and later): parts of messages, neither tools
nor `instructions` (developers.openai.com/api/docs/guides/prompt-caching, of 2026-09-23, and
openai 2.54 `types/chat/chat_completion_content_part_text_param.py`, both read 2026-11-22). Other
models cache by themselves, and are only told a `prompt_cache_key`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from frugal_chains.dispatch import PromptBlock
from frugal_chains.prompt_cache import CachePlan
from frugal_chains.providers import CacheControls, model_family
from llama_index_frugal._request import as_json
from llama_index_frugal.prompt_cache._wire import (
    WHOLE,
    Place,
    Read,
    Request,
    Volatile,
    chosen,
    is_recalled,
    ttl_in,
)

MARK: Final = "prompt_cache_breakpoint"
OPTIONS: Final = "prompt_cache_options"
KEY: Final = "prompt_cache_key"
_OWN_MODELS: Final = ("gpt-", "o1", "o3", "o4", "chatgpt-")
"""Servers that only speak as OpenAI does may refuse a setting that they do not know."""
_SYSTEM: Final = frozenset({"system", "developer"})
_SAYS: Final = frozenset({"system", "developer", "user"})
"""Roles whose texts take a breakpoint."""
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})
_MEDIA: Final = frozenset({"image_url", "input_image", "file", "input_file", "input_audio"})
_SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "service_tier": ("service_tier",),
    "parallel_tool_calls": ("parallel_tool_calls",),
    "format": ("response_format", "text", "text_format"),
    "effort": ("reasoning_effort", "reasoning"),
    "verbosity": ("verbosity",),
    "cache_key": (KEY,),
}


def takes_key(model: str) -> bool:
    """Whether a key may be sent."""
    return model_family(model).startswith(_OWN_MODELS)


def read(
    request: Request,
    *,
    controls: CacheControls,
    media_tokens: int = 0,
    volatile: Volatile | None = None,
) -> Read:
    """The blocks of a request.

    Args:
        request: Keywords of `chat.completions.create` or `responses.create`.
        controls: Of the provider.
        media_tokens: Of an image.
        volatile: The caller's word on what changes.
    """
    pairs = []
    for block, place in _read(request, controls, media_tokens):
        text = block.text.partition("\n")[2]
        if block.kind != "tools" and text and volatile is not None and volatile(text):
            block = replace(block, volatile=True)
        pairs.append((block, place))
    if pairs and is_recalled(pairs[-1][0].text.partition("\n")[2]):
        pairs[-1] = (replace(pairs[-1][0], volatile=True), pairs[-1][1])
    return Read.of(request, iter(pairs))


def settings(found: Read) -> dict[str, str]:
    """What else the provider's cache goes by."""
    return chosen(found.request, _SETTINGS)


def applied(
    plan: CachePlan, found: Read, request: Request, controls: CacheControls, *, keyed: bool
) -> Request:
    """The request with breakpoints, key and options of a plan; itself where it has none.

    What the caller has said there stays. Key and options go by `extra_body`, which every version of
    the client has: its methods refuse keywords that they do not know.

    Args:
        plan: Of `found.blocks`.
        found: What was read of the request.
        request: As it was given.
        controls: Of the provider.
        keyed: A key and options may be sent.
    """
    given = dict(request)
    name, kind = ("messages", "text") if "messages" in request else ("input", "input_text")
    if controls.control == MARK and keyed and (plan.markers or plan.dropped):
        rows = [*request[name]] if not isinstance(request[name], str) else []
        for index in plan.dropped:
            _put(rows, found.places[index], kind, marked=False)
        for each in plan.markers:
            if each.reason != "callers" and rows:
                _put(rows, found.places[each.index], kind, marked=True)
        given[name] = rows or request[name]
    beside = _beside(plan, request, controls) if keyed else {}
    if beside:
        given["extra_body"] = {**beside, **(request.get("extra_body") or {})}
    return given if beside or given.get(name) is not request.get(name) else request


def _beside(plan: CachePlan, request: Request, controls: CacheControls) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if plan.cache_key and request.get(KEY) is None:
        found[KEY] = plan.cache_key
    usual = controls.ttls[0][0] if controls.ttls else ""
    long = {"ttl": plan.ttl} if plan.ttl not in ("", usual) else {}
    if (plan.mode == "explicit" or long) and request.get(OPTIONS) is None:
        found[OPTIONS] = {"mode": plan.mode or "implicit", **long}
    return found


def _put(rows: list[Any], place: Place, kind: str, *, marked: bool) -> None:
    """Puts a breakpoint on a copy of one block, or takes it off; what is all of its message becomes
    a block of this kind first."""
    message = rows[place.item]
    content = message["content"]
    whole = place.part == WHOLE
    parts: list[Any] = [{"type": kind, "text": content}] if whole else [*content]
    at = 0 if whole else place.part
    bare = {key: value for key, value in parts[at].items() if key != MARK}
    parts[at] = {**bare, MARK: {"mode": "explicit"}} if marked else bare
    rows[place.item] = {**message, "content": parts}


def _read(
    request: Request, controls: CacheControls, media_tokens: int
) -> Iterator[tuple[PromptBlock, Place]]:
    for at, tool in enumerate(request.get("tools") or ()):
        yield _tool(tool), Place("tools", at)
    if request.get("instructions"):
        text = f"system\n{request['instructions']}"
        yield PromptBlock(kind="system", text=text, markable=False), Place("system", 0)
    rows = request["messages"] if "messages" in request else request.get("input") or ()
    if isinstance(rows, str):
        yield (
            PromptBlock(kind="message", text=f"user\n{rows}", markable=False),
            Place("messages", 0),
        )
        return
    leading = True
    for at, message in enumerate(rows):
        leading = leading and _role(message) in _SYSTEM
        kind = "system" if leading else "message"
        for block, part in _parts(message, kind, controls, media_tokens):
            yield block, Place("messages", at, part)


def _tool(tool: Any) -> PromptBlock:
    body = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    name = body.get("name") or body.get("type") if isinstance(body, Mapping) else ""
    return PromptBlock(kind="tools", text=as_json(tool), name=str(name or ""), markable=False)


def _role(message: Any) -> str:
    return str(message.get("role") or "") if isinstance(message, Mapping) else ""


def _parts(
    message: Any, kind: Any, controls: CacheControls, media_tokens: int
) -> Iterator[tuple[PromptBlock, int]]:
    role = _role(message)
    if not role:  # an item of a response: a call, its output, reasoning
        name = str(message.get("type") or "") if isinstance(message, Mapping) else ""
        run: Any = {"function_call": "calls", "function_call_output": "results"}.get(name, "")
        yield PromptBlock(kind=kind, text=f"\n{as_json(message)}", markable=False, run=run), WHOLE
        return
    content = message.get("content")
    can = role in _SAYS
    if isinstance(content, str):
        rest = {k: v for k, v in message.items() if k not in ("role", "content", "tool_calls")}
        beside = as_json(rest) if rest else ""
        yield PromptBlock(
            kind=kind, text=f"{role}{beside}\n{content}", markable=can and bool(content.strip()),
            run="results" if role == "tool" else "",
        ), WHOLE  # fmt: skip
    for part, block in enumerate(content if isinstance(content, list) else ()):
        yield _part(block, role, kind, can, controls, media_tokens), part
    for call in message.get("tool_calls") or ():
        text = f"{role}\n{as_json(call)}"
        yield PromptBlock(kind=kind, text=text, run="calls", markable=False), WHOLE


def _part(
    block: Any, role: str, kind: Any, can: bool, controls: CacheControls, media_tokens: int
) -> PromptBlock:
    if not isinstance(block, Mapping):
        return PromptBlock(kind=kind, text=f"{role}\n{as_json(block)}", markable=False)
    name = str(block.get("type") or "")
    own = ttl_in(block.get(MARK), controls)
    bare = {key: value for key, value in block.items() if key != MARK}
    if name in _TEXTS:
        text = str(block.get("text") or "")
        return PromptBlock(
            kind=kind, text=f"{role}\n{text}", marker=own, markable=can and bool(text.strip())
        )
    media = name in _MEDIA
    return PromptBlock(
        kind=kind, text=f"{role}\n{name if media else as_json(bare)}", marker=own,
        hidden=as_json(bare) if media else "", media_tokens=media_tokens if media else 0,
        markable=can and media,
    )  # fmt: skip
