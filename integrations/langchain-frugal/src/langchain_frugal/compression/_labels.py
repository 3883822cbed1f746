"""How an application cites a document, so that its labels count in the budget."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.documents import Document

from frugal_chains.compression import written_label

Label = str | Callable[[Document, int], str]
"""A template, such as `"[{n}] {title}\\n"`: `n` counts documents from 1, `id` is the document's,
other names are of its metadata (empty where it has none). Or a function of document and number."""


def label_of(label: Label, document: Document, number: int) -> str:
    """What stands before the text of a document, the `number`th from 1."""
    if not isinstance(label, str):
        return label(document, number)
    names = {**document.metadata, "id": document.id or "", "n": number}
    return written_label(label, names)
