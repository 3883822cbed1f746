"""What validators are shown of an answer, as the providers' own integrations bring it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from openai.types.chat import ChatCompletion

from frugal_chains.routing.cascade import AnswerFacts
from langchain_frugal.routing._answers import answer_facts

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def by_openai(chat_openai: Any, message: dict[str, Any], **choice: Any) -> AnswerFacts:
    """Through `ChatOpenAI`'s own reading of a response (shape: OpenAI's chat completions)."""
    response = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, **choice}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip
    model = chat_openai()
    made = model._create_chat_result(ChatCompletion.model_validate(response))
    object.__setattr__(model, "_generate", lambda *_, **__: made)
    return answer_facts(model.invoke("hi"))


def test_an_answer_of_openai_is_read_whole(chat_openai: Any) -> None:
    tokens = [("half", -0.5), (" an ans", -1.5)]
    logprobs = {"content": [{"token": t, "logprob": p, "top_logprobs": []} for t, p in tokens]}
    facts = by_openai(
        chat_openai,
        {"content": "half an ans", "tool_calls": [CALL]},
        finish_reason="length",
        logprobs=logprobs,
    )
    assert (facts.text, facts.finish_reason, facts.refused) == ("half an ans", "length", False)
    assert facts.logprobs == (-0.5, -1.5)
    assert [(c.name, c.arguments, c.id) for c in facts.tool_calls] == [("f", '{"a": 1}', "c1")]


def test_a_refusal_of_openai_is_one(chat_openai: Any) -> None:
    message = {"content": None, "refusal": "I cannot help with that."}
    assert by_openai(chat_openai, message, finish_reason="stop").refused
    assert by_openai(chat_openai, {"content": ""}, finish_reason="content_filter").refused


@pytest.mark.parametrize(
    ("metadata", "reason", "refused"),
    [
        ({"stop_reason": "max_tokens"}, "max_tokens", False),  # Anthropic
        ({"stop_reason": "refusal"}, "refusal", True),
        ({"finish_reason": "SAFETY"}, "SAFETY", True),  # Gemini
        ({"done_reason": "length"}, "length", False),  # Ollama
        ({"stopReason": "end_turn"}, "end_turn", False),  # Bedrock Converse
        ({}, "", False),
    ],
)
def test_every_provider_has_a_word_for_why_an_answer_ended(
    metadata: dict[str, Any], reason: str, refused: bool
) -> None:
    facts = answer_facts(AIMessage("so", response_metadata=metadata))
    assert (facts.finish_reason, facts.refused, facts.logprobs) == (reason, refused, None)
