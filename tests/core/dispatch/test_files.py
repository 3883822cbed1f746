"""Calibration from a file to a policy that routes, and everything that may be wrong with a file."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from frugal_chains import Ledger
from frugal_chains.cli import main
from frugal_chains.dispatch import Router, load_policy, read_rows, save_calibration, with_ledger
from frugal_chains.errors import CalibrationError, RoutingPolicyError
from frugal_chains.routing import Cascade, Keywords, Rule, Trade
from frugal_chains.routing.calibration import Calibration, QualityFloor, calibrate
from frugal_chains.routing.cascade import (
    STANDARD,
    AnswerFacts,
    Format,
    LearnedValidator,
    Outcome,
    ValidatorFit,
    answer_rows,
    fit_validator,
    refusal,
)
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
    from frugal_chains.dispatch.routing._files import trade_of

    assert trade_of(4.0, "USD") == Trade(usd_per_answer=Decimal("0.25"))
    assert trade_of(0.0, "USD") == Trade(usd_per_answer=Decimal(10**6))
    assert trade_of(0.3, "strong calls") == Trade(min_gain=0.3)


# -- a cascade's validator ---------------------------------------------------------------------


def answers(count: int = 160, seed: int = 0) -> list[dict[str, Any]]:
    """Products, four in ten of them stated wrongly; the stronger model is right in 19 of 20."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        one, other, right = draw.randint(2, 40), draw.randint(2, 40), draw.random() >= 0.4
        shown = one * other + (0 if right else draw.randint(1, 9))
        rows.append({
            "prompt": f"How many pens are in {one} boxes of {other} pens each?",
            "answer": f"There are {one} * {other} = {shown} pens.",
            "score": int(right), "stronger_score": int(draw.random() < 0.95),
            "cost_usd": 0.0002, "stronger_cost_usd": 0.0064,
        })  # fmt: skip
    return rows


