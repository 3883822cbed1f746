"""What stands around a node's text in a prompt, so that it counts in the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node, TextNode
from pydantic.json_schema import SkipJsonSchema

from frugal_chains.compression import written_label
from frugal_chains.compression.extract import Passage

Label = str | SkipJsonSchema[Callable[[BaseNode, int], str]]
"""A template, such as `"Source {n}:\\n"`: `n` counts nodes from 1, `id` is the node's, other names
are of its metadata (empty where it has none). Or a function of node and number."""

_BREAK: Final = "\n\n"


def passage_of(node: BaseNode, label: Label, number: int) -> Passage | None:
    """A node as it will be in the prompt: its own text, and as the label all that is around it.

    That is its metadata, by the node's own templates, and what the application writes before the
    text. None for a node whose text is not ours to cut: an image, or one whose text does not stand
    in its content.
    """
    text = _text_of(node)
    if text is None:
        return None
    try:
        content = node.get_content(metadata_mode=MetadataMode.LLM)
    except Exception:  # a template that does not fit: whoever makes the prompt will tell
        return None
    written = label_of(label, node, number)
    core = text.strip()
    at = content.rfind(core)
    if at < 0:
        return None
    inside = text[: len(text) - len(text.lstrip())]
    before, after = content[:at].removesuffix(inside), content[at + len(core) :].rstrip()
    # A label stands before its text. What comes after the text is counted there too; the break
    # is for what neighbours then do not share as tokens.
    return Passage(text=text, label=before + written + (after + _BREAK if after else ""))


def label_of(label: Label, node: BaseNode, number: int) -> str:
    """What the application writes before the text of a node, the `number`th from 1."""
    if not isinstance(label, str):
        return label(node, number)
    return written_label(label, {**node.metadata, "id": node.node_id, "n": number})


def _text_of(node: BaseNode) -> str | None:
    if isinstance(node, TextNode):
        return None if isinstance(node, ImageNode) else node.text
    if not isinstance(node, Node) or node.text_resource is None:
        return None
    others = (node.image_resource, node.audio_resource, node.video_resource)
    return node.text_resource.text if others == (None, None, None) else None
