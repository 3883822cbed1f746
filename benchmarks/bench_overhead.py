"""Added time per call of our handlers, beside those of other libraries, in one process and run.

    python benchmarks/bench_overhead.py [--quick]

LangChain: a fake chat model that returns usage, invoked with each handler in turn, each time right
after the same calls without any, so that both meet the same machine. Ours prices every call and has
it on disk before the call returns; the others keep what they keep (langchain-core's counter sums
tokens in memory; langfuse exports its spans, as it comes, to a server on loopback that takes
anything, and once more with an exporter that drops them; openinference drops them). LlamaIndex: an
LLM that answers at once, with its token counter and with `track_cost`.

The overhead is the median over rounds of (time with - time without), per call. Rounds are long
enough for the threads that some handlers leave work to, and end when those have done it: their time
counts.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parent))

from _figures import Figure, show, write_results
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from frugal_chains import Ledger
from langchain_frugal import CostCallbackHandler

CALLS = 400
ROUNDS = 40
PACKAGES = (
    "langchain-core", "llama-index-core", "langfuse", "openinference-instrumentation-langchain",
)  # fmt: skip
OPENAI_USAGE = {
    "prompt_tokens": 812,
    "completion_tokens": 64,
    "total_tokens": 876,
    "prompt_tokens_details": {"cached_tokens": 512},
}


class FakeChat(BaseChatModel):
    """Answers at once, with the usage that a provider would return."""

    model: str = "gpt-4o-mini"

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "openai", "ls_model_name": self.model, "ls_model_type": "chat"}

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(
            content="An answer of some words.",
            usage_metadata={
                "input_tokens": 812,
                "output_tokens": 64,
                "total_tokens": 876,
                "input_token_details": {"cache_read": 512},
                "output_token_details": {"reasoning": 0},
            },
            response_metadata={"model_name": "gpt-4o-mini", "model_provider": "openai"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class NoOp(BaseCallbackHandler):
    """What LangChain itself takes to call a handler that does nothing."""


@dataclass(frozen=True)
class Contender:
    name: str
    once: Callable[[], object]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Opened before a round and closed after it, outside the time that is taken."""
    finish: Callable[[], object] = lambda: None
    """Waits for what threads have still to do; inside the time."""


@dataclass(frozen=True)
class Timing:
    """Per call, microseconds."""

    wall_us: float
    cpu_us: float

    def __sub__(self, other: Timing) -> Timing:
        return Timing(wall_us=self.wall_us - other.wall_us, cpu_us=self.cpu_us - other.cpu_us)


def measure(
    bare: Callable[[], object], contenders: list[Contender], *, rounds: int
) -> dict[str, Timing]:
    """What each contender adds to a bare call: the median over rounds of the difference between
    its calls and the bare ones just before them. The order turns by one each round."""
    added: dict[str, list[Timing]] = {c.name: [] for c in contenders}
    for contender in contenders:
        with contender.around():
            _time(contender.once, contender.finish)
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for offset in range(len(contenders)):
                contender = contenders[(turn + offset) % len(contenders)]
                without = _time(bare)
                with contender.around():
                    with_it = _time(contender.once, contender.finish)
                added[contender.name].append(with_it - without)
            gc.collect()
    finally:
        gc.enable()
    return {name: _median(timings) for name, timings in added.items()}


def _time(once: Callable[[], object], finish: Callable[[], object] = lambda: None) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(CALLS):
        once()
    finish()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Timing(wall_us=wall / CALLS * 1e6, cpu_us=cpu / CALLS * 1e6)


def _median(timings: list[Timing]) -> Timing:
    return Timing(
        wall_us=statistics.median(t.wall_us for t in timings),
        cpu_us=statistics.median(t.cpu_us for t in timings),
    )


@contextmanager
def langchain_contenders(folder: Path) -> Iterator[tuple[Callable[[], object], list[Contender]]]:
    model = FakeChat()
    messages = [("system", "You answer in few words."), ("user", "What is the capital of France?")]

    def invoking(handler: BaseCallbackHandler | None) -> Callable[[], object]:
        config: Any = {"callbacks": [handler]} if handler else {}
        return lambda: model.invoke(messages, config=config)

    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(f"sqlite:///{folder}/langchain.db"))
        contenders = [
            Contender("no-op handler", invoking(NoOp())),
            Contender("UsageMetadataCallbackHandler", invoking(UsageMetadataCallbackHandler())),
            Contender(
                "CostCallbackHandler",
                invoking(CostCallbackHandler(ledger)),
                finish=ledger.store.flush,
            ),
        ]
        url = stack.enter_context(sink())
        contenders += [
            _langfuse(stack, "langfuse", invoking, base_url=url),
            _langfuse(stack, "langfuse, export dropped", invoking, span_exporter=_Drop()),
            Contender("openinference", invoking(_openinference())),
        ]
        yield invoking(None), contenders
        (total,) = ledger.totals()
        expected = (300 * 150 + 512 * 75 + 64 * 600) * total.attempts
        assert total.nanos == expected, "the calls measured were not booked as they should be"


