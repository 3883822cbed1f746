"""The independent server `llmock` 0.2.2 shows the clients behaving as they do with ours.

Its fixture points the SDKs at it through their environment variables. Of Anthropic streams it
reports no input at all, not even in `message_start`, and it never reports cached tokens.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

PROMPT = "how many beans?"


def _openai(**options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o", **options)


def _claude(**options: Any) -> ChatAnthropic:
    return ChatAnthropic(model="claude-sonnet-5", **options)


def _streamed(model: Any) -> list[Any]:
    return [chunk.usage_metadata for chunk in model.stream(PROMPT) if chunk.usage_metadata]


def test_usage_arrives_where_the_clients_take_it(llmock: Any) -> None:
    whole = _openai().invoke(PROMPT).usage_metadata
    assert whole is not None
    assert whole["input_tokens"] > 0
    assert _streamed(_openai()) == []
    assert _streamed(_openai(stream_usage=True)) == [whole]
    claude = _claude().invoke(PROMPT).usage_metadata
    assert claude is not None
    assert claude["input_tokens"] > 0
    [streamed] = _streamed(_claude())
    assert (streamed["input_tokens"], streamed["output_tokens"]) == (0, claude["output_tokens"])


@pytest.mark.parametrize("make", [_openai, _claude])
def test_it_finds_nothing_to_blame_in_the_clients_own_retries(llmock: Any, make: Any) -> None:
    llmock.rate_limit(times=2, retry_after=0.01)
    assert make(max_retries=2).invoke(PROMPT).text
    assert len(llmock.requests) == 3
    llmock.assert_resilient()


def test_a_truncated_stream_ends_quietly_and_a_dropped_one_raises(llmock: Any) -> None:
    llmock.truncate(after_chunks=2)
    assert _streamed(_openai(stream_usage=True)) == []
    llmock.disconnect(after_chunks=2)
    with pytest.raises(httpx.RemoteProtocolError):
        _streamed(_openai(stream_usage=True))
