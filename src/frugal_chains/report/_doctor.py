"""What `frugal doctor` finds: facts about an installation in, findings with a fix out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from frugal_chains.ledger import DAMAGED, Health, shown_url

Level = Literal["ok", "note", "warning", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """A ledger as it was found."""

    url: str
    chosen_by: str
    """`--ledger`, `$FRUGAL_LEDGER` or `the default`."""
    exists: bool
    writable: bool
    """The file, or where there is none yet its folder, may be written by this user."""
    health: Health | None = None
    error: str = ""
    """Why it could not be opened, and the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFacts:
    """An installation as it was found."""

    versions: Mapping[str, str]
    """The installed ones of `WATCHED`."""
    encodings: Mapping[str, str]
    """Exact tiktoken encodings, and where their ranks come from."""
    price_file: str
    """The user's `prices.toml`; empty when there is none."""
    price_error: str
    ledger: LedgerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needed:
    """A range of versions that one of our distributions was built for."""

    package: str
    by: str
    at_least: str
    below: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trap:
    """Two packages that break, or lose facts, together."""

    package: str
    at_least: str = "0"
    below: str = ""
    beside: str = ""
    beside_at_least: str = "0"
    level: Level
    text: str
    fix: str


NEEDED = (
    _Needed(package="genai-prices", by="frugal-chains", at_least="0.2.3", below="0.3"),
    _Needed(package="langchain-core", by="langchain-frugal", at_least="1.7", below="2"),
    _Needed(package="llama-index-core", by="llama-index-frugal", at_least="0.14", below="0.15"),
)
ADAPTERS = {"langchain-core": "langchain-frugal", "llama-index-core": "llama-index-frugal"}
ENCODINGS = ("o200k_base", "cl100k_base", "o200k_harmony")

TRAPS = (
    # llama-index-llms-anthropic 0.12.3, llms/anthropic/utils.py:397 builds anthropic's
    # `MessageParam`, which anthropic 2 (seen with 2.12.0) made a Union. Read 2026-11-21.
    _Trap(
        package="llama-index-llms-anthropic",
        below="0.13",
        beside="anthropic",
        beside_at_least="2",
        level="broken",
        text="every chat raises `TypeError: Cannot instantiate typing.Union`",
        fix='pip install "anthropic<2"',
    ),
    # langchain-openai 1.7.3, chat_models/base.py:1431: on by default for the default base URL and
    # client alone. Read 2026-11-21.
    _Trap(
        package="langchain-openai",
        level="note",
        text="a ChatOpenAI with its own base_url or http_client streams without usage; such calls "
        "are estimated",
        fix="ChatOpenAI(..., stream_usage=True)",
    ),
    # llama-index-llms-openai 0.8.3, llms/openai/base.py: sends no stream_options of its own.
    # Read 2026-11-21.
    _Trap(
        package="llama-index-llms-openai",
        level="note",
        text="OpenAI streams without usage unless it is asked for, agents stream by default; such "
        "calls are estimated",
        fix='OpenAI(..., additional_kwargs={"stream_options": {"include_usage": True}})',
    ),
)

WATCHED = tuple(
    dict.fromkeys(
        (
            "frugal-chains",
            *(needed.package for needed in NEEDED),
            "tiktoken",
            *ADAPTERS.values(),
            *(name for trap in TRAPS for name in (trap.package, trap.beside) if name),
        )
    )
)
"""Distributions whose versions are looked at."""


def diagnose(facts: DoctorFacts) -> tuple[Finding, ...]:
    """Everything that was looked at, in the order in which it is shown."""
    return (
        *_versions(facts.versions),
        *_traps(facts.versions),
        *_encodings(facts.encodings),
        _prices(facts.price_file, facts.price_error),
        *_ledger(facts.ledger),
    )


def _versions(installed: Mapping[str, str]) -> Iterator[Finding]:
    ranges = {needed.package: needed for needed in NEEDED if needed.by in installed}
    for package in WATCHED:
        if package in installed:
            needed = ranges.get(package)
            yield _in_range(package, installed[package], needed)
    for package, needed in ranges.items():
        if package not in installed:
            yield Finding(
                subject=package,
                level="broken",
                text=f"not installed, but {needed.by} needs it",
                fix=_install(needed),
            )
    yield from _adapters(installed)


def _in_range(package: str, version: str, needed: _Needed | None) -> Finding:
    if needed is None or _within(version, needed.at_least, needed.below):
        return Finding(subject=package, level="ok", text=version)
    return Finding(
        subject=package,
        level="broken",
        text=f"{version}, but {needed.by} needs >={needed.at_least},<{needed.below}",
        fix=_install(needed),
    )


