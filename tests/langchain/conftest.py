"""A ledger, and real SDK clients that talk to the scripted provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from frugal_chains import Ledger
from langchain_frugal import CostCallbackHandler
from tests.servers import ScriptedServer

MakeModel = Callable[..., Any]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


@pytest.fixture
def handler(ledger: Ledger) -> CostCallbackHandler:
    return CostCallbackHandler(ledger)


@pytest.fixture
def chat_openai(scripted: ScriptedServer) -> MakeModel:
    def make(model: str = "gpt-4o-mini", **options: Any) -> ChatOpenAI:
        options = {"max_retries": 0, **options}
        return ChatOpenAI(model=model, base_url=scripted.openai_base_url, api_key="test", **options)

    return make


@pytest.fixture
def chat_anthropic(scripted: ScriptedServer) -> MakeModel:
    def make(model: str = "claude-haiku-4-5", **options: Any) -> ChatAnthropic:
        options = {"max_retries": 0, **options}
        return ChatAnthropic(
            model=model, base_url=scripted.anthropic_base_url, api_key="test", **options
        )

    return make
