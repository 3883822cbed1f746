"""How an application cites a document, so that its labels count in the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from langchain_core.documents import Document

Label = str | Callable[[Document, int], str]
"""A template, such as `"[{n}] {title}\\n"`: `n` counts documents from 1, `id` is the document's,
other names are of its metadata (empty where it has none). Or a function of document and number."""


def label_of(label: Label, document: Document, number: int) -> str:
    """What stands before the text of a document, the `number`th from 1."""
    if not isinstance(label, str):
        return label(document, number)
    names = {**document.metadata, "id": document.id or "", "n": number}
    return _formatter.vformat(label, (), names)


class _Lenient(Formatter):
    """Writes nothing where a document has no such metadata, or it does not fit the format."""

    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        # Names are taken as they are: `a.b` is a key, and nothing is read off an object.
        return kwargs.get(field_name, ""), field_name

    def format_field(self, value: Any, format_spec: str) -> Any:
        try:
            return super().format_field(value, format_spec)
        except (TypeError, ValueError):
            return str(value)


_formatter = _Lenient()
