"""Everything the README and the examples show is run, against a provider on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Mapping
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
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
    (tmp_path / "frugal.toml").write_text(  # as the README's `whatif --out` has written it
        '[routing.by_task]\n"sort mail" = "openai:gpt-4o-mini"\n', encoding="utf-8"
    )
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
    "whatif examples/traffic/openai.jsonl "
    '--route "sort mail=openai:gpt-4o-mini" --out frugal.toml': (
        r"calls 12, 12 of them with their texts.*bill, recorded \$0\.0026454.*routing \$0\.0005"
    ),
    "whatif examples/traffic/anthropic.jsonl --sweep prompt_cache.ttl=5m,1h": (
        r"3 ways to set prompt_cache\.ttl"
    ),
    "whatif examples/workloads/five_million_calls.toml --prices today.toml --prices new.toml": (
        r"a month, by prices +today\.toml +new\.toml"
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


EXPORTS = ROOT / "tests" / "core" / "reconcile" / "fixtures"
PLACED = {
    "answers.jsonl": lambda: _lines(240),
    "today.toml": str,
    "new.toml": str,
    "completions_usage_2026-11-01_2026-11-30.csv": (EXPORTS / "openai_usage.csv").read_text,
    "cost_2026-11-01_2026-11-30.csv": (EXPORTS / "openai_cost.csv").read_text,
}
"""Files that commands of the README name: a log, empty price lists, and exports of a provider."""
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
    for name, text in PLACED.items():
        (tmp_path / name).write_text(text(), encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = Path(sys.executable).with_name("frugal")  # as installed
    arguments = shlex.split(asked)
    with (
        open(tmp_path / "said", "w+", encoding="utf-8") as said,
        subprocess.Popen(
            [program, *arguments], cwd=tmp_path, env=environment, stdout=said, stderr=said,
        ) as done,
    ):  # fmt: skip
        try:
            if arguments[0] == "watch":  # until a person ends it, who has seen it
                _wait_for("last minute", tmp_path / "said")
                done.send_signal(signal.SIGINT)
            code = done.wait(timeout=60)
        finally:
            done.kill()
        said.seek(0)
        output = said.read()
    assert code == CODES.get(arguments[0], 0), output
    assert re.search(COMMANDS[asked], " ".join(output.split())), output


def _wait_for(text: str, path: Path) -> None:
    until = time.monotonic() + 60
    while text not in path.read_text("utf-8"):
        assert time.monotonic() < until, path.read_text("utf-8")
        time.sleep(0.1)


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
    said = _run_demo(tmp_path, _environment(scripted, tmp_path))
    assert "a real bill" in said
    assert "budget [run] refused this call" in " ".join(said.split())
    asked = [r.body["model"] for r in scripted.requests if "chat" in r.path]
    assert sorted(asked) == ["gpt-4o"] + 5 * ["gpt-4o-mini"]
    found = _ends_with_the_proof(said, tmp_path)
    # 500 tokens at $2.50 and 4 at $10 per million are $0.00129; at $0.15 and $0.60 $0.0000774.
    assert found["routing, cascade"] == 5 * (Decimal("0.00129") - Decimal("0.0000774"))
    assert found["bill"] == Decimal("0.001677")


def test_the_demo_puts_its_report_where_it_is_told(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    scripted.always(Reply("A short answer.", usage=Tokens(fresh=500, visible=4)))
    environment = _environment(scripted, tmp_path) | {"DEMO_MODELS": "gpt-4.1-mini"}
    for _ in range(2):  # the second begins with an empty ledger
        said = _run_demo(tmp_path, environment, "elsewhere")
        assert "elsewhere/report.html" in said
        assert not (tmp_path / "build").exists()
        # One model alone: six times 500 tokens at $0.40 and 4 at $1.60; nothing was routed.
        found = _waterfall_in(said)
        assert found["bill"] == Decimal("0.0012384")
        assert not found.get("routing, cascade")


@pytest.mark.usefixtures("local_model")  # skips where the model is not installed
def test_the_demo_runs_on_the_local_model(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "FRUGAL"))}
    said = _run_demo(tmp_path, {**environment, "COLUMNS": "100"})
    text = " ".join(said.split())
    assert "smollm2-135m-instruct" in said
    assert "applies the list prices of gpt-4o-mini and gpt-4o" in text
    for model in ("gpt-5.1", "claude-sonnet-4-5", "gemini-2.5-flash"):
        assert re.search(rf"{re.escape(model)} .*: \$0\.0\d+", said)
    longest = re.search(r"none of them cached: the longest prompt has (\d+) tokens", text)
    assert longest is not None
    assert int(longest[1]) < 1024  # else a hosted cache might have granted some of it
    cached = re.search(r"langchain: [^:]*?\((\d+)% from the prompt cache\)", text)
    assert cached is not None
    assert int(cached[1]) > 10  # notes change with the question, and are never read
    with Ledger.open(f"sqlite:///{tmp_path}/build/demo/demo.db", read_only=True) as ledger:
        turns = [row for row in ledger.attempts(purpose="answer") if row.framework == "langchain"]
    # The beginning of the conversation is really read from the cache: more of it with each turn.
    read = [row.usage.cache_read_tokens for row in turns]
    assert read[0] == 0
    assert all(before < after for before, after in pairwise(read))
    assert "budget [run] refused this call" in text
    _ends_with_the_proof(said, tmp_path)


def _run_demo(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _ends_with_the_proof(said: str, folder: Path) -> dict[str, Decimal | None]:
    """The waterfall as it was printed adds up, its ends are those of the ledger, computed here from
    tokens and list prices, and the page says the same and loads nothing."""
    found = _waterfall_in(said)
    assert list(found) == ["baseline", "compression", "routing, cascade", "bill"]
    baseline, *steps, bill = (usd or Decimal(0) for usd in found.values())
    assert baseline - sum(steps) == bill
    with Ledger.open(f"sqlite:///{folder}/build/demo/demo.db", read_only=True) as ledger:
        answers, effects = list(ledger.attempts(purpose="answer")), list(ledger.effects())
        assert sum(line.cost_usd for line in ledger.totals()) == bill
    assert sum(_at_list(a.usage, a.model_asked or a.model) for a in answers) == bill
    assert sum(_at_list(a.usage, "gpt-4o") for a in answers) + steps[0] == baseline
    nets = [effect.net_nanos for effect in effects if effect.net_nanos is not None]
    assert found["compression"] == (Decimal(sum(nets)) / 10**9 if nets else None)
    assert {effect.lever for effect in effects} == {"compression.extract"}
    assert {effect.operation_id for effect in effects} == {a.operation_id for a in answers}
    assert all(effect.tokens_after <= 160 < 600 < effect.tokens_before for effect in effects)
    page = (folder / "build" / "demo" / "report.html").read_text("utf-8")
    assert said.rstrip().endswith("build/demo/report.html")
    assert f"Exactly ${bill}" in page
    assert "From baseline to bill" in page
    assert not re.search(r"<(script|link|iframe|img)\b|\s(src|href)=\"(?!#)|url\(|@import", page)
    return found


def _waterfall_in(said: str) -> dict[str, Decimal | None]:
    """Amounts by the names of its lines; None: unknown."""
    lines = re.findall(
        r"^(\w[\w, ]*?) +(?:([+-]?)\$([\d.]+)|unknown) +(?:-|-?[\d.,]+%)(?: +[█░]+)?\s*$",
        said[said.index("From baseline to bill") :],
        flags=re.MULTILINE,
    )
    return {name: Decimal(sign + usd) if usd else None for name, sign, usd in lines}


def _at_list(usage: Usage, model: str) -> Decimal:
    """USD per million tokens: openai.com/api/pricing, read 2026-11-21."""
    fresh, cached, out = {
        "gpt-4o-mini": ("0.15", "0.075", "0.60"),
        "gpt-4o": ("2.50", "1.25", "10"),
    }[model]
    read = usage.cache_read_tokens
    parts = ((usage.input_tokens - read, fresh), (read, cached), (usage.output_tokens, out))
    return sum((tokens * Decimal(usd) for tokens, usd in parts), Decimal(0)) / 1_000_000


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
