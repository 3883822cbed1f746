"""Setups as files: what is written is read again, and everything wrong is said at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import ReplayError
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.replay import (
    LEVERS,
    Batch,
    Compression,
    Marks,
    Memory,
    Routing,
    Setup,
    model_named,
    parse_setup,
    read_setup,
    setup_text,
)

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)
MODEL_NAMES = st.sampled_from((("openai", "gpt-4o-mini"), ("", "mistral-large"), ("aws", "a:b:0")))
SETUPS = st.builds(
    Setup,
    memory=st.none() | st.builds(
        Memory,
        policy=st.sampled_from((
            CompactionPolicy(),
            CompactionPolicy(keep_tokens=500, limit_tokens=9_000),
            CompactionPolicy(trigger=WaterMark(high_tokens=5_000)),
        )),
        recall_tokens=st.sampled_from((0, 4_000)),
    ),
    compression=st.none() | st.builds(Compression, budget_tokens=st.sampled_from((None, 300))),
    routing=st.none()
    | st.builds(Routing, by_task=st.dictionaries(NAMES, MODEL_NAMES, min_size=1, max_size=3)),
    prompt_cache=st.none() | st.builds(Marks, ttl=st.sampled_from((None, "5m", "1h"))),
    batch=st.none() | st.builds(Batch, tasks=st.none() | st.frozensets(NAMES, max_size=3)),
)  # fmt: skip


@given(SETUPS)
def test_what_is_written_is_read_again(setup: Setup) -> None:
    assert parse_setup(tomllib.loads(setup_text(setup))) == setup


@given(SETUPS)
def test_steps_add_one_lever_each(setup: Setup) -> None:
    steps = list(setup.steps())
    assert [name for name, _ in steps] == list(setup.on) == [n for n in LEVERS if n in setup.on]
    for number, (_, step) in enumerate(steps, 1):
        assert step.on == setup.on[:number]
    if steps:
        assert steps[-1][1] == setup
    assert setup.only() == Setup()


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "frugal.toml"
    file.write_text(
        "[memory]\nkeep_tokens = 1500\n[compression]\n[routing.by_task]\n"
        'faq = "openai:gpt-4o-mini"\n[batch]\ntasks = ["nightly"]\n'
    )
    setup = read_setup(file)
    assert setup.on == ("memory", "compression", "routing", "batch")
    assert setup.memory is not None
    assert setup.memory.policy.keep_tokens == 1_500
    assert setup.routing is not None
    assert setup.routing.by_task == {"faq": ("openai", "gpt-4o-mini")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[memory]\nkeep = 5\n[batch]\ntasks = 3\n", ("memory.keep", "batch.tasks")),
        ("[memory]\nkeep_tokens = 0\n", ("keep_tokens",)),
        ("[memory]\nkeep_tokens = -1\n", ("memory.keep_tokens",)),
        ("[routing]\n", ("routing.by_task",)),
        ("[routing.by_task]\n", ("without a task",)),
        ("[router]\n", ("router",)),
        ("memory = ", ("no TOML",)),
        ("\udcff", ("no TOML",)),
    ],
)
def test_what_is_not_understood(tmp_path: Path, text: str, said: tuple[str, ...]) -> None:
    file = tmp_path / "frugal.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ReplayError) as caught:
        read_setup(file)
    for part in ("frugal.toml", *said):
        assert part in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"missing\.toml"):
        read_setup(tmp_path / "missing.toml")


def test_names_of_models() -> None:
    assert model_named("openai:gpt-4o") == ("openai", "gpt-4o")
    assert model_named("gpt-4o") == ("", "gpt-4o")
    assert model_named("aws:anthropic.claude-v1:0") == ("aws", "anthropic.claude-v1:0")


def test_a_memory_expects_what_the_markers_last() -> None:
    assert Setup(memory=Memory()).cache_ttl == ""
    assert Setup(prompt_cache=Marks()).cache_ttl == "5m"
    assert Setup(prompt_cache=Marks(ttl="30m")).cache_ttl == "5m"  # OpenAI's shorter one
    assert Setup(prompt_cache=Marks(ttl="1h")).cache_ttl == "1h"
