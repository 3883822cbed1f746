"""What OpenTelemetry is told, against the conventions and arithmetic by hand."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import ExportError
from frugal_chains.export import OtelExporter, _exporter, measurements, span_attributes, span_name
from frugal_chains.export._otel import corrections
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import Free, Priced, Unpriced
from frugal_chains.usage import Usage
from tests.core.export.test_export_files import attempt
from tests.core.ledger.children import Child

USAGE = "gen_ai.client.inference.usage."
FULL = attempt(
    provider="aws",
    model="gpt-4o-2024-08-06",
    model_asked="gpt-4o",
    usage=Usage(
        input_tokens=1_000, input_audio_tokens=100, cache_read_tokens=400,
        cache_read_audio_tokens=50, cache_write_5m_tokens=30, cache_write_1h_tokens=20,
        output_tokens=70, reasoning_tokens=40, output_image_tokens=5,
    ),
    price=Priced(nanos=2_500_000, input_nanos=1_000_000, cache_read_nanos=400_000,
                 cache_write_nanos=100_000, output_nanos=900_000, fee_nanos=100_000),
    tags={"tenant": "acme", "user": "u-1"},
    thread_id="conversation-7",
)  # fmt: skip


def by_name(found) -> dict[str, dict[str, float]]:
    sums: dict[str, dict[str, float]] = {}
    for name, value, attributes in found:
        modality = attributes.get("gen_ai.token.modality", "")
        sums.setdefault(name, {})[modality] = value
    return sums


def test_tokens_are_counted_by_modality_and_sum_to_the_totals():
    assert by_name(measurements(FULL)) == {
        "frugal_chains.attempts": {"": 1},
        f"{USAGE}input_tokens": {"audio": 100, "unknown": 900},
        f"{USAGE}output_tokens": {"image": 5, "unknown": 65},
        f"{USAGE}cache_read.input_tokens": {"audio": 50, "unknown": 350},
        f"{USAGE}cache_write.input_tokens": {"unknown": 50},
        f"{USAGE}reasoning.output_tokens": {"unknown": 40},
        "frugal_chains.cost": {"": 0.0025},
    }


def test_attributes_are_the_conventions_required_ones_and_no_person():
    for _, _, attributes in measurements(FULL):
        assert attributes["gen_ai.operation.name"] == "chat"
        assert attributes["gen_ai.provider.name"] == "aws.bedrock"
        assert attributes["gen_ai.request.model"] == "gpt-4o"
        assert attributes["gen_ai.response.model"] == "gpt-4o-2024-08-06"
        assert not {"acme", "u-1", "conversation-7"} & set(map(str, attributes.values()))
    named = measurements(FULL, tags=["tenant", "team"])
    assert {a.get("frugal_chains.tag.tenant") for _, _, a in named} == {"acme"}
    assert not any("user" in key or "team" in key for _, _, a in named for key in a)


@pytest.mark.parametrize("status", ["error", "aborted"])
def test_failures_count_zero_tokens_of_unknown_modality(status):
    failed = attempt(status=status, error_kind="timeout", price=Unpriced(reason="x"),
                     usage=Usage(input_tokens=9, source="estimated"))  # fmt: skip
    sums = by_name(measurements(failed))
    assert sums.pop("frugal_chains.attempts") == {"": 1}
    assert sums == {
        USAGE + name: {"unknown": 0}
        for name in ("input_tokens", "output_tokens", "cache_read.input_tokens",
                     "cache_write.input_tokens", "reasoning.output_tokens")
    }  # fmt: skip
    counted = measurements(failed, estimated=True)
    assert by_name(counted)[f"{USAGE}input_tokens"] == {"unknown": 9}
    ending = next(a for name, _, a in counted if name == "frugal_chains.attempts")
    assert (ending["error.type"], ending["frugal_chains.status"]) == ("timeout", status)
    assert ending["frugal_chains.price.outcome"] == "unpriced"


def test_a_response_cache_is_no_inference_and_embeddings_are_their_own():
    cached = attempt(status="cached", price=Free())
    assert [name for name, _, _ in measurements(cached)] == ["frugal_chains.attempts"]
    embedding = attempt(purpose="embed", usage=Usage(input_tokens=12), price=Priced(nanos=3))
    sums = by_name(measurements(embedding))
    assert sums["gen_ai.client.embeddings.operation.input_tokens"] == {"": 12}
    assert f"{USAGE}input_tokens" not in sums
    assert span_name(embedding) == "embeddings gpt-4o"


@pytest.mark.parametrize(
    ("price_id", "source"), [("genai-prices 0.2.3", "local"), ("billed by openrouter", "provider")]
)
def test_cost_on_a_span_names_its_currency_and_source(price_id, source):
    billed = attempt(price=Priced(nanos=1_234_567, price_id=price_id))
    found = span_attributes(billed)
    assert found["gen_ai.usage.cost.amount"] == 0.001234567
    assert found["gen_ai.usage.cost.currency"] == "USD"
    assert found["gen_ai.usage.cost.source"] == source


def test_a_span_has_usage_and_no_cost_that_is_not_known():
    found = span_attributes(FULL)
    assert {
        k: v for k, v in found.items() if k.startswith("gen_ai.usage.") and "cost" not in k
    } == {
        "gen_ai.usage.input_tokens": 1_000,
        "gen_ai.usage.output_tokens": 70,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.cache_write.input_tokens": 50,
        "gen_ai.usage.reasoning.output_tokens": 40,
    }
    assert not any(key.startswith("llm.") for key in found)
    unknown = span_attributes(attempt(price=Unpriced(reason="x")), openinference=True)
    assert not any("cost" in key for key in unknown)


def test_openinference_splits_prompt_and_completion():
    found = span_attributes(FULL, openinference=True)
    assert found["openinference.span.kind"] == "LLM"
    assert found["llm.cost.prompt"] == 0.0015  # 1.0 + 0.4 + 0.1 thousandths
    assert found["llm.cost.completion"] == 0.0009
    assert found["llm.cost.total"] == 0.0025  # and 0.1 of fees
    assert found["llm.cost.prompt_details.cache_read"] == 0.0004
    assert found["llm.token_count.total"] == 1_070


@given(
    early=st.tuples(*[st.integers(0, 50)] * 2), late=st.tuples(*[st.integers(0, 50)] * 2),
    nanos=st.tuples(*[st.integers(0, 100)] * 2),
)  # fmt: skip
def test_the_true_end_of_a_call_only_adds(early, late, nanos):
    def ended(status: Any, counts: tuple[int, int], cost: int) -> list:
        usage = Usage(input_tokens=counts[0], output_tokens=counts[1])
        return measurements(attempt(status=status, usage=usage, price=Priced(nanos=cost)))

    before, after = ended("aborted", early, nanos[0]), ended("ok", late, nanos[1])
    added = corrections(before, after)
    assert all(each.value > 0 for each in added)
    assert "frugal_chains.attempts" not in {each.name for each in added}
    sums = Counter()
    for each in (*before, *added):
        sums[each.name] += each.value
    assert sums[f"{USAGE}input_tokens"] == max(early[0], late[0])
    assert sums["frugal_chains.cost"] == pytest.approx(max(nanos) / 1e9)


# -- the exporter, with a meter of our own ----------------------------------------------------


class Meters:
    """Stands for a MeterProvider of the SDK, which the tests do without."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.fail = False
        self.says = "a prompt"
        self.gate = threading.Event()
        self.gate.set()

    def get_meter(self, name: str) -> Meters:
        return self

    def create_counter(self, name: str, unit: str, description: str) -> Any:
        meters = self

        class Instrument:
            def add(self, value: float, attributes: Any) -> None:
                meters.gate.wait(5)
                if meters.fail:
                    raise RuntimeError(meters.says)
                meters.sums[name] += value

            record = add

        return Instrument()

    create_histogram = create_counter


