"""The scripted server goes wrong exactly as told, and keeps count."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from tests.servers import Reply, Request, ScriptedServer

MESSAGES: Any = [{"role": "user", "content": "one two three four"}]


def chat(server: ScriptedServer, *, retries: int = 0, timeout_s: float = 5.0, **body: Any) -> Any:
    client = openai.OpenAI(
        base_url=server.openai_base_url, api_key="secret", max_retries=retries, timeout=timeout_s
    )
    return client.chat.completions.create(model="gpt-4o", messages=MESSAGES, **body)


def claude(server: ScriptedServer, **body: Any) -> Any:
    client = anthropic.Anthropic(
        base_url=server.anthropic_base_url, api_key="secret", max_retries=0
    )
    return client.messages.create(model="claude", max_tokens=9, messages=MESSAGES, **body)


STATUSES = [
    (chat, 400, openai.BadRequestError),
    (chat, 429, openai.RateLimitError),
    (chat, 500, openai.InternalServerError),
    (claude, 400, anthropic.BadRequestError),
    (claude, 429, anthropic.RateLimitError),
    (claude, 500, anthropic.InternalServerError),
    (claude, 529, anthropic.APIStatusError),
]


@pytest.mark.parametrize(("ask", "status", "error"), STATUSES)
def test_statuses_become_the_sdks_own_errors(
    scripted: ScriptedServer, ask: Any, status: int, error: type[Exception]
) -> None:
    scripted.script(Reply(status=status))
    with pytest.raises(error) as caught:
        ask(scripted)
    assert caught.value.status_code == status  # type: ignore[attr-defined]
    assert len(scripted.requests) == 1


def test_each_client_retry_is_a_request_of_its_own(scripted: ScriptedServer) -> None:
    scripted.script(
        Reply(status=429, headers={"retry-after": "0.01"}),
        Reply(disconnect=True),
        Reply("done"),
    )
    assert chat(scripted, retries=2).choices[0].message.content == "done"
    assert len(scripted.requests) == 3


def test_headers_of_a_reply_arrive_and_retry_after_is_obeyed(scripted: ScriptedServer) -> None:
    refusal = Reply(status=429, headers={"retry-after": "0.6"})
    scripted.script(refusal, refusal)
    with pytest.raises(openai.RateLimitError) as caught:
        chat(scripted)
    assert caught.value.response.headers["retry-after"] == "0.6"
    started = time.monotonic()
    chat(scripted, retries=1)
    # Left to itself the client waits 0.5 s at most: openai/_constants.py, INITIAL_RETRY_DELAY.
    assert time.monotonic() - started >= 0.6


def test_a_clean_cut_ends_the_stream_without_finish_or_usage(scripted: ScriptedServer) -> None:
    scripted.script(Reply(cut_after_chunks=3))
    chunks = list(chat(scripted, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "one ", "two "]
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


@pytest.mark.parametrize("ask", [chat, claude])
def test_a_broken_connection_raises_midstream(scripted: ScriptedServer, ask: Any) -> None:
    scripted.script(Reply(cut_after_chunks=3, cut_cleanly=False))
    with pytest.raises(Exception, match="incomplete chunked read"):
        list(ask(scripted, stream=True))
    assert scripted.requests[0].chunks_sent == 3


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [(chat, openai.APIError, "server had an error"), (claude, anthropic.APIError, "Overloaded")],
)
def test_an_error_event_raises_midstream(
    scripted: ScriptedServer, ask: Any, error: type[Exception], match: str
) -> None:
    scripted.script(Reply(fail_after_chunks=3))
    with pytest.raises(error, match=match):
        list(ask(scripted, stream=True))


def test_a_stall_ends_with_the_server_at_the_latest() -> None:
    started = time.monotonic()
    with ScriptedServer() as server:
        server.script(Reply(stall_after_chunks=2))
        with pytest.raises(Exception, match="timed out"):
            list(chat(server, stream=True, timeout_s=0.2))
        assert server.requests[0].chunks_sent == 2
    assert time.monotonic() - started < 5


def test_delays_are_before_the_answer_and_between_chunks(scripted: ScriptedServer) -> None:
    scripted.script(Reply(delay_s=0.1, chunk_delay_s=0.05))
    started = time.monotonic()
    stream = chat(scripted, stream=True)
    assert time.monotonic() - started >= 0.1
    assert len(list(stream)) == 6  # role, four words, finish
    assert time.monotonic() - started >= 0.1 + 6 * 0.05


def test_a_client_that_leaves_is_noticed(scripted: ScriptedServer) -> None:
    scripted.script(Reply(" ".join(["word"] * 200), chunk_delay_s=0.01))
    stream = chat(scripted, stream=True)
    next(stream)
    stream.close()
    deadline = time.monotonic() + 5
    while not scripted.requests[0].client_left and time.monotonic() < deadline:
        time.sleep(0.01)
    assert scripted.requests[0].client_left
    assert scripted.requests[0].chunks_sent < 50


def test_scripts_run_in_order_then_the_default_answers(scripted: ScriptedServer) -> None:
    def count(request: Request) -> Reply:
        return Reply(f"request {len(scripted.requests)} for {request.body['model']}")

    scripted.script(Reply("first"), count)
    answers = [chat(scripted).choices[0].message.content for _ in range(3)]
    assert answers == ["first", "request 2 for gpt-4o", "one two three four"]
    scripted.always(Reply("always"))
    assert {chat(scripted).choices[0].message.content for _ in range(2)} == {"always"}


def test_requests_are_recorded_without_credentials(scripted: ScriptedServer) -> None:
    chat(scripted)
    claude(scripted)
    assert [r.path for r in scripted.requests] == ["/v1/chat/completions", "/v1/messages"]
    assert scripted.requests[0].body["messages"] == MESSAGES
    assert scripted.requests[1].headers["anthropic-version"]
    assert "secret" not in str([r.headers for r in scripted.requests])


def test_a_mistake_in_a_script_fails_the_test_that_made_it() -> None:
    server = ScriptedServer()
    server.script(lambda request: request.body["no such field"])
    with pytest.raises(openai.APIConnectionError):
        chat(server)
    with pytest.raises(KeyError, match="no such field"):
        server.stop()


def test_unknown_endpoints_are_not_found(scripted: ScriptedServer) -> None:
    url = f"{scripted.openai_base_url}/batches"
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(url, b"{}"):
        pass
    assert caught.value.code == 404
    assert json.loads(caught.value.read())["error"]["message"] == "no such endpoint"


def test_many_clients_at_once_each_get_their_own_answer(scripted: ScriptedServer) -> None:
    scripted.always(lambda request: Reply(request.body["user"], delay_s=0.02))
    client = openai.OpenAI(base_url=scripted.openai_base_url, api_key="t", max_retries=0)

    def ask(name: str) -> str | None:
        answer = client.chat.completions.create(model="m", messages=MESSAGES, user=name)
        return answer.choices[0].message.content

    names = [str(n) for n in range(64)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, names)) == names
    assert len(scripted.requests) == 64
