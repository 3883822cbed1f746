"""What stands around a node's text in a prompt, so that it counts in the budget."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node, TextNode
from pydantic.json_schema import SkipJsonSchema

from frugal_chains.compression import written_label
from frugal_chains.compression.extract import Passage
from llama_index_frugal.compression._copies import node_with

Label = str | SkipJsonSchema[Callable[[BaseNode, int], str]]
"""A template, such as `"Source {n}:\\n"`: `n` counts nodes from 1, `id` is the node's, other names
are of its metadata (empty where it has none). Or a function of node and number."""


def passage_of(node: BaseNode, label: Label, number: int) -> Passage | None:
    """A node as it will be in the prompt: its own text, and as label and tail all around it.

    That is its metadata, by the node's own templates, and what the application writes before the
    text. None for a node whose text is not ours to cut: an image, or one whose text does not stand
    in its content.
    """
    text = _text_of(node)
    if text is None:
        return None
    try:
        beside = _beside(node, text)
    except Exception:  # a template that does not fit: whoever makes the prompt will tell
        return None
    if beside is None:
        return None
    before, after = beside
    return Passage(text=text, label=before + label_of(label, node, number), tail=after)


def _beside(node: BaseNode, text: str) -> tuple[str, str] | None:
    """What stands before and after the text of a node; None: the text is not there word for word.

    A mark in its place tells where: metadata may say the same words, and stay when they are cut.
    """
    content = node.get_content(metadata_mode=MetadataMode.LLM)
    mark = next(mark for n in count() if (mark := f"Text{n}here") not in content)
    marked = node_with(node, mark).get_content(metadata_mode=MetadataMode.LLM)
    # Nodes strip their content, and with it the outer spaces of a text that stands at an end.
    if mark not in marked or marked.replace(mark, text).strip() != content.strip():
        return None
    if not text.strip():
        return content, ""
    before, _, after = marked.rpartition(mark)
    return before.replace(mark, text), after


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
