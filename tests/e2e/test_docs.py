"""Everything the README and the examples show is run, against a provider on loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from frugal_chains import Ledger, PriceBook
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
    assert features == {"faq": 2, "search": 1}
    # gpt-4o-mini: 12 tokens at $0.15 and 4 at $0.60 per million.
    assert "$0.0000042 for 1 attempts" in done.stdout


def test_the_prices_toml_of_the_readme_is_valid_and_does_what_it_says(tmp_path: Path) -> None:
    from decimal import Decimal

    from frugal_chains import Usage

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


@pytest.mark.parametrize(
    "command", [line.strip() for line in README.splitlines() if line.startswith("    frugal ")]
)
def test_the_commands_of_the_readme_run(
    command: str, scripted: ScriptedServer, tmp_path: Path
) -> None:
    environment = _environment(scripted, tmp_path)
    Ledger.open(environment["FRUGAL_LEDGER"]).close()
    done = subprocess.run(
        [sys.executable, "-m", "frugal_chains.cli", *command.split()[1:]],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


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
        assert re.search(rf"{re.escape(model)} .*: \$0\.00\d+", done.stdout)
    text = " ".join(done.stdout.split())
    cached = re.search(r"langchain: [^:]*?\((\d+)% from the prompt cache\)", text)
    assert cached is not None
    assert int(cached[1]) > 30  # the conversation's beginning is really read from the cache
    assert "budget [run] refused this call" in " ".join(done.stdout.split())
