"""Whether a value fits a JSON schema: the part of JSON Schema that structured output uses.

The providers' own subsets (OpenAI's and Anthropic's structured outputs, Gemini's `responseSchema`)
are covered: types, properties, required, items, enum, const, anyOf / oneOf / allOf, local `$ref`,
bounds of numbers, lengths, patterns. A keyword that is not known constrains nothing, as the
specification asks; formats are not checked.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

_MAX_DEPTH: Final = 64
"""Schemas may refer to themselves; no answer nests deeper than this."""


def schema_problem(text: str, schema_text: str) -> str:
    """What keeps a text from being JSON that fits a schema; empty when it fits.

    A fence around the JSON (```json) and text after it are allowed: parsers take them off.
    """
    schema = _schema(schema_text)
    if schema is None:
        return ""  # the request's own schema cannot be read: nothing can be said about the answer
    try:
        value = json.loads(_unfenced(text), parse_constant=_no_constant)
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:
        return f"no JSON: {error}"
    return next(_problems(value, schema, schema, "$", _MAX_DEPTH), "")


@lru_cache(maxsize=64)
def _schema(text: str) -> Any:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        return None
    # A schema may come in the wrapper of the provider's request.
    for wrapper in ("json_schema", "schema"):
        inner = schema.get(wrapper) if isinstance(schema, dict) else None
        if isinstance(inner, dict) and not {
            "type",
            "properties",
            "anyOf",
            "$ref",
        } & schema.keys() - {"type"}:
            schema = inner
    return schema if isinstance(schema, dict | bool) else None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_FENCE: Final = re.compile(r"\s*```[a-z]*\s*\n(.*?)(?:```|\Z)", re.IGNORECASE | re.DOTALL)


def _unfenced(text: str) -> str:
    found = _FENCE.match(text)
    return found[1] if found else text


def _problems(value: Any, schema: Any, root: Any, at: str, depth: int) -> Iterator[str]:
    if schema is True or depth == 0:
        return
    if schema is False:
        yield f"{at} is not allowed"
        return
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield from _problems(value, _resolve(reference, root), root, at, depth - 1)
    wanted = schema.get("type")
    if (
        wanted is not None
        and not _is_of(value, wanted)
        and not (value is None and schema.get("nullable"))
    ):
        yield f"{at} is {_name(value)}, not {wanted}"
        return
    for check in (_choices, _size, _combined, _object, _array):
        yield from check(value, schema, root, at, depth)


def _resolve(reference: str, root: Any) -> Any:
    """A local reference; one that leads nowhere constrains nothing."""
    if not reference.startswith("#"):
        return True
    found = root
    for part in reference[1:].strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if name:
            if not isinstance(found, dict) or name not in found:
                return True
            found = found[name]
    return found


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: (
        not isinstance(v, bool)
        and (isinstance(v, int) or (isinstance(v, float) and v.is_integer()))
    ),
}


def _is_of(value: Any, wanted: Any) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    # Gemini writes types in capitals; an unknown type constrains nothing.
    return any(_TYPES.get(str(name).lower(), lambda _: True)(value) for name in names)


def _name(value: Any) -> str:
    return next(name for name in sorted(_TYPES) if _TYPES[name](value))  # integer before number


def _choices(
    value: Any, schema: Mapping[str, Any], _root: Any, at: str, _depth: int
) -> Iterator[str]:
    choices = schema.get("enum")
    if isinstance(choices, list) and not any(_equal(value, choice) for choice in choices):
        yield f"{at} is none of the {len(choices)} values allowed"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at} is not {schema['const']!r}"


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _size(value: Any, schema: Mapping[str, Any], _root: Any, at: str, _depth: int) -> Iterator[str]:
    for kind, measure, low, high in _BOUNDS:
        if _TYPES[kind](value):
            size = measure(value)
            yield from _bounded(size, schema, at, ((low, operator.ge), (high, operator.le)))
    if _TYPES["number"](value):
        yield from _bounded(value, schema, at, _ONLY_NUMBERS)
    pattern = schema.get("pattern")
    if isinstance(value, str) and isinstance(pattern, str) and not _matches(pattern, value):
        yield f"{at} does not match /{pattern}/"


def _bounded(
    size: float,
    schema: Mapping[str, Any],
    at: str,
    bounds: Sequence[tuple[str, Callable[[float, float], bool]]],
) -> Iterator[str]:
    for keyword, holds in bounds:
        bound = schema.get(keyword)
        if bound is not None and _TYPES["number"](bound) and not holds(size, bound):
            yield f"{at} breaks {keyword} {bound}"


def _is_multiple(value: float, bound: float) -> bool:
    if bound <= 0:
        return True
    ratio = value / bound
    return math.isinf(ratio) or math.isclose(ratio, round(ratio), abs_tol=1e-9)


_BOUNDS: Final[Sequence[tuple[str, Callable[[Any], float], str, str]]] = (
    ("string", len, "minLength", "maxLength"),
    ("array", len, "minItems", "maxItems"),
    ("object", len, "minProperties", "maxProperties"),
    ("number", lambda v: v, "minimum", "maximum"),
)
_ONLY_NUMBERS: Final[Sequence[tuple[str, Callable[[float, float], bool]]]] = (
    ("exclusiveMinimum", operator.gt),
    ("exclusiveMaximum", operator.lt),
    ("multipleOf", _is_multiple),
)


def _matches(pattern: str, value: str) -> bool:
    try:
        return bool(re.search(pattern, value[:10_000]))
    except re.error:
        return True  # a pattern of another dialect


def _combined(
    value: Any, schema: Mapping[str, Any], root: Any, at: str, depth: int
) -> Iterator[str]:
    def fits(part: Any) -> bool:
        return next(_problems(value, part, root, at, depth - 1), None) is None

    for part in _list(schema, "allOf"):
        yield from _problems(value, part, root, at, depth - 1)
    for keyword in ("anyOf", "oneOf"):
        # A second fit of `oneOf` is no fault of the answer that anything downstream would notice.
        parts = _list(schema, keyword)
        if parts and not any(map(fits, parts)):
            yield f"{at} fits none of {keyword}"
    if "not" in schema and fits(schema["not"]):
        yield f"{at} is what it must not be"


def _list(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    parts = schema.get(keyword)
    return parts if isinstance(parts, list) else []


def _object(value: Any, schema: Mapping[str, Any], root: Any, at: str, depth: int) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    for name in _list(schema, "required"):
        if name not in value:
            yield f"{at} has no {name!r}"
    others = schema.get("additionalProperties", True)
    for name, inner in value.items():
        part = properties.get(name, others)
        if part is False:
            yield f"{at} has {name!r}, which the schema does not know"
        else:
            yield from _problems(inner, part, root, f"{at}.{name}", depth - 1)


def _array(value: Any, schema: Mapping[str, Any], root: Any, at: str, depth: int) -> Iterator[str]:
    if not isinstance(value, list):
        return
    first = _list(schema, "prefixItems")
    for place, inner in enumerate(value):
        part = first[place] if place < len(first) else schema.get("items", True)
        yield from _problems(inner, part, root, f"{at}[{place}]", depth - 1)
