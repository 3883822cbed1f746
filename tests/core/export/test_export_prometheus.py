"""What Prometheus scrapes: a strict reading of the format, and counters that never go down."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import ExportError
from frugal_chains.export import PROMETHEUS_QUESTION, Counters, PrometheusEndpoint, exposition
from frugal_chains.export._prometheus import samples
from frugal_chains.ledger import Ledger, Totals
from frugal_chains.pricing import Priced, Unpriced
from frugal_chains.usage import Usage
from tests.core.export.test_export_files import attempt

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\d+(?:\.\d+)?)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], Decimal]:
    """Text format 0.0.4, read strictly: help and type before the samples of each metric, all of
    which stand together; every series once; only known escapes."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], Decimal] = {}
    assert text == "" or text.endswith("\n")
    typed: list[str] = []
    helped = ""
    for line in text.splitlines() if "\r" not in text else text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            helped = line.split(" ")[2]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert (name, kind) == (helped, "counter")
            assert name not in typed
            assert name.endswith("_total")
            typed.append(name)
        else:
            name, body, value = _SAMPLE.fullmatch(line).groups()
            assert name == typed[-1]
            labels, place = [], 0
            while place < len(body):
                label = _LABEL.match(body, place)
                assert label is not None, body
                plain = re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]), label[2])
                labels.append((label[1], plain))
                place = label.end()
            key = name, frozenset(labels)
            assert key not in found
            found[key] = Decimal(value)
    return found


def labels(**values: str) -> frozenset[tuple[str, str]]:
    usual = {"provider": "openai", "model": "gpt-4o", "purpose": "answer", "status": "ok"}
    return frozenset({**usual, **values}.items())


def books_of(*attempts) -> Ledger:
    books = Ledger.open("memory://")
    for each in attempts:
        books.record(each)
    return books


def scraped(books: Ledger) -> dict[tuple[str, frozenset[tuple[str, str]]], Decimal]:
    return parsed(exposition(samples(books.totals(PROMETHEUS_QUESTION))))


def test_counters_are_the_ledgers_totals():
    usage = Usage(
        input_tokens=1_000, cache_read_tokens=400, cache_write_5m_tokens=50,
        cache_write_1h_tokens=20, output_tokens=70, reasoning_tokens=30,
    )  # fmt: skip
    with books_of(
        attempt(usage=usage, price=Priced(nanos=1_500_000_001)),
        attempt(usage=usage, price=Priced(nanos=1)),
        attempt(status="error", error_kind="rate_limit", price=Unpriced(reason="x"),
                usage=Usage(source="estimated")),
        attempt(status="error", error_kind="timeout", price=Unpriced(reason="x")),
    ) as books:  # fmt: skip
        found = scraped(books)
    assert found == {
        ("frugal_attempts_total", labels()): 2,
        ("frugal_attempts_total", labels(status="error")): 2,
        ("frugal_tokens_total", labels(bucket="input")): 1_060,  # 2 x (1000 - 400 - 50 - 20)
        ("frugal_tokens_total", labels(bucket="cache_read")): 800,
        ("frugal_tokens_total", labels(bucket="cache_write_5m")): 100,
        ("frugal_tokens_total", labels(bucket="cache_write_1h")): 40,
        ("frugal_tokens_total", labels(bucket="output")): 140,
        ("frugal_reasoning_tokens_total", labels()): 60,
        ("frugal_cost_usd_total", labels()): Decimal("1.500000002"),
        ("frugal_unpriced_attempts_total", labels(status="error")): 2,
        ("frugal_estimated_attempts_total", labels(status="error")): 1,
        ("frugal_errors_total", labels(status="error", kind="rate_limit")): 1,
        ("frugal_errors_total", labels(status="error", kind="timeout")): 1,
    }


def test_an_empty_ledger_has_no_samples():
    with books_of() as books:
        assert exposition(samples(books.totals(PROMETHEUS_QUESTION))) == ""


@given(model=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_name_survives_the_format(model):
    line = Totals(
        key={"provider": "p", "model": model, "purpose": "answer", "status": "ok",
             "error_kind": ""},
        attempts=3, operations=1, usage=Usage(), nanos=0, unpriced=0, estimated=0,
    )  # fmt: skip
    text = exposition(samples([line]))
    lines = text.split("\n")
    assert len(lines) == 4  # help, type, one sample, and the end: no name breaks a line
    body = _SAMPLE.fullmatch(lines[2]).group(2)
    label = next(m for m in _LABEL.finditer(body) if m[1] == "model")
    assert re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]), label[2]) == model


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)), max_size=8))
def test_no_counter_goes_down_and_no_series_goes_away(looks):
    counters, before = Counters(), {}
    for look in looks:
        now = counters.rise({(name, ()): value for name, value in look.items()})
        assert all(now[key] >= value for key, value in before.items())
        assert all(now[name, ()] >= value for name, value in look.items())
        before = now


def test_the_true_end_of_a_lost_call_takes_nothing_away():
    with Ledger.open("memory://") as books, PrometheusEndpoint(books) as endpoint:
        lost = attempt(status="aborted", error_kind="lost", price=Priced(nanos=5))
        books.record(lost)
        first = parsed(endpoint.text())
        books.record(lost._replace(status="ok", error_kind="", price=Priced(nanos=3)))
        second = parsed(endpoint.text())
    assert first["frugal_attempts_total", labels(status="aborted")] == 1
    assert all(second[key] >= value for key, value in first.items())
    assert second["frugal_attempts_total", labels()] == 1


def got(url: str, method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(url, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, "", error.read().decode()


def test_the_endpoint_serves_this_machine_and_stops():
    with books_of(attempt(model='g"p\\t\n4', price=Priced(nanos=10**9))) as books:
        endpoint = PrometheusEndpoint(books).start()
        try:
            assert endpoint.url == f"http://127.0.0.1:{endpoint.port}/metrics"
            status, kind, text = got(endpoint.url)
            assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
            found = parsed(text)
            assert found["frugal_cost_usd_total", labels(model='g"p\\t\n4')] == 1
            books.record(attempt())
            assert parsed(got(endpoint.url)[2])["frugal_attempts_total", labels()] == 1
            assert got(endpoint.url, "HEAD") == (200, kind, "")
            assert got(endpoint.url.replace("metrics", "other"))[0] == 404
            assert got(endpoint.url, "POST")[0] == 501
        finally:
            port = endpoint.port
            endpoint.stop()
            endpoint.stop()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_ledger_that_cannot_be_read_is_no_traceback(caplog):
    books = books_of(attempt())
    with PrometheusEndpoint(books) as endpoint:
        books.close()
        status, _, text = got(endpoint.url)
    assert (status, "cannot be read" in text) == (503, True)


def test_a_taken_port_is_named():
    with books_of() as books, PrometheusEndpoint(books) as endpoint:
        with pytest.raises(ExportError, match=f":{endpoint.port}"):
            PrometheusEndpoint(books, port=endpoint.port).start()
        with pytest.raises(ExportError, match="99999"):
            PrometheusEndpoint(books, port=99999).start()


def test_prometheus_own_parser_reads_the_same():
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client")
    with books_of(attempt(model='g"p\\t\n4', price=Priced(nanos=7))) as books:
        text = exposition(samples(books.totals(PROMETHEUS_QUESTION)))
    theirs = {
        (sample.name, frozenset(sample.labels.items())): Decimal(repr(sample.value))
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert theirs == parsed(text)
