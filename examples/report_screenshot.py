"""The HTML report of an invented month, and its screenshots.

    python examples/report_screenshot.py [FOLDER] [--rows 40000]

Writes a ledger of calls that were never made, `report.html` over it, and, where Chromium or Chrome
is installed, `report-light.png` and `report-dark.png`, the pictures of the README. Needs the extra
`report`. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import cos, pi
from pathlib import Path

from frugal_chains import Budget, Ledger, PriceBook, Usage
from frugal_chains.ledger import Attempt, Effect, microseconds, new_id
from frugal_chains.report.html import PageFacts, html_page, lever_of, page_facts, write_page
from frugal_chains.report.levers import next_lever
from frugal_chains.savings import period_waterfall

SEED = 6
END = datetime(2026, 11, 20, 15, tzinfo=UTC)
DAYS = 30
ROWS = 40_000
WIDTH, HEIGHT = 1120, 2080
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCHEMES = {"light": "1", "dark": "0"}
"""As Chromium counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One part of the invented application."""

    name: str
    provider: str
    model: str
    weight: int
    """Its share of the calls, against those of the others."""
    input_tokens: int
    output_tokens: int
    cached: float
    """Share of the input that the provider's cache has."""
    first_token_s: float
    tokens_per_s: int


FEATURES = (
    Feature(name="chat", provider="anthropic", model="claude-sonnet-4-5", weight=34,
            input_tokens=6_200, output_tokens=320, cached=0.78, first_token_s=0.9,
            tokens_per_s=70),
    Feature(name="search", provider="openai", model="gpt-4o-mini", weight=30,
            input_tokens=2_400, output_tokens=180, cached=0.35, first_token_s=0.4,
            tokens_per_s=110),
    Feature(name="contracts", provider="openai", model="gpt-4o", weight=8,
            input_tokens=9_000, output_tokens=700, cached=0.2, first_token_s=0.7,
            tokens_per_s=80),
    Feature(name="search", provider="openai", model="text-embedding-3-small", weight=18,
            input_tokens=60, output_tokens=0, cached=0.0, first_token_s=0.1, tokens_per_s=1),
    Feature(name="triage", provider="ollama", model="llama3.2", weight=8, input_tokens=500,
            output_tokens=20, cached=0.0, first_token_s=0.15, tokens_per_s=45),
    Feature(name="pilot", provider="in-house", model="legal-7b", weight=2, input_tokens=3_000,
            output_tokens=400, cached=0.0, first_token_s=0.6, tokens_per_s=40),
)  # fmt: skip
TENANTS = ("acme",) * 6 + ("globex",) * 3 + ("initech",) * 2 + ("umbrella",)
SPIKE_DAYS_AGO, CACHE_BREAKS_DAYS_AGO, LIMITS_DAYS_AGO = 2, 6, 9


def month(rows: int, *, end: datetime = END, days: int = DAYS) -> Iterator[Attempt]:
    """Calls up to `end`, the oldest first: fewer at night and at weekends, a day of contracts that
    were read twice over, a prompt whose beginning starts to change, an afternoon of rate limits."""
    chance, book = random.Random(SEED), PriceBook.load()
    weights = [_busy(end - timedelta(hours=hour)) for hour in range(24 * days, 0, -1)]
    for hour, weight in zip(range(24 * days, 0, -1), weights, strict=True):
        start = end - timedelta(hours=hour)
        calls = round(rows * weight / sum(weights))
        for offset in sorted(chance.random() for _ in range(calls)):
            yield _call(chance, book, start + timedelta(hours=offset), (end - start).days)


def _busy(at: datetime) -> float:
    return (1.2 - cos(2 * pi * at.hour / 24)) * (0.35 if at.weekday() >= 5 else 1.0)


