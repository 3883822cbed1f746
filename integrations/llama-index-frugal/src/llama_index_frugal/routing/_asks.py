"""One request to the router, as it can be put to any of its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate
from pydantic import BaseModel

from frugal_chains.facts import RequestFacts
from llama_index_frugal._request import chat_facts, texts_facts

Method = Literal["chat", "complete", "chat_with_tools", "structured_predict"]
"""Each has the prefixes `a`, `stream_` and `astream_`."""
ErrorTolerance = Literal["low", "normal", "high"]
Taken = Callable[[Sequence[ChatMessage]], list[ChatMessage]]
"""Messages as one model takes them."""

ROUTE: Final = "route"
TOLERANCE: Final = "error_tolerance"
_NEW_SAMPLE_TEMPERATURE: Final = 0.7
"""Wang et al., Self-Consistency (2203.11171): samples are taken at 0.5 to 0.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked, and how to ask it."""

    method: Method
    facts: RequestFacts
    shown: Any
    """The prompt or the messages, for events."""
    arguments: Callable[[Taken], tuple[Any, ...]]
    options: Mapping[str, Any]
    """Further keywords, those for the model itself among them."""
    of_the_model: str = ""
    """The option that holds those for the model, where they are not beside the others."""
    said: Mapping[str, Any]
    """What the request says about its own route: `route` and `error_tolerance`."""

    @property
    def model_options(self) -> Mapping[str, Any]:
        """The options for the model, where they are apart from the others; else none."""
        found: Mapping[str, Any] = self.options[self.of_the_model] if self.of_the_model else {}
        return found

    def put(self, prefix: str, llm: LLM, taken: Taken, *, again: bool) -> Any:
        """Ask one model; an awaitable for the prefixes that begin with `a`.

        Args:
            prefix: Which form of the method.
            llm: Whom.
            taken: Makes messages what it takes.
            again: Another sample of an answer it has given already.
        """
        options = dict(self.options)
        if again:
            options |= self._warmer(llm, options)
        if self.of_the_model:  # some classes write into it
            options[self.of_the_model] = dict(options[self.of_the_model])
        arguments, more = self.arguments(taken), options
        return getattr(llm, prefix + self.method)(*arguments, **more)

    def _warmer(self, llm: LLM, options: Mapping[str, Any]) -> dict[str, Any]:
        """A temperature at which a second sample may differ, where the model has one."""
        given = options[self.of_the_model] if self.of_the_model else options
        temperature = given.get("temperature", getattr(llm, "temperature", None))
        if temperature is None or temperature >= _NEW_SAMPLE_TEMPERATURE:
            return {}
        warmer = {"temperature": _NEW_SAMPLE_TEMPERATURE}
        return {self.of_the_model: {**given, **warmer}} if self.of_the_model else warmer


def chat(messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> Ask:
    said, rest = _split(options)
    return Ask(
        method="chat",
        facts=chat_facts(messages, rest),
        shown=messages,
        arguments=lambda taken: (taken(messages),),
        options=rest,
        said=said,
    )


def complete(prompt: str, formatted: bool, options: Mapping[str, Any]) -> Ask:
    said, rest = _split(options)
    return Ask(
        method="complete",
        facts=texts_facts([prompt]),
        shown=prompt,
        arguments=lambda taken: (prompt,),
        options={"formatted": formatted, **rest},
        said=said,
    )


def chat_with_tools(
    tools: Sequence[Any],
    user_msg: str | ChatMessage | None,
    chat_history: Sequence[ChatMessage] | None,
    options: Mapping[str, Any],
) -> Ask:
    said, rest = _split(options)
    history = list(chat_history or ())
    last = ChatMessage(role="user", content=user_msg) if isinstance(user_msg, str) else user_msg
    messages = history if last is None else [*history, last]
    shapes = [
        tool if isinstance(tool, Mapping) else tool.metadata.to_openai_tool(skip_length_check=True)
        for tool in tools
    ]
    return Ask(
        method="chat_with_tools",
        facts=chat_facts(messages, {**rest, "tools": shapes}),
        shown=messages,
        arguments=lambda taken: (tools, None, taken(messages)),
        options=rest,
        said=said,
    )


def structured_predict(
    output_cls: type[BaseModel],
    prompt: BasePromptTemplate,
    messages: Sequence[ChatMessage],
    llm_kwargs: Mapping[str, Any] | None,
    prompt_args: Mapping[str, Any],
) -> Ask:
    """`messages` are those that the prompt makes. It goes to the model as it is, so that the model
    may choose another template (`SelectorPromptTemplate`) and add its own system prompt."""
    said, rest = _split(llm_kwargs or {})
    schema = {"response_format": output_cls.model_json_schema()}
    return Ask(
        method="structured_predict",
        facts=chat_facts(messages, {**rest, **schema}),
        shown=messages,
        arguments=lambda taken: (output_cls, _prompt_as_taken(prompt, taken)),
        options={**prompt_args, "llm_kwargs": rest},
        of_the_model="llm_kwargs",
        said=said,
    )


def _prompt_as_taken(prompt: BasePromptTemplate, taken: Taken) -> BasePromptTemplate:
    if not isinstance(prompt, ChatPromptTemplate):
        return prompt
    before = prompt.message_templates
    after = taken(before)
    if len(after) == len(before) and all(a is b for a, b in zip(after, before, strict=True)):
        return prompt
    return prompt.model_copy(update={"message_templates": after})


def _split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said to the router, and what is for the model."""
    rest = dict(options)
    return {name: rest.pop(name) for name in (ROUTE, TOLERANCE) if name in rest}, rest