class _Drop:
    """A span exporter that keeps nothing."""

    def export(self, spans: Any) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def _langfuse(
    stack: ExitStack,
    name: str,
    invoking: Callable[[BaseCallbackHandler], Callable[[], object]],
    **options: Any,
) -> Contender:
    from langfuse import Langfuse
    from langfuse.langchain import CallbackHandler
    from opentelemetry.sdk.trace import TracerProvider

    key = f"pk-lf-{name}"
    client = Langfuse(
        public_key=key, secret_key="sk-lf-bench", tracer_provider=TracerProvider(), **options
    )
    stack.callback(client.shutdown)
    return Contender(name, invoking(CallbackHandler(public_key=key)), finish=client.flush)


_SINK = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Sink(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def sink() -> Iterator[str]:
    """A server in a process of its own that takes whatever is posted to it."""
    process = subprocess.Popen([sys.executable, "-c", _SINK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def _openinference() -> BaseCallbackHandler:
    from openinference.instrumentation import OITracer, TraceConfig
    from openinference.instrumentation.langchain._tracer import OpenInferenceTracer
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_Drop()))  # type: ignore[arg-type]
    tracer = OITracer(provider.get_tracer("bench"), TraceConfig())
    return OpenInferenceTracer(tracer, separate_trace_from_runtime_context=True)


@contextmanager
def llama_index_contenders(
    folder: Path,
) -> Iterator[tuple[Callable[[], object], list[Contender]]]:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse
    from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
    from llama_index.core.llms import MockLLM
    from llama_index.core.llms.callbacks import llm_chat_callback

    from llama_index_frugal import track_cost

    class FakeLLM(MockLLM):
        """Answers at once, with the usage that OpenAI would return."""

        @llm_chat_callback()
        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            return ChatResponse(
                message=ChatMessage(role="assistant", content="An answer of some words."),
                raw={"model": "gpt-4o-mini", "usage": dict(OPENAI_USAGE)},
            )

    messages = [ChatMessage(role="user", content="What is the capital of France?")]
    counter = CallbackManager([TokenCountingHandler(tokenizer=str.split)])
    bare, counted = FakeLLM(), FakeLLM(callback_manager=counter)
    with Ledger.open(f"sqlite:///{folder}/llama_index.db") as ledger:
        yield (
            lambda: bare.chat(messages),
            [
                Contender("TokenCountingHandler", lambda: counted.chat(messages)),
                Contender(
                    "track_cost",
                    lambda: bare.chat(messages),
                    lambda: track_cost(ledger),
                    finish=ledger.store.flush,
                ),
            ],
        )


def show_added(title: str, added: Mapping[str, Timing], rounds: int) -> None:
    print(f"\n{title}: added microseconds per call, median of {rounds} rounds of {CALLS} calls")
    print(f"  {'':32} {'wall':>8} {'cpu':>8}")
    for name, timing in added.items():
        print(f"  {name:32} {timing.wall_us:8.1f} {timing.cpu_us:8.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    rounds = ROUNDS // 10 if parser.parse_args().quick else ROUNDS
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        with langchain_contenders(Path(name)) as (bare, contenders):
            chain = measure(bare, contenders, rounds=rounds)
        show_added("LangChain, chat model invoke", chain, rounds)
        with llama_index_contenders(Path(name)) as (bare, contenders):
            index = measure(bare, contenders, rounds=rounds)
        show_added("LlamaIndex, LLM chat", index, rounds)
    ours, counter = chain["CostCallbackHandler"].wall_us, chain["UsageMetadataCallbackHandler"]
    figures = {
        "times_usage_metadata_handler": _ratio(ours / counter.wall_us, "lower", asked=3.0),
        "langfuse_over_ours": _ratio(chain["langfuse"].wall_us / ours, "higher", asked=5.0),
        "langfuse_without_export_over_ours": _ratio(
            chain["langfuse, export dropped"].wall_us / ours, "higher"
        ),
        "openinference_over_ours": _ratio(chain["openinference"].wall_us / ours, "higher"),
        "langchain_added": Figure(value=ours, better="lower", unit="us per call"),
        "llama_index_added": Figure(
            value=index["track_cost"].wall_us, better="lower", unit="us per call"
        ),
        "times_token_counting_handler": _ratio(
            index["track_cost"].wall_us / index["TokenCountingHandler"].wall_us, "lower"
        ),
    }
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    show("overhead", figures)
    print(f"written to {write_results('overhead', figures, versions=versions)}")
    return int(not all(figure.reached for figure in figures.values()))


def _ratio(value: float, better: Literal["higher", "lower"], asked: float | None = None) -> Figure:
    return Figure(value=round(value, 2), better=better, unit="ratio", asked=asked)


if __name__ == "__main__":
    sys.exit(main())