def written(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(log(), QualityFloor(of_best=0.9))


def fitted(seed: int = 0, *, stronger: bool = True, **more: Any) -> ValidatorFit:
    rows = [
        row if stronger else replace(row, stronger_right=None)
        for row in answer_rows(answers(80, seed))
    ]
    return fit_validator(rows, trees=3, seed=seed, **more)


PAIRS = [(row.request, row.answer) for row in answer_rows(answers(20, seed=9))]


@settings(max_examples=30, deadline=None)  # each one fits a validator
@given(seed=st.integers(0, 10_000), stronger=st.booleans(), limit=st.floats(-1, 1))
def test_a_stored_validator_finds_the_same_risks(
    calibration: Calibration,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    stronger: bool,
    limit: float,
) -> None:
    file = tmp_path_factory.mktemp("kept") / "routing.frugal"
    validator = fitted(seed, stronger=stronger).validator
    save_calibration(file, calibration, validator, limit)
    cascade = load_policy(file).cascade
    assert cascade is not None
    *first, again = cascade.validators
    assert tuple(first) == STANDARD
    assert isinstance(again, LearnedValidator)
    assert again.risks(PAIRS) == validator.risks(PAIRS)
    assert cascade.max_p_wrong == limit
    assert not cascade.by_bill


def test_without_a_limit_the_bill_goes_on_to_decide(
    calibration: Calibration, tmp_path: Path
) -> None:
    file = tmp_path / "routing.frugal"
    save_calibration(file, calibration, fitted().validator)
    own = Cascade(validators=(refusal,), max_p_wrong=0.2, samples=2)
    cascade = load_policy(file, cascade=own).cascade
    assert cascade is not None
    assert cascade.validators[0] is refusal
    assert replace(cascade, validators=(refusal,)) == own
    assert load_policy(file, cascade=None).cascade is None


def test_checks_of_the_application_are_given_again(
    calibration: Calibration, tmp_path: Path
) -> None:
    file, check = tmp_path / "routing.frugal", Format("pens")
    validator = fitted(checks=(check,)).validator
    save_calibration(file, calibration, validator, 0.3)
    cascade = load_policy(file, checks=(check,)).cascade
    assert cascade is not None
    again = cascade.validators[-1]
    assert [again(*pair).risk for pair in PAIRS] == [validator(*pair).risk for pair in PAIRS]
    with pytest.raises(RoutingPolicyError, match="the checks it was fitted with"):
        load_policy(file)


def rewritten(file: Path, facts: dict[str, Any], **parts: bytes | None) -> None:
    """Change the facts of a stored policy and its parts; None leaves one out."""
    with ZipFile(file) as old:
        kept: dict[str, Any] = {name: old.read(name) for name in old.namelist()}
    kept["policy.json"] = json.dumps({**json.loads(kept["policy.json"]), **facts})
    kept.update({name.replace("_", "."): part for name, part in parts.items()})
    with ZipFile(file, "w") as new:
        for name, part in kept.items():
            if part is not None:
                new.writestr(name, part)


@pytest.mark.parametrize("facts", [None, {}, {"max_p_wrong": 0.3}, "yes"])
def test_a_file_that_says_nothing_of_a_validator_has_none(
    calibration: Calibration, tmp_path: Path, facts: Any
) -> None:
    file = tmp_path / "routing.frugal"
    save_calibration(file, calibration, fitted().validator, 0.3)
    rewritten(file, {"validator": facts}, validator_json=None)
    assert load_policy(file).cascade is None
    save_calibration(file, calibration)
    assert load_policy(file).cascade is None
    assert load_policy(file, cascade=Cascade()).cascade == Cascade()


@pytest.mark.parametrize(
    ("facts", "part", "says"),
    [
        ({"version": 99, "max_p_wrong": 0.3}, b"{}", "has version 99, this library reads 1"),
        ({"version": 1, "max_p_wrong": 0.3}, None, "is no calibrated policy"),
        ({"version": 1, "max_p_wrong": 0.3}, b"{}", "is no calibrated policy: .* fit it again"),
        ({"version": 1, "max_p_wrong": 0.3}, b"\xff", "is no calibrated policy"),
    ],
)
def test_a_validator_that_cannot_be_read_is_told(
    calibration: Calibration, tmp_path: Path, facts: Any, part: bytes | None, says: str
) -> None:
    file = tmp_path / "routing.frugal"
    save_calibration(file, calibration, fitted().validator, 0.3)
    rewritten(file, {"validator": facts}, validator_json=part)
    with pytest.raises(RoutingPolicyError, match=says):
        load_policy(file)


def test_a_limit_that_is_of_nothing_is_not_stored(calibration: Calibration, tmp_path: Path) -> None:
    file = tmp_path / "routing.frugal"
    with pytest.raises(CalibrationError, match="the limit of a validator"):
        save_calibration(file, calibration, None, 0.3)
    with pytest.raises(CalibrationError, match="max_p_wrong is nan"):
        save_calibration(file, calibration, fitted().validator, float("nan"))
    assert not file.exists()


def test_calibrate_learns_from_answers_which_ones_go_up(path: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "routing.frugal", written(tmp_path / "drafts.jsonl", answers())
    code, text = run(path, "--quality", 0.9, "--answers", file, "--out", out)
    assert code == 0, text
    assert "Cascade, learned from 160 answers. Target: 90% of the stronger model's" in text
    assert "The cascade is recommended" in text
    assert f"Written to {out}, with the cascade." in text
    steps = Router((CHEAP, STRONG), load_policy(out, default_tier="gatekeeper"))
    asked = request("How many pens are in 12 boxes of 12 pens each?")
    ends = {}
    for shown in (144, 150):
        flow = steps.plan(asked).steps()
        assert next(flow).candidate == "gatekeeper"
        draft = AnswerFacts(text=f"There are 12 * 12 = {shown} pens.", finish_reason="stop")
        try:
            ends[shown] = flow.send(Outcome(answer=draft)).candidate
        except StopIteration as end:
            ends[shown] = end.value.why
    assert ends == {144: "accepted", 150: "specialist"}


def test_json_says_what_the_cascade_would_do(path: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "drafts.jsonl", answers())
    code, text = run(path, "--strong-share", 0.5, "--answers", file, "--json")
    found = json.loads(text)["cascade"]
    assert code == 0
    assert 0 < found["share"] <= 0.5
    assert found["drafts"] < found["quality"]
    assert json.loads(run(path, "--json")[1])["cascade"] is None


def test_a_cascade_that_is_not_recommended_is_left_out(path: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "routing.frugal", written(tmp_path / "drafts.jsonl", answers())
    # For so much money every answer may go up: then the draft is in vain.
    code, text = run(path, "--spend", 0.5, "--answers", file, "--out", out, "--anyway")
    assert "ask the stronger model at once" in text
    assert "with the cascade" in text
    assert load_policy(out).cascade is not None
    code, text = run(path, "--spend", 0.0064, "--answers", file, "--out", out)
    assert (code, load_policy(out).cascade) == (0, None), text
    assert f"Written to {out}, without the cascade." in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[:9], "9 rows are too few to learn from; give at least 40"),
        (lambda rows: [{**row, "score": 1} for row in rows], "only 0 of 160 answers are wrong"),
        (
            lambda rows: [{k: v for k, v in row.items() if k != "stronger_score"} for row in rows],
            "row 1 has no stronger_score: each row needs prompt, answer, score (of that answer) "
            "and stronger_score (of a stronger model's answer to that prompt); it has prompt",
        ),
    ],
)
def test_answers_that_cannot_be_used_say_where_and_why(
    path: Path, tmp_path: Path, change: Any, says: str
) -> None:
    out, file = tmp_path / "routing.frugal", written(tmp_path / "drafts.jsonl", change(answers()))
    code, text = run(path, "--quality", 0.9, "--answers", file, "--out", out)
    assert (code, out.exists()) == (1, False)
    assert says in " ".join(text.split())


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


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    for name, content in (
        ("log.csv", "prompt,model,score\na,b,1\n"),
        ("log.jsonl", '{"prompt": "a", "model": "b", "score": "1"}\n'),
    ):
        file = tmp_path / name
        file.write_bytes(b"\xef\xbb\xbf" + content.encode())
        assert list(read_rows(file)) == [{"prompt": "a", "model": "b", "score": "1"}]


def test_rows_that_name_their_model_stay_as_they_are_beside_a_ledger() -> None:
    row = {"prompt": "a", "model": "mine", "score": 1, "cost_usd": 0.5}
    assert list(with_ledger([row], [])) == [row]


def test_quality_at_a_negative_price_is_wanted_at_any() -> None:
    from frugal_chains.dispatch.routing._files import trade_of

    assert trade_of(-0.1, "USD") == Trade(usd_per_answer=Decimal(10**6))
