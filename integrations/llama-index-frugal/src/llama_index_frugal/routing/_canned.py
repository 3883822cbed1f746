"""`NoModel`: what answers or refuses at the gate, so that the ledger and traces see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from frugal_chains.errors import RequestRefused


class NoModel(LLM):
    """Says one sentence, and costs nothing.

    Its calls are announced as any model's, under the name `canned:` and that of the guardrail or
    the canned answer; rows of the ledger are `cached`, or `error` of the kind `refused`.
    """

    answers_without_a_model: ClassVar[bool] = True

    name: str
    text: str
    refuses: bool = False

    @classmethod
    def class_name(cls) -> str:
        return "frugal"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=f"canned:{self.name}", is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._spoken()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._spoken()

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        answer = self._spoken()
        return (chunk for chunk in (answer,))

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        answer = self._spoken()

        async def stream() -> ChatResponseAsyncGen:
            yield answer

        return stream()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return self._written()

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return self._written()

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        answer = self._written()
        return (chunk for chunk in (answer,))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        answer = self._written()

        async def stream() -> CompletionResponseAsyncGen:
            yield answer

        return stream()

    def _spoken(self) -> ChatResponse:
        message = ChatMessage(role=MessageRole.ASSISTANT, content=self._said())
        return ChatResponse(message=message, delta=self.text)

    def _written(self) -> CompletionResponse:
        return CompletionResponse(text=self._said(), delta=self.text)

    def _said(self) -> str:
        if self.refuses:
            raise RequestRefused(self.text)
        return self.text
