"""A ledger, and real SDK clients that talk to the scripted provider."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI, OpenAIResponses
from llama_index_instrumentation import root_dispatcher

from frugal_chains import Ledger
from tests.servers import ScriptedServer

Make = Callable[..., Any]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


@pytest.fixture(autouse=True)
def dispatcher() -> Iterator[Any]:
    """The root dispatcher, which every test must leave as it was."""
    events, spans = list(root_dispatcher.event_handlers), list(root_dispatcher.span_handlers)
    yield root_dispatcher
    for attempt in range(100):  # they stay while a task, thread or stream of their block is alive
        if len(root_dispatcher.event_handlers) == len(events):
            break
        gc.collect(min(attempt, 2))
        time.sleep(0.01 if attempt > 2 else 0)  # a thread that was told to end needs its time
    left = root_dispatcher.event_handlers, root_dispatcher.span_handlers
    root_dispatcher.event_handlers, root_dispatcher.span_handlers = events, spans
    assert [*map(id, left[0])] == [*map(id, events)]
    assert [*map(id, left[1])] == [*map(id, spans)]


@pytest.fixture
def openai_llm(scripted: ScriptedServer) -> Make:
    def make(model: str = "gpt-4o-mini", *, cls: Any = OpenAI, **options: Any) -> Any:
        options = {"max_retries": 0, "api_key": "test", **options}
        return cls(model=model, api_base=scripted.openai_base_url, **options)

    return make


@pytest.fixture
def responses_llm(openai_llm: Make) -> Make:
    return lambda model="gpt-4o-mini", **options: openai_llm(model, cls=OpenAIResponses, **options)


@pytest.fixture
def anthropic_llm(scripted: ScriptedServer) -> Make:
    def make(model: str = "claude-sonnet-5", **options: Any) -> Anthropic:
        options = {"max_retries": 0, "api_key": "test", **options}
        return Anthropic(model=model, base_url=scripted.anthropic_base_url, **options)

    return make


@pytest.fixture
def openai_embedding(scripted: ScriptedServer) -> Make:
    def make(model: str = "text-embedding-3-small", **options: Any) -> OpenAIEmbedding:
        options = {"max_retries": 0, "api_key": "test", **options}
        return OpenAIEmbedding(model=model, api_base=scripted.openai_base_url, **options)

    return make
