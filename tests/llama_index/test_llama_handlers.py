"""Handlers that the user installs, their coming and going, and the face of the package."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core.llms import MockLLM
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher

import llama_index_frugal
from frugal_chains import Ledger
from llama_index_frugal import CostEventHandler, CostSpanHandler, track_cost
from tests.llama_index.asking import MESSAGES, WAYS, ask, only, rows
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]


@contextmanager
def installed(dispatcher: Dispatcher, events: Any = (), spans: Any = ()) -> Iterator[None]:
    before = list(dispatcher.event_handlers), list(dispatcher.span_handlers)
    for handler in events:
        dispatcher.add_event_handler(handler)
    for handler in spans:
        dispatcher.add_span_handler(handler)
    try:
        yield
    finally:
        dispatcher.event_handlers, dispatcher.span_handlers = before


@pytest.mark.parametrize("way", WAYS)
async def test_a_pair_of_handlers_books_leaves_once(
    way: str, dispatcher: Any, ledger: Ledger
) -> None:
    events = CostEventHandler(ledger, tags={"feature": "search"})
    with installed(dispatcher, [events], [CostSpanHandler(events)]):
        await ask(MockLLM(), way)
    assert only(ledger).tags == {"feature": "search"}
    assert events.total.attempts == 1
    assert events.ledger is ledger


async def test_handlers_on_a_part_of_the_tree_see_that_part(ledger: Ledger) -> None:
    events = CostEventHandler(ledger)
    mock = get_dispatcher("llama_index.core.llms.mock")
    decorators = get_dispatcher("llama_index.core.llms.callbacks")
    with installed(decorators, [events]), installed(mock, (), [CostSpanHandler(events)]):
        MockLLM().complete("hi")
    assert len(rows(ledger)) == 1


async def test_handlers_that_are_given_twice_book_once(dispatcher: Any, ledger: Ledger) -> None:
    one, two = CostEventHandler(ledger, tags={"a": "1"}), CostEventHandler(ledger, tags={"b": "2"})
    spans = [CostSpanHandler(one), CostSpanHandler(one), CostSpanHandler(two)]
    with installed(dispatcher, [one, one, two], spans), track_cost(ledger, c="3") as spent:
        list(MockLLM().stream_chat(MESSAGES))
    assert only(ledger).tags == {"a": "1", "b": "2", "c": "3"}
    assert (one.total.attempts, two.total.attempts, spent.attempts) == (1, 1, 1)


async def test_without_span_handler_calls_are_booked_and_the_user_is_told(
    dispatcher: Any, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    events = CostEventHandler(ledger)
    scripted.script(Reply("some"), Reply("some"), Reply(status=429))
    llm = openai_llm()
    with installed(dispatcher, [events]), caplog.at_level(logging.WARNING):
        llm.chat(MESSAGES)
        stream = llm.stream_chat(MESSAGES)
        next(stream)
        stream.close()
        with pytest.raises(Exception, match="429"):
            llm.complete("how many?")
    seen = sorted((row.status, row.error_kind) for row in rows(ledger))
    assert seen == [("aborted", "closed"), ("error", "rate_limit"), ("ok", "")]
    assert caplog.text.count("CostSpanHandler") == 1


def test_handlers_come_and_go_by_identity(dispatcher: Any, ledger: Ledger) -> None:
    """Handlers are pydantic models, and equal when their fields are: all of these are."""
    events = [CostEventHandler(ledger) for _ in range(3)]
    spans = [CostSpanHandler(event) for event in events]
    with installed(dispatcher, events, spans):
        before = [*map(id, dispatcher.event_handlers)], [*map(id, dispatcher.span_handlers)]
        with track_cost(ledger), track_cost(ledger):
            assert len(dispatcher.event_handlers) == len(before[0]) + 1
            assert len(dispatcher.span_handlers) == len(before[1]) + 1
        after = [*map(id, dispatcher.event_handlers)], [*map(id, dispatcher.span_handlers)]
        assert before == after


def test_handlers_that_somebody_removed_come_back(dispatcher: Any, ledger: Ledger) -> None:
    with installed(dispatcher), track_cost(ledger):
        dispatcher.event_handlers, dispatcher.span_handlers = [], []
        with track_cost(ledger):
            MockLLM().complete("hi")
    assert len(rows(ledger)) == 1


def test_open_spans_are_not_kept(dispatcher: Any, ledger: Ledger) -> None:
    events = CostEventHandler(ledger)
    with installed(dispatcher, [events], [CostSpanHandler(events)]):
        for _ in range(3):
            MockLLM().chat(MESSAGES)
            with pytest.raises(TypeError):
                MockLLM().chat(MESSAGES, formatted=True)
    assert events.recorder.spans._open == {}
    assert events.recorder.calls._open == {}


# -- the face ----------------------------------------------------------------------------------


def test_names() -> None:
    names = llama_index_frugal.__all__
    assert names == sorted(names)
    assert {getattr(llama_index_frugal, name) for name in names}
    with pytest.raises(AttributeError, match="Nothing"):
        _ = llama_index_frugal.Nothing


def test_import_leaves_llama_index_core_alone() -> None:
    code = "import sys, llama_index_frugal; print('llama_index.core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