@pytest.fixture
def meters() -> Meters:
    pytest.importorskip("opentelemetry.metrics", reason="needs opentelemetry-api")
    return Meters()


def test_an_attached_ledger_is_counted_and_a_detached_one_is_not(meters):
    with Ledger.open("memory://") as books:
        store = books.store
        exporter = OtelExporter(meter_provider=meters).attach(books)
        for _ in range(3):
            books.record(attempt(price=Priced(nanos=10**9), usage=Usage(input_tokens=5)))
        assert exporter.flush()
        assert meters.sums["frugal_chains.attempts"] == 3
        assert meters.sums["frugal_chains.cost"] == 3.0
        assert meters.sums[f"{USAGE}input_tokens"] == 15
        exporter.detach()
        assert books.store is store
        books.record(attempt())
        assert exporter.flush()
        assert meters.sums["frugal_chains.attempts"] == 3
        assert books.totals()[0].attempts == 4


def test_a_tracker_with_budgets_is_counted_as_it_is(meters):
    """What adapters use: reserving, booking and giving up go through the ledger as before."""
    from frugal_chains.budgets import Budget
    from frugal_chains.tracking import CallEnd, CallStart, Tracker

    def start(key: str) -> CallStart:
        request = RequestFacts(messages=(MessageFacts(role="user", text="hello"),))
        return CallStart(
            key=key,
            framework="test",
            provider="openai",
            model="gpt-4o",
            request=lambda: request,
            output_cap_tokens=10,
        )

    with Ledger.open("memory://") as books:
        exporter = OtelExporter(meter_provider=meters).attach(books)
        tracker = Tracker(books, budgets=[Budget.usd(1, per="day")])
        tracker.begin(start("a"))
        tracker.end("a", CallEnd(status="error", error_kind="rate_limit", sent=False))
        tracker.begin(start("b"))
        assert tracker.pressure()[0].reserved_nanos > 0
        tracker.give_up("b", "cancelled")
        assert exporter.flush()
        assert tracker.pressure()[0].reserved_nanos == 0
        assert books.totals()[0].attempts == 2
    assert meters.sums["frugal_chains.attempts"] == 2