def _install(needed: _Needed) -> str:
    return f'pip install "{needed.package}>={needed.at_least},<{needed.below}"'


def _adapters(installed: Mapping[str, str]) -> Iterator[Finding]:
    core = installed.get("frugal-chains", "")
    for framework, adapter in ADAPTERS.items():
        if adapter in installed and installed[adapter] != core:
            yield Finding(
                subject=adapter,
                level="broken",
                text=f"{installed[adapter]} was built for frugal-chains of the same version, "
                f"not {core or 'none'}",
                fix=f"pip install --upgrade frugal-chains {adapter}",
            )
        elif framework in installed and adapter not in installed:
            yield Finding(
                subject=adapter,
                level="note",
                text=f"not installed: calls made through {framework} are not tracked",
                fix=f"pip install {adapter}",
            )


def _traps(installed: Mapping[str, str]) -> Iterator[Finding]:
    for trap in TRAPS:
        version, beside = installed.get(trap.package), installed.get(trap.beside)
        if version is None or not _within(version, trap.at_least, trap.below):
            continue
        if trap.beside and (beside is None or not _within(beside, trap.beside_at_least, "")):
            continue
        both = f" with {trap.beside} {beside}" if trap.beside else ""
        yield Finding(
            subject=trap.package,
            level=trap.level,
            text=f"{version}{both}: {trap.text}",
            fix=trap.fix,
        )


def _encodings(exact: Mapping[str, str]) -> Iterator[Finding]:
    for name in ENCODINGS:
        if name in exact:
            yield Finding(subject=name, level="ok", text=f"exact, ranks from {exact[name]}")
        else:
            yield Finding(
                subject=name,
                level="warning",
                text="its ranks are not on this machine: its token counts are estimates",
                fix='pip install "frugal-chains[offline]"',
            )


def _prices(path: str, error: str) -> Finding:
    if error:
        return Finding(
            subject="prices.toml",
            level="broken",
            text=error,
            fix="correct that line; no price can be told until the file is valid",
        )
    if path:
        return Finding(subject="prices.toml", level="ok", text=f"{path}, valid")
    return Finding(
        subject="prices.toml",
        level="ok",
        text="none: list prices apply ($FRUGAL_PRICES, ./prices.toml or "
        "~/.config/frugal/prices.toml would come first)",
    )


def _ledger(ledger: LedgerFacts) -> Iterator[Finding]:
    where = f"{shown_url(ledger.url)} ({ledger.chosen_by})"
    if ledger.error:
        yield Finding(
            subject="ledger",
            level="broken",
            text=f"{where}: {ledger.error}",
            fix="do as it says, or set $FRUGAL_LEDGER to another place",
        )
        return
    if not ledger.writable:
        yield Finding(
            subject="ledger",
            level="broken",
            text=f"{where} cannot be written: attempts would wait beside it, budgets would fail",
            fix="give this user write access, or set $FRUGAL_LEDGER to another place",
        )
    if not ledger.exists:
        yield Finding(
            subject="ledger",
            level="note",
            text=f"{where}: none yet; the first tracked call creates it",
        )
    if ledger.health is not None:
        yield from _health(ledger.health, where)


def _health(health: Health, where: str) -> Iterator[Finding]:
    waiting = [text for text in health.problems if text.startswith(health.inbox_files)]
    damage = [text for text in health.problems if text not in waiting]
    if not damage:
        size = f"{health.attempts:,} attempts, {health.bytes:,} bytes, version {health.version}"
        yield Finding(subject="ledger", level="ok", text=f"{where}: {size}")
    if health.location == "memory":
        yield Finding(
            subject="ledger",
            level="warning",
            text="kept in memory: every attempt is lost when the process ends",
            fix="set $FRUGAL_LEDGER to a file, such as sqlite:///frugal.db",
        )
    for text in waiting:
        yield Finding(subject="ledger", level="warning", text=text, fix=_unwait(text))
    for text in damage:
        fix = f"copy it, then: sqlite3 {shlex.quote(health.location)} .recover | sqlite3 new.db"
        yield Finding(subject="ledger", level="broken", text=f"{where}: {text}", fix=fix)


def _unwait(problem: str) -> str:
    if DAMAGED in problem:
        return (
            "read the file: one attempt a line. Those that are in the ledger were taken in; when "
            "the others are settled, remove the file"
        )
    return "open the ledger for writing once the program that wrote it has ended"


def _within(version: str, at_least: str, below: str) -> bool:
    number = _number(version)
    return _number(at_least) <= number and (not below or number < _number(below))


def _number(version: str) -> tuple[int, ...]:
    """The release part of a version: (2, 12, 0) for `2.12.0rc1`."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
