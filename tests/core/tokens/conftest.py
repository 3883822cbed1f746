"""Shared by the token tests: the samples, and tiktoken's own word on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from frugal_chains.tokens import TokenCounter

SAMPLES_FILE = Path(__file__).with_name("samples.json")

# tiktoken loads its ranks by its own loader, in its own process, from llama-index-core's folder.
COUNT_BY_TIKTOKEN = """
import json, sys, tiktoken
texts = json.load(sys.stdin)
def count(name):
    encode = tiktoken.get_encoding(name).encode_ordinary
    return {key: len(encode(text)) for key, text in texts.items()}
names = ("cl100k_base", "o200k_base", "o200k_harmony")
json.dump({name: count(name) for name in names}, sys.stdout)
"""


@pytest.fixture(scope="session")
def tiktoken_cache() -> Path:
    spec = find_spec("llama_index.core")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "_static" / "tiktoken_cache"


@pytest.fixture(scope="session")
def samples() -> dict[str, str]:
    """`kind/half` -> text; the halves are `fit` and `held_out`."""
    kinds = json.loads(SAMPLES_FILE.read_text(encoding="utf-8"))
    return {f"{kind}/{half}": kinds[kind][half] for kind in kinds for half in kinds[kind]}


@pytest.fixture(scope="session")
def tiktoken_counts(
    samples: dict[str, str], tiktoken_cache: Path
) -> Mapping[str, Mapping[str, int]]:
    """Encoding -> sample -> tokens."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT_BY_TIKTOKEN],
        input=json.dumps(samples),
        env={**os.environ, "TIKTOKEN_CACHE_DIR": str(tiktoken_cache)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    counts: dict[str, dict[str, int]] = json.loads(done.stdout)
    return counts


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    """Uses whatever rank files are installed. Never taught: tests of learning make their own."""
    return TokenCounter()


@pytest.fixture(scope="session")
def rankless_counter() -> TokenCounter:
    return TokenCounter(sources=())