def _call(chance: random.Random, book: PriceBook, at: datetime, days_ago: int) -> Attempt:
    weights = [
        each.weight * (5 if days_ago == SPIKE_DAYS_AGO and each.name == "contracts" else 1)
        for each in FEATURES
    ]
    feature = chance.choices(FEATURES, weights)[0]
    limited = days_ago == LIMITS_DAYS_AGO and 12 <= at.hour < 18 and feature.provider == "openai"
    failed = chance.random() < (0.4 if limited else 0.006)
    usage = Usage() if failed else _usage(chance, feature, days_ago)
    first_s = chance.lognormvariate(0, 0.35) * feature.first_token_s
    embeds = not feature.output_tokens
    at_us = microseconds(at)
    return Attempt(
        id=new_id(at_us),
        operation_id=f"{chance.getrandbits(128):032x}",
        at_us=at_us,
        framework="langchain" if feature.name != "search" else "llama_index",
        provider=feature.provider,
        model=feature.model,
        purpose="embed" if embeds else "answer",
        status="error" if failed else "ok",
        error_kind=("rate_limit" if limited else chance.choice(("timeout", "server"))) * failed,
        streamed=not embeds,
        latency_s=first_s + usage.output_tokens / feature.tokens_per_s,
        first_token_s=None if embeds or failed else first_s,
        usage=usage,
        price=book.price(usage, provider=feature.provider, model=feature.model, at=at),
        note="the stream was given up: tokens were counted here" * (usage.source != "provider"),
        tags={"feature": feature.name, "tenant": chance.choice(TENANTS)},
        prints=None if embeds or failed else _prints(chance, feature),
    )


def _usage(chance: random.Random, feature: Feature, days_ago: int) -> Usage:
    tokens = int(feature.input_tokens * chance.lognormvariate(0, 0.4)) + 1
    broken = feature.name == "chat" and days_ago < CACHE_BREAKS_DAYS_AGO
    cached = (0.12 if broken else feature.cached) * chance.uniform(0.8, 1.1)
    return Usage(
        input_tokens=tokens,
        output_tokens=int(feature.output_tokens * chance.lognormvariate(0, 0.5)),
        cache_read_tokens=int(tokens * cached),
        source="estimated" if chance.random() < 0.01 else "provider",
    )


def _prints(chance: random.Random, feature: Feature) -> dict[str, object]:
    """In the form of the fingerprints of a request: one question in eight was asked before."""
    again = chance.random() < 0.125
    number = chance.randrange(40) if again else chance.getrandbits(60)
    return {"v": 1, "m": feature.model, "n": 1, "h": f"{feature.name}-{number:x}"}


def effects(end: datetime = END) -> Iterator[Effect]:
    """What two levers of the invented application did."""
    for days_ago in range(DAYS):
        at = end - timedelta(days=days_ago, hours=1)
        yield Effect(operation_id="", at=at, lever="compression.extract", tokens_before=2_400_000,
                     tokens_after=1_150_000, exact=True, model="gpt-4o-mini", provider="openai",
                     net_nanos=187_500_000)  # fmt: skip
        yield Effect(operation_id="", at=at, lever="memory.compact", tokens_before=3_100_000,
                     tokens_after=1_900_000, exact=True, model="claude-sonnet-4-5",
                     provider="anthropic", net_nanos=640_000_000, kind="measured")  # fmt: skip


def fill(ledger: Ledger, rows: int) -> None:
    for attempt in month(rows):
        ledger.record(attempt)
    ledger.record_effects(effects())


def facts(ledger: Ledger) -> PageFacts:
    """What `frugal report --html` would show of it."""
    book = PriceBook.load()
    lever = next_lever(ledger, book=book, now=END)
    return page_facts(
        ledger,
        now=END,
        book=book,
        budgets=(Budget.usd(250, per="month"), Budget.usd(25, per="day")),
        savings=partial(period_waterfall, book=book),
        lever=None if lever is None else lever_of(lever),
    )


def browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def shoot(
    page: Path, picture: Path, *, scheme: str, width: int = WIDTH, height: int = HEIGHT
) -> str:
    """A picture of the page in a browser without a network; what the browser logged."""
    command = [
        browser() or "chromium", "--headless=new", "--disable-gpu", "--hide-scrollbars",
        "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri(),
    ]  # fmt: skip
    if os.geteuid() == 0:  # a container: the browser's own sandbox needs a user
        command.insert(1, "--no-sandbox")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="?", default=".", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # the page names its ledger as it was opened: without a folder
    with Ledger.open("sqlite:///invented-month.db") as ledger:
        if not ledger.totals():
            fill(ledger, asked.rows)
        write_page(folder / "report.html", html_page(facts(ledger)))
    print(f"written: {folder / 'report.html'}")
    if browser() is None:
        print("no pictures: neither Chromium nor Chrome is installed")
        return 0
    for scheme in SCHEMES:
        picture = folder / f"report-{scheme}.png"
        shoot(folder / "report.html", picture, scheme=scheme)
        print(f"written: {picture}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
