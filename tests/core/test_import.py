"""`import frugal_chains` is quick and brings no framework along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import frugal_chains

HEAVY = ("langchain_core", "llama_index", "pydantic", "genai_prices", "tiktoken", "typer", "rich")
LIMIT_S = 0.2


def _in_a_fresh_process(code: str, cache: Path) -> str:
    # As an installed package: from compiled files, which the first run writes.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPYCACHEPREFIX": str(cache)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_the_import_is_quick_and_light(tmp_path: Path) -> None:
    code = (
        "import json, sys, time; start = time.process_time(); import frugal_chains; "
        "took = time.process_time() - start; "
        f"print(json.dumps([took, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    runs = [json.loads(_in_a_fresh_process(code, tmp_path)) for _ in range(4)]
    assert all(heavy == [] for _, heavy in runs)
    assert min(took for took, _ in runs) < LIMIT_S, runs


def test_the_face_is_whole() -> None:
    assert set(frugal_chains.__all__) >= {
        "Budget", "BudgetExceeded", "FrugalError", "Ledger", "PriceBook", "Usage", "__version__",
    }  # fmt: skip
    assert all(hasattr(frugal_chains, name) for name in frugal_chains.__all__)
