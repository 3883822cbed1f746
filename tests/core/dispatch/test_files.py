"""Calibration from a file to a policy that routes, and everything that may be wrong with a file."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from frugal_chains import Ledger
from frugal_chains.cli import main
from frugal_chains.dispatch import Router, load_policy, read_rows, with_ledger
from frugal_chains.errors import CalibrationError, RoutingPolicyError
from frugal_chains.routing import Keywords, Rule, Trade
from frugal_chains.tracking import CallEnd, CallStart, Tracker
from frugal_chains.usage import Usage, UsageReading
from tests.core.routing.requests import CHEAP, STRONG, request

# Of 15 tokens in and 256 out, as the router will expect them.
COSTS = {"gatekeeper": 0.00016, "specialist": 0.0065}
HARD = ("Prove the theorem", "Integrate the function", "Derive the bound", "Solve the equation")
EASY = ("Translate the sentence", "Name the capital", "Spell the word", "Count the letters")


def log(prompts: int = 240) -> Iterator[dict[str, Any]]:
    """Half of the questions are hard: only the specialist answers those, and nine of ten."""
    for index in range(prompts):
        hard = index % 2
        kind = (HARD if hard else EASY)[index // 2 % 4]
        prompt = f"{kind} number {index} of the list."
        right = {"gatekeeper": not hard, "specialist": index % 10 != 9}
        for model, usd in COSTS.items():
            yield {"prompt": prompt, "model": model, "score": int(right[model]), "cost_usd": usd}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in log()), encoding="utf-8")
    return file


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["calibrate", *map(str, arguments)])
    return result.exit_code, result.output


# -- from a log to a policy that routes --------------------------------------------------------


def test_a_calibrated_policy_sends_hard_questions_to_the_model_that_can(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "routing.frugal"
    code, text = run(path, "--quality", 0.9, "--out", out)
    assert code == 0, text
    assert "Routing is recommended" in text
    assert f"Written to {out}" in text
    # The specialist alone is right in 90 of 100; its half of the questions costs half as much.
    router = Router((CHEAP, STRONG), load_policy(out))
    asked = {text: router.plan(request(text)).decision for text in (
        "Prove the theorem number 1000 of the list.", "Name the capital number 1000 of the list.",
    )}  # fmt: skip
    assert [d.candidate for d in asked.values()] == ["specialist", "gatekeeper"]
    assert {d.reason for d in asked.values()} == {"gain"}


def test_json_has_the_intervals_and_the_verdict(path: Path) -> None:
    code, text = run(path, "--strong-share", 0.5, "--json")
    found = json.loads(text)
    assert code == 0
    assert found["recommended"] is True
    routed = found["lines"][0]
    assert routed["name"] == "routed"
    assert routed["quality"]["low"] <= routed["quality"]["value"] <= routed["quality"]["high"]
    assert routed["strong_share"] <= 0.5


def test_where_the_cheap_model_is_as_good_routing_is_not_recommended(tmp_path: Path) -> None:
    file, out = tmp_path / "log.jsonl", tmp_path / "routing.frugal"
    rows = [{**row, "score": int(hash_(row["prompt"]) % 3 > 0)} for row in log()]
    for row in rows[::7]:
        row["score"] = 1 - row["score"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, text = run(file, "--out", out)
    assert code == 1
    assert "Routing is not recommended" in text
    assert not out.exists()
    code, _ = run(file, "--out", out, "--anyway")
    assert code == 1
    assert out.exists()


def hash_(text: str) -> int:
    return sum(map(ord, text))


def test_csv_and_gzip_are_read_alike(path: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["prompt", "model", "score", "cost_usd"])
        writer.writeheader()
        writer.writerows(log())
    packed = tmp_path / "answers.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    plain = run(path, "--quality", 0.9)
    assert plain[0] == 0
    assert run(table, "--quality", 0.9) == run(packed, "--quality", 0.9) == plain


def test_feedback_is_joined_with_the_models_and_costs_of_a_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    feedback = []
    with Ledger.open(url) as ledger:
        tracker = Tracker(ledger)
        for index, row in enumerate(log()):
            model = {"gatekeeper": "gpt-4o-mini", "specialist": "gpt-4.1"}[row["model"]]
            run_id = f"{index:032x}"
            tracker.begin(CallStart(
                key=run_id, framework="t", provider="openai", model=model,
                request=lambda: request("x"),
            ))  # fmt: skip
            usage = Usage(input_tokens=100, output_tokens=10)
            tracker.end(run_id, CallEnd(reading=UsageReading(usage=usage)))
            dashes = f"{run_id[:8]}-{run_id[8:]}"  # as frameworks write them
            feedback.append({"run_id": dashes, "prompt": row["prompt"], "score": row["score"]})
        joined = list(with_ledger(feedback, ledger.attempts()))
    assert joined[1]["model"] == "gpt-4.1"
    assert joined[1]["cost_usd"] == pytest.approx(0.00028)  # 100 at $2 and 10 at $8 per million
    file = tmp_path / "feedback.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in feedback), encoding="utf-8")
    code, text = run(file, "--ledger", url, "--quality", 0.9)
    assert code == 0, text
    assert "best single (gpt-4.1)" in text


def test_the_trade_is_in_dollars_or_in_calls(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "routing.frugal"
    assert run(path, "--quality", 0.9, "--out", out)[0] == 0
    assert load_policy(out).trade.usd_per_answer is not None
    no_costs = tmp_path / "plain.jsonl"
    rows = [{k: v for k, v in row.items() if k != "cost_usd"} for row in log()]
    no_costs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(no_costs, "--quality", 0.9, "--out", out)[0] == 0
    policy = load_policy(out, rules=(Rule(name="x", when=Keywords("x"), to="specialist"),))
    assert policy.trade.min_gain is not None
    assert policy.rules[0].name == "x"


def test_an_answer_is_never_worth_less_than_nothing() -> None:
    from frugal_chains.dispatch._files import trade_of

    assert trade_of(4.0, "USD") == Trade(usd_per_answer=Decimal("0.25"))
    assert trade_of(0.0, "USD") == Trade(usd_per_answer=Decimal(10**6))
    assert trade_of(0.3, "strong calls") == Trade(min_gain=0.3)


# -- what may be wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("log.jsonl", b'{"prompt": "a"\n', "line 1 is not JSON"),
        ("log.jsonl", b"\n[1]\n", "line 2 is a JSON list"),
        ("log.txt", b"", "neither .jsonl nor .csv"),
        ("log.jsonl", b"\xff\xfe", "cannot be read"),
        ("log.csv.gz", b"not gzip", "cannot be read"),
        ("log.csv", b"prompt,model\na,b\n", "row 1 has no score"),
        ("log.csv", b"prompt,model,score\na,b,good\n", "row 1: the score is 'good'"),
        ("log.csv", b"prompt,model,score\na,b,nan\n", "row 1: the score is 'nan'"),
        ("log.csv", b"prompt,model,score\na,b,2\n", "from 0 (wrong) to 1 (right)"),
        (
            "log.csv",
            b"prompt,model,score\na,b,1\na,b,0\n",
            "rows 1 and 2: the same prompt and model",
        ),
        ("log.csv", b"prompt,model,score\na,b,1\n", "only the model 'b'"),
        ("log.csv", b"prompt,model,score\na,b,1\na,c,0\n", "1 of 1 prompts have scores of two"),
        ("log.csv", b"prompt,model,score\n", "the log has no rows"),
    ],
)
def test_logs_that_cannot_be_used_say_where_and_why(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    code, text = run(file)
    assert code == 1
    assert says in " ".join(text.split())


def test_a_missing_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="cannot be read"):
        list(read_rows(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a", "score": 1}, "row 1 names no model, and it has no run_id either"),
        ({"prompt": "a", "score": 1, "run_id": "ab-c"}, "and the ledger has no run abc"),
    ],
)
def test_feedback_without_an_attempt_is_told(row: dict[str, Any], says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        list(with_ledger([row], []))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--quality", 0.9, "--spend", 1),
        ("--cost", "gpt"),
        ("--cost", "gpt=x"),
        ("--cost", "=1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[object, ...], path: Path) -> None:
    assert run(path, *arguments)[0] == 2


@pytest.mark.parametrize("content", [None, b"", b"not a zip", "empty", "newer"])
def test_a_file_that_is_no_policy_is_told(content: Any, tmp_path: Path, path: Path) -> None:
    file = tmp_path / "routing.frugal"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "empty":
        with ZipFile(file, "w"):
            pass
    elif content == "newer":
        assert run(path, "--quality", 0.9, "--out", file)[0] == 0
        with ZipFile(file) as old:
            parts = {name: old.read(name) for name in old.namelist()}
        facts = {**json.loads(parts["policy.json"]), "version": 99}
        with ZipFile(file, "w") as new:
            new.writestr("policy.json", json.dumps(facts))
            new.writestr("gain.npz", parts["gain.npz"])
    with pytest.raises(
        RoutingPolicyError, match=r"routing\.frugal (is no calibrated|has version 99)"
    ):
        load_policy(file)
