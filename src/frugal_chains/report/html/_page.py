"""`html_page`: the facts of a page as one file."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from errno import EISDIR
from hashlib import sha256
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from frugal_chains.errors import FrugalError
from frugal_chains.ledger import Totals, shown_url
from frugal_chains.report._facts import UnpricedModel, known_cost_usd
from frugal_chains.report._money import count_text, share_text
from frugal_chains.report._terminal import prices_command
from frugal_chains.report._terminal_effects import effect_sentence
from frugal_chains.report.html import _charts, _charts_rows, _says, _text
from frugal_chains.report.html._absent import absent
from frugal_chains.report.html._chart import Chart
from frugal_chains.report.html._facts import PageFacts
from frugal_chains.report.html._rows import budget_row, table_rows, told_caches
from frugal_chains.report.html._series import PARTS

if TYPE_CHECKING:
    from jinja2 import Environment

LATENCY_MODELS: Final = 10


def html_page(p: PageFacts) -> str:
    """The whole page. The same facts give the same bytes.

    Raises:
        FrugalError: what draws and writes it is not installed (extra `report`).
    """
    money = _text.Money(p.report.total.nanos)
    template = _environment(p, money).get_template("page.html.jinja")
    return template.render(**_names(p, money), charts=_drawn(p, money)) + "\n"


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Put the page at `path`, whole or not at all; what stood there is replaced, and the file that
    a link leads to. What is no file (a pipe, `/dev/stdout`) is written to as it is.

    Raises:
        FrugalError: it cannot be written there.
    """
    target = Path(path)
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            target.write_text(page, encoding="utf-8", newline="\n")
        else:
            _replace(Path(os.path.realpath(target)), page)
    except OSError as error:
        raise FrugalError(
            f"the report cannot be written to {path}: {error.strerror or error}. Name another file "
            "with --html, in a folder that this process may write to and that has room for it."
        ) from error


def _replace(target: Path, page: str) -> None:
    if target.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    with NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=target.parent, prefix=f".{target.name}.",
        delete=False,
    ) as file:  # fmt: skip
        new = Path(file.name)
        try:
            file.write(page)
            file.close()
            new.chmod(0o666 & ~_umask())
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def _umask() -> int:
    """Only to be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _environment(p: PageFacts, money: _text.Money) -> Environment:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise FrugalError(
            "the HTML report needs Jinja2, which is not installed: "
            "pip install 'frugal-chains[report]'"
        ) from error
    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        name=_text.name,
        listed=_text.listed,
        usd=money.text,
        signed=money.signed,
        count=_count,
        number=lambda value: f"{value:,}",
        share=share_text,
        seconds=_text.seconds,
        time=_text.time,
        long_bucket=lambda bucket: _text.long_bucket(bucket, p.unit),
        cost=lambda line: _cost(line, money),
        cache_words=lambda cache: _says.cache_words(cache, money),
        effect=effect_sentence,
        price_command=_price_command,
    )
    return environment


def _resource(file: str) -> str:
    return (resources.files(__package__ or "") / file).read_text(encoding="utf-8")


def _names(p: PageFacts, money: _text.Money) -> Mapping[str, Any]:
    """What the template knows beside the charts."""
    style, total = _resource("page.css"), p.report.total
    caches, latencies = told_caches(p.report.caches), p.scan.latencies[:LATENCY_MODELS]
    known = known_cost_usd(total)
    return {
        "p": p,
        "report": p.report,
        "total": total,
        "ledger": shown_url(p.report.ledger),
        "asked": _asked(p),
        "bill": "unknown" if known is None else money.text(total.nanos),
        "bill_exact": "" if known is None else _text.exact(total.nanos),
        "per_operation": _per_operation(total),
        "tables": [table_rows(table) for table in p.tables if table.rows],
        "caches": caches,
        "cache_names": _text.told_apart([(each.provider, each.model) for each in caches]),
        "budgets": [budget_row(spend, p.made_at, money) for spend in p.budgets],
        "latencies": latencies,
        "latency_names": _text.told_apart([(each.provider, each.model) for each in latencies]),
        "features": any(request.feature for request in p.scan.dearest),
        "scanned": _says.scanned_says(p.scan),
        "says": _sentences(p, money),
        "absent": list(absent(p)),
        "usd_cell": money.text,
        "share_cell": lambda value: "-" if value is None else share_text(value, PARTS),
        "count_cell": _count,
        "smallest": money.text(10 ** (9 - money.decimals)),
        "style": style,
        "style_hash": f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        "version": _version(),
    }


def _sentences(p: PageFacts, money: _text.Money) -> Mapping[str, str]:
    return {
        "bill": _says.bill_says(p, money) if p.bill.names else "",
        "waterfall": _says.waterfall_says(p, money),
        "cached": _says.cached_says(p),
        "events": _says.events_says(p) if p.events.names else "",
        "latency": _says.latency_says(p) if p.scan.latencies else "",
        "repeats": _says.repeats_says(p.scan, money),
    }


def _drawn(p: PageFacts, money: _text.Money) -> Mapping[str, Chart | None]:
    says = _sentences(p, money)
    models = p.scan.latencies[:LATENCY_MODELS]
    return {
        "bill": _charts.bill_chart(p.bill, p.unit, money, says["bill"]) if p.bill.names else None,
        "waterfall": _charts_rows.waterfall_chart(p.waterfall, money, says["waterfall"])
        if p.waterfall and p.waterfall.steps
        else None,
        "cached": _charts.share_chart(p.cached, p.unit, says["cached"], models=p.bill.names)
        if p.cached.names
        else None,
        "events": _charts.event_chart(p.events, p.unit, says["events"]) if p.events.names else None,
        "latency": _charts_rows.latency_chart(models, says["latency"]) if models else None,
    }


def _asked(p: PageFacts) -> str:
    edges = (("since", p.report.since), ("until", p.report.until))
    return ", ".join(f"{word} {_text.time(at)}" for word, at in edges if at is not None)


def _per_operation(total: Totals) -> str:
    if not total.operations or not total.nanos:
        return ""
    return _text.about(total.nanos // total.operations)


def _cost(line: Totals, money: _text.Money) -> str:
    return "unpriced" if known_cost_usd(line) is None else money.text(line.nanos)


def _count(value: int | None) -> str:
    return "-" if value is None else count_text(value)


def _price_command(model: UnpricedModel) -> str:
    return _text.name(prices_command(model.model, model.provider), 200)


def _version() -> str:
    try:
        return version("frugal-chains")
    except PackageNotFoundError:
        return ""
