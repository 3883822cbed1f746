"""What judges compressors: that harm is seen, budgets are caps, and differences are paired."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEXT = (
    "The song spent 7 weeks on the Billboard Hot 100 chart. It earned $1,234.50 on May 20, 2024. "
    "Ask bob@x.org about HAT136 at https://a.example/x?id=42 before noon."
)


def words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("atoms", "baselines", "data", "measure", "protocol")
    yield SimpleNamespace(**{name: import_module(f"compression.{name}") for name in names})
    for added in set(sys.modules) - before:
        if added.partition(".")[0] in ("compression", "_figures"):
            sys.modules.pop(added)


@pytest.mark.parametrize(
    ("kept", "whole", "of"),
    [
        (TEXT, 7, 7),
        ("", 0, 0),
        ("The song spent 7 weeks on the Billboard Hot 100 chart.", 2, 2),
        ("The song spent weeks on the Billboard Hot chart.", 0, 2),  # both numbers are gone
        ("It earned $1,234", 0, 1),  # cut
        ("It earned $1,234.50 on May 20", 1, 2),  # the date is not that of the text any more
        ("Ask bob@x.org about HAT1", 1, 2),
        ("song weeks chart", 0, 0),  # words strewn about are no sentence
        ("7,100", 1, 1),  # two values in columns now
    ],
)
def test_harm_to_atoms_is_counted(judge: SimpleNamespace, kept: str, whole: int, of: int) -> None:
    passage = judge.protocol.Passage("[1] Label 99\n", TEXT)
    assert judge.atoms.intact([passage], [kept]) == (whole, of)


@pytest.mark.parametrize("budget", [0, 1, 5, 30, 77, 10_000])
def test_no_baseline_exceeds_a_budget(judge: SimpleNamespace, budget: int) -> None:
    passages = [
        judge.protocol.Passage(f"[{at}] Title\n", " ".join([TEXT] * (at % 3))) for at in range(12)
    ]
    for contender in judge.baselines.contenders():
        kept = contender.compress("What about HAT136?", passages, budget_tokens=budget, count=words)
        assert len(kept) == len(passages)
        assert words(judge.protocol.rendered(passages, kept)) <= budget, contender.name
        if budget == 10_000:
            assert list(kept) == [passage.text for passage in passages], contender.name


def test_bm25_is_that_of_the_book(judge: SimpleNamespace) -> None:
    """idf(b) = ln(1 + (2 - 1 + .5) / (1 + .5)) = ln 2; the first text is 2/3 of the mean long."""
    found = judge.baselines.bm25(["b", "x"], [["a", "b"], ["a", "a", "a", "a"]])
    norm = 1.2 * (1 - 0.75 + 0.75 * 2 / 3)
    assert found == pytest.approx([np.log(2) * 2.2 / (1 + norm), 0.0])


def test_a_difference_is_taken_on_the_same_draws(judge: SimpleNamespace) -> None:
    groups = [str(at // 2) for at in range(40)]
    boot = judge.protocol.Bootstrap(groups, draws=200, seed=1)
    values = np.arange(40) % 7 / 7
    better = boot.mean(values + 0.25) - boot.mean(values)
    assert better == pytest.approx(np.full(201, 0.25))
    assert boot.mean(values)[0] == pytest.approx(values.mean())
    assert boot.mean(values).std() > 0
    half = np.where(np.arange(40) < 20, values, np.nan)
    assert boot.mean(half)[0] == pytest.approx(values[:20].mean())


def test_a_value_stands_on_its_own(judge: SimpleNamespace) -> None:
    holds = judge.data.holds
    assert holds('{"amount":100}', "100")
    assert holds("51,121,239", "121")
    assert holds("It is 100.", "100")
    assert not holds("1000", "100")
    assert not holds("100.5", "100")
    assert not holds("HAT136-2", "HAT136")


def test_a_prompt_over_budget_is_counted(judge: SimpleNamespace) -> None:
    case = judge.data.Case(
        group="0", kind="random", query="?", answers=("Hot 100",),
        passages=(judge.protocol.Passage("[1] ", TEXT),) * 2,
    )  # fmt: skip
    run = judge.measure.Measurement("nq20", [case], words, draws=10, seed=0)
    for name, keep in (("all", lambda p: p.text), ("none", lambda p: "")):

        def compress(query, passages, *, budget_tokens, count, keep=keep):  # type: ignore[no-untyped-def]
            return [keep(passage) for passage in passages]

        run.run(judge.protocol.Contender(name=name, compress=compress))
    found = run.figures()
    assert found["nq20 4x, all: over budget"].value == 1
    assert found["nq20 4x, all: answer kept"].value == 100
    assert found["nq20 4x, all: ratio"].value == 1
    assert found["nq20 4x, none: over budget"].value == 0
    assert found["nq20 4x, none: answer kept"].value == 0
    assert run.less("all", "none")["nq20 8x, all less none: answer kept"].value == 100


def test_absent_data_says_what_to_do(judge: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(judge.data.DataAbsent, match=r"compression/ with --data"):
        judge.data.nq20(tmp_path)