def test_closing_a_ledger_counts_what_waits(meters):
    meters.gate.clear()
    books = Ledger.open("memory://")
    OtelExporter(meter_provider=meters).attach(books)
    books.record(attempt())
    threading.Timer(0.05, meters.gate.set).start()
    books.close()
    assert meters.sums["frugal_chains.attempts"] == 1


def test_a_failing_sdk_reaches_no_call(meters, caplog):
    meters.fail = True
    with Ledger.open("memory://") as books:
        exporter = OtelExporter(meter_provider=meters).attach(books)
        for _ in range(3):
            books.record(attempt())
        assert exporter.flush()
        assert books.totals()[0].attempts == 3
    assert exporter.dropped == 3
    assert len(caplog.records) == 1
    assert "a prompt" not in caplog.text  # what an error says may be anything


def test_a_slow_sdk_delays_no_call_and_the_queue_is_bounded(meters, monkeypatch):
    monkeypatch.setattr(_exporter, "MOST_WAITING", 10)
    meters.gate.clear()
    with Ledger.open("memory://") as books:
        exporter = OtelExporter(meter_provider=meters).attach(books)
        started = time.perf_counter()
        for _ in range(30):
            books.record(attempt())
        assert time.perf_counter() - started < 2
        assert 19 <= exporter.dropped <= 20  # one may be with the meter already
        meters.gate.set()
        assert exporter.flush()
    assert meters.sums["frugal_chains.attempts"] == 30 - exporter.dropped


def test_a_call_that_ends_late_is_one_attempt(meters):
    with Ledger.open("memory://") as books:
        exporter = OtelExporter(meter_provider=meters).attach(books)
        lost = attempt(status="aborted", error_kind="lost", price=Priced(nanos=4),
                       usage=Usage(input_tokens=9, source="estimated"))  # fmt: skip
        books.record(lost)
        books.record(lost._replace(status="ok", usage=Usage(input_tokens=7), price=Priced(nanos=9)))
        assert exporter.flush()
    assert meters.sums["frugal_chains.attempts"] == 1
    assert meters.sums[f"{USAGE}input_tokens"] == 7
    assert meters.sums["frugal_chains.cost"] == pytest.approx(9e-9)


