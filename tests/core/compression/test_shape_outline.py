"""Outlines: what they look like, and that every JSON value comes back from one."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.compression.shape import _values
from frugal_chains.compression.shape._outline import write_outline
from frugal_chains.compression.shape._outline_read import read_outline
from frugal_chains.compression.shape._values import read_json, write_json

# Texts that look like something else: numbers, words, marks of an outline, broken lines.
ODD: list[str] = json.loads(
    r'["", "1", "1.0", "-0", "1e3", "NaN", "-Infinity", "true", "null", "key", "-", "- a", "a: b", '
    r'"a:", "|", "| x", "[a]", "{a}", "a,b", "a;b", "; ", ",", "  a", "a ", "=x", "a=b", '
    r'"\"", "\"\"\"\"", "\\", "\\n\\n\\n\\n", "é", "日本", "a b", "[]", "{}", "[],", "07", "+1", '
    r'"http://x/?a=b,c", "\u00a0x", "\u2028", "\u0085", "\n", "a\nb", "a\n", "\n\n", "\t", '
    r'"\u0000", "a\n  b\n\nc", "a\r\nb", "\ud800", "\u007f"]'
)

texts = st.sampled_from(ODD) | st.text('ab,:;=|-[]{}"\\ \n\té', max_size=6)
strings = st.builds(lambda text, plain: json.dumps(text, ensure_ascii=plain), texts, st.booleans())
numbers = st.sampled_from(
    ("0", "-0", "1", "1.0", "1e3", "1E+3", "12345678901234567890123", "-1.50", "2024", "NaN")
)
scalars = strings | numbers | st.sampled_from(["true", "false", "null"])
names = st.sampled_from(['"a"', '"b"', '"id"', '"key"', '"x y"', '"-z"']) | strings


def array(members: list[str]) -> str:
    return f"[{','.join(members)}]"


def obj(members: list[tuple[str, str]]) -> str:
    return "{" + ", ".join([f"{name}: {value}" for name, value in members]) + "}"


@st.composite
def records(draw: st.DrawFn, values: st.SearchStrategy[str]) -> list[str]:
    """JSON objects with the same names, some of which a record may lack."""
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    of_column = [draw(st.sampled_from([strings, numbers, scalars, values])) for _ in columns]
    constant = [draw(st.booleans()) for _ in columns]
    first = [draw(kind) for kind in of_column]
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        cells = [f if c else draw(k) for f, c, k in zip(first, constant, of_column, strict=True)]
        pairs = zip(columns, cells, strict=True)
        rows.append(obj([pair for pair in pairs if draw(st.integers(0, 5))]))
    return rows


@st.composite
def keyed_records(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    rows = draw(records(values))
    keys = [draw(names) for _ in rows]
    if draw(st.booleans()):  # each record names its own key
        rows = ['{"id": ' + key + ", " + row[1:] for key, row in zip(keys, rows, strict=True)]
        rows = [row.replace(", }", "}") for row in rows]
    return obj(list(zip(keys, rows, strict=True)))


json_texts = st.recursive(
    scalars,
    lambda values: (
        st.lists(values, max_size=4).map(array)
        | st.lists(st.tuples(names, values), max_size=4).map(obj)
        | records(values).map(array)
        | st.lists(records(values).map(array) | st.just("[]"), max_size=3).map(array)
        | keyed_records(values)
    ),
    max_leaves=12,
)


def exact(text: str) -> Any:
    """The value by the standard library, with the text of numbers and doubled keys kept."""

    def number(written: str) -> tuple[str, str]:
        return "number", written

    return json.loads(
        text,
        parse_float=number,
        parse_int=number,
        parse_constant=number,
        object_pairs_hook=lambda pairs: ("object", pairs),
    )


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(json_texts)
def test_every_value_comes_back_from_its_outline(text: str) -> None:
    outline = write_outline(read_json(text))
    assert exact(write_json(read_outline(outline))) == exact(text)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(json_texts)
def test_json_without_blanks_is_the_same_value(text: str) -> None:
    assert exact(write_json(read_json(text))) == exact(text)


PLACES: dict[str, Callable[[str], Any]] = {
    "the whole value": lambda t: t,
    "a value": lambda t: {"a": t, "b": {"c": t, "d": 1}},
    "a name": lambda t: {t: 1, "b": {t: {"c": t}}},
    "an item": lambda t: [t, {"a": [t, ["b", [1]]]}, t],
    "an item of items": lambda t: [[[t], t], [["b"], t]],
    "a cell": lambda t: [{"a": t, "b": 1, "c": t}, {"a": "x", "b": t, "c": t}],
    "a constant cell": lambda t: {name: {"a": t, "b": name} for name in "klmnop"},
    "a cell in a cell": lambda t: [
        {"a": [{"b": t}, {"b": "x"}], "c": {t: t}},
        {"a": [], "c": {t: 1}},
    ],
    "a key of a row": lambda t: {t: {"a": t, "b": 1}, "l": {"a": "x", "b": 2}},
    "a name of a column": lambda t: [{t: 1, "b": {t: 2}}, {t: 3, "b": {t: 4}}],
    "values in brackets": lambda t: [{"a": [t, {t: t}], "b": 1}, {"a": t, "b": [[], {}]}],
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_odd_texts_come_back_from_every_place(place: Callable[[str], Any]) -> None:
    for odd in ODD:
        text = json.dumps(place(odd))
        assert exact(write_json(read_outline(write_outline(read_json(text))))) == exact(text), odd


def test_no_control_character_but_tabs_and_line_breaks_stands_in_an_outline() -> None:
    for odd in (*ODD, "a\r\nb", 'x\x1b"y"\n'):
        outline = write_outline(read_json(json.dumps({"a": odd, "b": [odd, {"c": odd}]})))
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", outline), odd
        assert outline.encode()  # halves of surrogate pairs are escaped


def test_no_stack_left_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_stack(text: str) -> Any:
        raise RecursionError

    monkeypatch.setattr(_values, "_decode", out_of_stack)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json("[1]")


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "a": 2}, {"b": 1}]',
        '[{"a": 1, "a": 2}, {"a": 3, "a": 4}]',
        '[{"a": 1, "b": 2}, {"b": 3, "a": 4}]',
        '[[{"a": []}], [], [{"a": 1}, {"a": 2}]]',
        '[{"a": {}, "b": 1}, {"a": {"c": 1}, "b": 2}, {"b": 3}]',
        '{"x": {"a": {}}, "y": {"a": {}}, "x": {"a": 1}}',
        '{"x": {"id": "x"}, "y": {"id": "y"}}',
        '[{"a": {}}, {"a": {}}]',
        '{"1": {"id": 1}, "2": {"id": 2}}',
        '[{"a": "same", "b": null}, {"a": "same", "b": null}, {"a": "same", "b": null}]',
    ],
)
def test_odd_records_come_back(text: str) -> None:
    assert exact(write_json(read_outline(write_outline(read_json(text))))) == exact(text)


def test_records_in_records_take_time_that_grows_with_their_length() -> None:
    # Tried as a table at every level, this took 20 seconds.
    value: Any = [{"x": f"v{i}", "y": i} for i in range(5_000)]
    for _ in range(28):
        value = [{**{f"c{i}": i for i in range(13)}, "n": value}]
    text = json.dumps(value)
    assert exact(write_json(read_outline(write_outline(read_json(text))))) == exact(text)


EXAMPLES = {
    "nested objects, quotes only where needed": (
        '{"name": {"first": "Ana", "last": "Li Wu"}, "zip": "78750", "n": 1.0, "ok": true, '
        '"no": "no", "empty": "", "none": null, "a: b": "c: d, e", '
        '"list": ["x", "y z", "3", 3], "nil": {}}',
        'name:\n first: Ana\n last: Li Wu\nzip: "78750"\nn: 1.0\nok: true\nno: no\nempty: ""\n'
        'none: null\n"a: b": c: d, e\nlist: [x,y z,"3",3]\nnil: {}',
    ),
    "records, a constant column, nested records and lists": (
        '[{"id": 1, "state": "pending", "price": {"low": 1, "high": 2}, "lines": '
        '[{"sku": "a"}, {"sku": "b"}]}, {"id": 2, "state": "pending", "price": {"low": 3, '
        '"high": 4}, "lines": []}]',
        "[id,state=pending,price{low,high},lines[sku]]:\n1,,1,2,[a; b]\n2,,3,4,[]",
    ),
    "records under keys": (
        '{"p": {"c_1": {"brand": "visa", "id": "c_1"}, "g_2": {"amount": 7, "id": "g_2"}}}',
        "p{key,amount,brand,id=key}:\n c_1,,visa\n g_2,7",
    ),
    "lists of records": (
        '[[{"a": 1, "b": 2}, {"a": 3, "b": 4}], [], [{"a": 5}]]',
        "[[a,b]]:\n1,2; 3,4\n[]\n5",
    ),
    "texts that would need many escapes": (
        '{"a": "\\"x\\" or \\"y\\"", "b": "\\"x\\" it is"}',
        'a: |\n "x" or "y"\nb: "\\"x\\" it is"',
    ),
    "texts of several lines": (
        '{"code": "def f():\\n  return 1\\n", "after": [{"x": 1, "y": {"z": []}}, "a: b", "\\n"]}',
        'code: |\n def f():\n   return 1\n\nafter:\n - x: 1\n  y:\n   z: []\n - "a: b"\n - |\n\n',
    ),
}


@pytest.mark.parametrize(("text", "outline"), EXAMPLES.values(), ids=EXAMPLES)
def test_an_outline_reads_like_this(text: str, outline: str) -> None:
    assert write_outline(read_json(text)) == outline
    assert exact(write_json(read_outline(outline))) == exact(text)


def test_lone_wide_and_sparse_records_keep_their_keys_beside_their_values() -> None:
    lone = [{f"c{n}": n for n in range(13)}]
    sparse = [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]  # a quarter of the cells
    assert write_outline(read_json(json.dumps(lone))).startswith("- c0: 0\n c1: 1\n")
    assert write_outline(read_json(json.dumps(sparse))) == "- a: 1\n- b: 2\n- c: 3\n- d: 4"
    lines = [{"id": n, "code": f"a\n{n}\n" * 4} for n in range(2)]
    assert write_outline(read_json(json.dumps(lines))).startswith("- id: 0\n code: |\n  a\n  0\n")
    half = [{"a": 1}, {"a": 2, "b": 3}]
    assert write_outline(read_json(json.dumps(half))) == "[a,b]:\n1\n2,3"


def test_wide_long_and_deep_records_keep_their_keys_beside_their_values() -> None:
    wide = [{f"field{i}": i for i in range(33)}] * 2
    long = [{"id": i, "body": f"word {i} " * 300} for i in range(2)]
    deep = [{"a": [{"b": [{"c": [{"d": [i]}]}]}]} for i in range(2)]
    for value in (wide, long, deep):
        outline = write_outline(read_json(json.dumps(value)))
        assert outline.startswith(("- field0: 0\n field1: 1", "- id: 0\n body: ", "- a[b[c[d]]]:"))


@pytest.mark.parametrize(
    "outline",
    ["", "a: 1\nb", "a:", "[a,b]:\n1,2,3", "[a]:\n[1", 'a: "x', "a: 1\n   b: 2", "{key,a}:\n[x],1"],
)
def test_what_is_no_outline_is_refused(outline: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_outline(outline)
