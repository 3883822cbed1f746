"""One tree of errors, in one module, drawn as it is."""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from pathlib import Path

import pytest

from frugal_chains import errors

PACKAGE = Path(errors.__file__).parent
CLASSES = [
    one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, errors.FrugalError)
]
PARENTS = {one.__name__: one.__bases__[0].__name__ for one in CLASSES[1:]}


def drawn() -> dict[str, str]:
    """The parent of each error in the tree that the module's docstring draws."""
    tree = re.findall(r"^ {4}((?:│   |    )*)[├└]── (\w+)", inspect.getdoc(errors) or "", re.M)
    above, parents = ["FrugalError"], {}
    for indent, name in tree:
        depth = len(indent) // 4
        parents[name] = above[depth]
        above[depth + 1 :] = [name]
    return parents


def test_the_docstring_draws_the_tree() -> None:
    assert drawn() == PARENTS


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_an_error_says_when_it_is_raised(error: type[errors.FrugalError]) -> None:
    assert inspect.getdoc(error)


def test_a_log_says_where_and_what_but_no_words() -> None:
    def refuses() -> None:
        try:
            raise KeyError("sk-live-1")
        except KeyError as error:
            raise ValueError("the prompt: my code is 4711") from error

    with pytest.raises(ValueError, match="4711") as caught:
        refuses()
    told = "".join(traceback.format_exception(*errors.wordless(caught.value)))
    assert "in refuses" in told
    assert told.rstrip().endswith("ValueError")
    assert "4711" not in told.replace('raise ValueError("the prompt: my code is 4711")', "")
    assert "KeyError" not in told


def test_every_error_of_the_core_is_in_the_tree() -> None:
    names = {one.__name__ for one in CLASSES}
    elsewhere = [
        f"{module.relative_to(PACKAGE)}: {node.name}"
        for module in sorted(PACKAGE.rglob("*.py"))
        if module.name != "errors.py"
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and names & {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
    ]
    assert elsewhere == []