def test_spans_are_of_the_attempts_times_and_below_the_current_one(meters):
    spans: list[Any] = []

    class Tracers:
        def get_tracer(self, name: str) -> Tracers:
            return self

        def start_span(self, name: str, **facts: Any) -> Any:
            spans.append({"name": name, **facts})
            outer = spans[-1]

            class Span:
                def set_status(self, status: Any) -> None:
                    outer["status"] = status

                def end(self, at: int) -> None:
                    outer["end"] = at

            return Span()

    from opentelemetry import context

    token = context.attach(context.set_value("here", "yes"))
    try:
        with Ledger.open("memory://") as books:
            exporter = OtelExporter(
                meter_provider=meters, tracer_provider=Tracers(), spans=True
            ).attach(books)
            call = attempt(latency_s=1.5, status="error", error_kind="rate_limit")
            books.record(call)
            assert exporter.flush()
    finally:
        context.detach(token)
    (span,) = spans
    assert span["name"] == "chat gpt-4o"
    assert context.get_value("here", span["context"]) == "yes"
    assert span["start_time"] == call.at_us * 1000
    assert span["end"] - span["start_time"] == 1_500_000_000
    assert span["attributes"]["error.type"] == "rate_limit"
    assert span["status"].status_code.name == "ERROR"


def test_two_exporters_of_one_ledger_both_count(meters):
    others = Meters()
    with Ledger.open("memory://") as books:
        first = OtelExporter(meter_provider=meters).attach(books)
        second = OtelExporter(meter_provider=others).attach(books)
        first.detach()  # in the wrong order: the second is around it
        books.record(attempt())
        assert second.flush()
        second.detach()
        books.record(attempt())
        assert first.flush()
    assert (meters.sums["frugal_chains.attempts"], others.sums["frugal_chains.attempts"]) == (0, 1)


def test_an_exporter_that_is_forgotten_ends_its_thread(meters):
    exporter = OtelExporter(meter_provider=meters)
    exporter.see(attempt())
    assert exporter.flush()
    gone = weakref.ref(exporter)
    del exporter
    deadline = time.perf_counter() + 5
    while gone() is not None or any(t.name == "frugal-otel" for t in threading.enumerate()):
        gc.collect()
        assert time.perf_counter() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_forked_child_counts_its_own(meters):
    exporter = OtelExporter(meter_provider=meters)
    exporter.see(attempt())
    assert exporter.flush()

    def work(out: Any) -> None:
        exporter.see(attempt())
        assert exporter.flush()
        out.write(f"{meters.sums['frugal_chains.attempts']:.0f}\n")

    assert Child(work).wait() == ["2"]  # the one it inherited, and its own
    assert meters.sums["frugal_chains.attempts"] == 1


def test_without_opentelemetry_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.metrics", None)
    with pytest.raises(ExportError, match=r"frugal-chains\[otel\]"):
        OtelExporter()


def test_the_real_api_takes_it_without_an_sdk():
    pytest.importorskip("opentelemetry.metrics", reason="needs opentelemetry-api")
    with Ledger.open("memory://") as books:
        exporter = OtelExporter(spans=True, openinference=True).attach(books)
        books.record(FULL)
        assert exporter.flush()
    assert exporter.dropped == 0


def test_the_real_sdk_agrees():
    pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    with Ledger.open("memory://") as books:
        exporter = OtelExporter(meter_provider=MeterProvider([reader])).attach(books)
        books.record(FULL)
        books.record(FULL._replace(id="f" * 32))
        assert exporter.flush()
    (resource,) = reader.get_metrics_data().resource_metrics
    sums = {
        metric.name: sum(point.value for point in metric.data.data_points)
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert sums[f"{USAGE}input_tokens"] == 2_000
    assert sums[f"{USAGE}output_tokens"] == 140
    assert sums["frugal_chains.cost"] == pytest.approx(0.005)


def test_spans_of_the_real_sdk_are_below_the_applications():
    pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    call = FULL._replace(latency_s=2.0, first_token_s=0.5, streamed=True)
    with Ledger.open("memory://") as books:
        exporter = OtelExporter(tracer_provider=provider, spans=True, tags=["tenant"])
        exporter.attach(books)
        with provider.get_tracer("app").start_as_current_span("answer a question") as outer:
            books.record(call)
            inside = outer.get_span_context()
        assert exporter.flush()
    span = next(s for s in kept.get_finished_spans() if s.name == "chat gpt-4o")
    assert (span.parent.span_id, span.context.trace_id) == (inside.span_id, inside.trace_id)
    assert (span.kind.name, span.end_time - span.start_time) == ("CLIENT", 2_000_000_000)
    assert span.attributes["gen_ai.usage.cost.amount"] == 0.0025
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == 0.5
    assert span.attributes["frugal_chains.tag.tenant"] == "acme"
