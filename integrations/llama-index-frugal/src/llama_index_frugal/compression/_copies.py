"""Nodes with other texts, as copies that share nothing that can change with their originals."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from llama_index.core.schema import BaseNode, Node, NodeWithScore, TextNode
from pydantic import BaseModel

KEY: Final = "frugal"
"""Of the metadata that is added where it is asked for."""

M = TypeVar("M", bound=BaseModel)


def with_text(found: NodeWithScore, text: str, added: Mapping[str, Any]) -> NodeWithScore:
    """A copy that says `text`, and `added` in metadata that neither a model nor an embedding sees.

    What an `IndexNode` refers to (an engine, an index) is no part of it, and is not copied.
    """
    node = node_with(_own(found.node, _kept_apart(found.node)), text)
    if added:
        before = node.metadata.get(KEY)
        node.metadata[KEY] = {**(before if isinstance(before, dict) else {}), **added}
        for keys in (node.excluded_llm_metadata_keys, node.excluded_embed_metadata_keys):
            if KEY not in keys:
                keys.append(KEY)
    return _own(found, {id(found.node): node})


def node_with(node: BaseNode, text: str) -> BaseNode:
    """The same node that says `text`; all else of it is shared."""
    # `set_content` would validate: half a surrogate, which nodes may hold, might not pass again.
    if isinstance(node, TextNode):
        return node.model_copy(update={"text": text})
    assert isinstance(node, Node)
    assert node.text_resource is not None
    resource = node.text_resource.model_copy(update={"text": text})
    return node.model_copy(update={"text_resource": resource})


def _kept_apart(node: BaseNode) -> dict[int, Any]:
    """By identity, as `copy.deepcopy` takes them, what is not copied part by part."""
    known: dict[int, Any] = {}
    if node.embedding is not None:  # 1,536 numbers take `deepcopy` 2 ms
        known[id(node.embedding)] = [*node.embedding]
    target = getattr(node, "obj", None)
    if target is not None:
        known[id(target)] = target
    return known


def _own(value: M, known: dict[int, Any]) -> M:
    """A deep copy; where that cannot be, field by field, and the parts that can.

    A part without a copy (a lock, nesting beyond Python's recursion limit) is shared: a node with
    such metadata is still a node.
    """
    try:
        return copy.deepcopy(value, {**known})
    except Exception:
        fields = {name: _own_field(part, known) for name, part in value.__dict__.items()}
        return value.model_copy(update=fields)


def _own_field(value: Any, known: Mapping[int, Any]) -> Any:
    if type(value) is not dict:
        return _copied_or_shared(value, known)
    return {key: _copied_or_shared(part, known) for key, part in value.items()}


def _copied_or_shared(value: Any, known: Mapping[int, Any]) -> Any:
    try:
        return copy.deepcopy(value, {**known})
    except Exception:
        return value
