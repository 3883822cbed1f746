"""Labels: what an application writes before a text to cite it by, from a template."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any


def written_label(template: str, names: Mapping[str, Any]) -> str:
    """A template such as `"[{n}] {title}\\n"` with its names filled in.

    What is not there is nothing, and a value that does not fit its format is written as it is.
    """
    return _formatter.vformat(template, (), names) if template else ""


class _Lenient(Formatter):
    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        # Names are taken as they are: `a.b` is a key, and nothing is read off an object.
        return kwargs.get(field_name, ""), field_name

    def format_field(self, value: Any, format_spec: str) -> Any:
        try:
            return super().format_field(value, format_spec)
        except (TypeError, ValueError):
            return str(value)


_formatter = _Lenient()
