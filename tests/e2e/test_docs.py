"""Everything the README and the examples show is run, against a provider on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import uuid
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from frugal_chains import Ledger, PriceBook, Usage
from frugal_chains.ledger import Attempt, new_id
from frugal_chains.pricing import Priced, Unpriced
from tests.servers import Reply, ScriptedServer, Tokens

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _environment(scripted: ScriptedServer, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "OPENAI_API_KEY": "test",
        "OPENAI_BASE_URL": scripted.openai_base_url,
        "OPENAI_API_BASE": scripted.openai_base_url,
        "FRUGAL_LEDGER": f"sqlite:///{folder}/frugal.db",
        "COLUMNS": "100",
    }


def test_the_snippets_of_the_readme_run_in_order(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.always(Reply("Because.", usage=Tokens(fresh=12, visible=4)))
    script = tmp_path / "snippets.py"
    script.write_text("\n".join(_blocks("python")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env=_environment(scripted, tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Ledger.open(f"sqlite:///{tmp_path}/frugal.db", read_only=True) as ledger:
        features = {line.key["feature"]: line.attempts for line in ledger.totals(by=["feature"])}
    assert features == {"faq": 2, "search": 1, "routed": 1}
    # gpt-4o-mini: 12 tokens at $0.15 and 4 at $0.60 per million.
    assert "$0.0000042 for 1 attempts" in done.stdout


def test_the_prices_toml_of_the_readme_is_valid_and_does_what_it_says(tmp_path: Path) -> None:
    (text,) = _blocks("toml")
    assert set(tomllib.loads(text)) == {"alias", "multiplier", "price", "free"}
    file = tmp_path / "prices.toml"
    file.write_text(text, encoding="utf-8")
    book, usage = PriceBook.load(file), Usage(input_tokens=1000, output_tokens=1000)
    own = book.price(usage, model="our-model-7", provider="example-host")
    assert own.cost_usd == Decimal("0.001")
    sonnet = book.price(usage, model="claude-sonnet-4-5", provider="anthropic")
    assert sonnet.cost_usd == Decimal("0.0162")  # 90 % of 3 + 15 per million
    assert book.price(usage, model="anything", provider="ollama").cost_usd == 0


COMMANDS = {
    # 12 tokens at $0.15 and 4 at $0.60 per million.
    "report --by model --by feature --since 7d": (
        r"by model +feature.*gpt-4o-mini +faq +1 .*\$0\.0000042"
    ),
    "cache --since 7d": r"fingerprints=True",
    # Sonnet 4.5 in a batch: half of $3 and $15 (platform.claude.com pricing, read 2026-11-21).
    "prices claude-sonnet-4-5 --tier batch": r"batch tier.*input +\$1\.50.*output +\$7\.50",
    "doctor": r"ledger: sqlite:///\S+frugal.db \(\$FRUGAL_LEDGER\): 1 attempts",
    "calibrate answers.jsonl --quality 0.98 --out routing.frugal": (
        r"best single \(large\) 1\.000.*Routing is recommended.*Written to routing.frugal"
    ),
    "whatif examples/traffic/openai.jsonl --route faq=openai:gpt-4o-mini --out frugal.toml": (
        r"calls 12, 12 of them with their texts.*bill, recorded \$0\.0026454"
    ),
    # 5M x (800 x $2.50 + 300 x $10) / 1M; its mixes add up to these.
    "whatif examples/workloads/five_million_calls.toml": (
        r"baseline \$25,000\.00 .*conservative \$11,962\.50 .*52\.15%.*routed \$3,662\.50"
    ),
    "whatif --ledger sqlite:///frugal.db --batch nightly": r"calls 1, 0 of them with their texts",
    "report --html report.html --budget 500/month": r"written: report\.html",
    "reconcile completions_usage_2026-11-01_2026-11-30.csv cost_2026-11-01_2026-11-30.csv": (
        r"2026-11"
    ),
    "watch --every 2s --budget 20/day": r"last minute <\$0\.0001 1 .*day \$20\.0000",
    "export --csv attempts.csv --since 30d": r"attempts\.csv",
}
"""What each command of the README prints, once a call as its snippets make it has been recorded."""


PLACED = {
    "answers.jsonl": None,
    "completions_usage_2026-11-01_2026-11-30.csv": "openai_usage.csv",
    "cost_2026-11-01_2026-11-30.csv": "openai_cost.csv",
}
"""Files that commands of the README name: a log, and exports of a provider."""
CODES = {"reconcile": 3}
"""Those exports are of other calls than are in the ledger."""


def _command_lines() -> list[str]:
    lines = [line.strip() for line in README.splitlines() if line.startswith("    frugal ")]
    return [line.partition("#")[0].strip().removeprefix("frugal ") for line in lines]


def test_every_command_of_the_readme_is_run() -> None:
    assert set(_command_lines()) == set(COMMANDS)


@pytest.mark.parametrize("asked", COMMANDS)
def test_the_commands_of_the_readme_run(
    asked: str, scripted: ScriptedServer, tmp_path: Path
) -> None:
    environment = _environment(scripted, tmp_path)
    with Ledger.open(environment["FRUGAL_LEDGER"]) as ledger:
        ledger.record(_attempt(model="gpt-4o-mini", tags={"tenant": "acme", "feature": "faq"}))
    for name, fixture in PLACED.items():
        exports = ROOT / "tests" / "core" / "reconcile" / "fixtures"
        text = (exports / fixture).read_text("utf-8") if fixture else _lines(240)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = Path(sys.executable).with_name("frugal")  # as installed
    arguments = asked.split()
    with subprocess.Popen(
        [program, *arguments], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as done:  # fmt: skip
        try:
            output, error = done.communicate(timeout=3 if arguments[0] == "watch" else 60)
        except subprocess.TimeoutExpired:
            done.send_signal(signal.SIGINT)  # as a person ends it
            output, error = done.communicate(timeout=60)
    assert done.returncode == CODES.get(arguments[0], 0), output + error
    assert re.search(COMMANDS[asked], " ".join((output + error).split())), output + error


def _lines(count: int) -> str:
    return "".join(map(_line, range(count)))


def _line(index: int) -> str:
    """Two rows of a log in which the small model fails at proofs."""
    small_is_right = index % 2
    prompt = f"{'Translate' if small_is_right else 'Prove'} number {index}."
    rows = (("small", small_is_right, 0.0002), ("large", 1, 0.008))
    return "".join(
        json.dumps({"prompt": prompt, "model": model, "score": score, "cost_usd": usd}) + "\n"
        for model, score, usd in rows
    )


def _attempt(**fields: Any) -> Attempt:
    at_us = time.time_ns() // 1000
    fields.setdefault("usage", Usage(input_tokens=12, output_tokens=4))
    priced = Priced(nanos=4200, input_nanos=1800, output_nanos=2400, price_id="test")
    return Attempt(
        id=new_id(at_us), operation_id=uuid.uuid4().hex, at_us=at_us, framework="langchain",
        provider="openai", **{"model": "gpt-4o-mini", "price": priced, **fields},
    )  # fmt: skip


def test_the_demo_runs_against_a_provider_when_there_is_a_key(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    scripted.always(Reply("A short answer.", usage=Tokens(fresh=500, visible=4)))
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        cwd=tmp_path, env=_environment(scripted, tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "a real bill" in done.stdout
    assert "budget [run] refused this call" in " ".join(done.stdout.split())
    assert len([r for r in scripted.requests if "chat" in r.path]) == 5


@pytest.mark.usefixtures("local_model")  # skips where the model is not installed
def test_the_demo_runs_on_the_local_model(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "FRUGAL"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        cwd=tmp_path, env={**environment, "COLUMNS": "100"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "smollm2-135m-instruct" in done.stdout
    assert "applies the list price of gpt-4o-mini" in " ".join(done.stdout.split())
    for model in ("gpt-5.1", "claude-sonnet-4-5", "gemini-2.5-flash"):
        assert re.search(rf"{re.escape(model)} .*: \$0\.0\d+", done.stdout)
    text = " ".join(done.stdout.split())
    longest = re.search(r"none of them cached: the longest prompt has (\d+) tokens", text)
    assert longest is not None
    assert int(longest[1]) < 1024  # else a hosted cache might have granted some of it
    cached = re.search(r"langchain: [^:]*?\((\d+)% from the prompt cache\)", text)
    assert cached is not None
    assert int(cached[1]) > 30  # the conversation's beginning is really read from the cache
    assert "budget [run] refused this call" in " ".join(done.stdout.split())


# -- what the demo says of a bill --------------------------------------------------------------


def _demo() -> ModuleType:
    spec = spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _said(what: str, *about: object) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as captured:
        getattr(_demo(), what)(console, *about)
    return captured.get()


def test_the_demo_grants_hosted_models_no_cache_reads_of_a_short_prompt() -> None:
    cached = Usage(input_tokens=600, cache_read_tokens=590, output_tokens=40)
    said = _said("show_elsewhere", [_attempt(usage=cached), _attempt(usage=cached)])
    # Two answers to 600 tokens at $1.25, $3 and $0.30 per million, of 40 at $10, $15 and $2.50.
    for cost in ("$0.0023", "$0.0048", "$0.00056"):
        assert f": {cost}\n" in said
    assert "none of them cached: the longest prompt has 600 tokens" in said


def test_the_demo_never_shows_an_unknown_cost_as_nothing() -> None:
    with Ledger.open("memory://") as ledger:
        ledger.record(_attempt(price=Unpriced(reason="no price")))
        assert "unpriced" in _said("show_totals", ledger)
        assert "$" not in _said("show_totals", ledger)
        ledger.record(_attempt())
        assert "$0.0000042 + 1 unpriced" in _said("show_totals", ledger)
    sound = Usage(input_tokens=10, input_audio_tokens=5)  # no Claude takes audio
    said = _said("show_elsewhere", [_attempt(usage=sound)])
    assert "claude-sonnet-4-5 (anthropic): unpriced" in said
