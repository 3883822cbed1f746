"""`FewShotExamples`: of the few-shot examples there are, what a request needs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.prompts import BasePromptTemplate

from frugal_chains.compression.prompt import ExampleOrder, ExamplePlan, PromptExample
from frugal_chains.dispatch import ExampleChooser
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._around import Around, around

Example = str | Mapping[str, Any]

_OPERATIONS: Final = 256
"""Whose effect is remembered."""


class FewShotExamples:
    """Chooses the few-shot examples that are most about a request, within a budget of tokens.

        examples = FewShotExamples(
            rows, 800, example_prompt=PromptTemplate("Q: {question}\\nA: {answer}"),
            model="gpt-4.1-mini",
        )
        prompt = PromptTemplate(
            "{examples}\\n\\nContext: {context_str}\\nQ: {query_str}\\nA: ",
            function_mappings={"examples": examples},
        )

    A function for `function_mappings` of a `PromptTemplate`, `ChatPromptTemplate` or
    `RichPromptTemplate`. The next example is always the one with the most relevance left after its
    likeness to those chosen is taken off; with `label_key` one of each label comes first. Where all
    fit, all are kept: the set that does not change is the one a provider's cache can keep. A fixed
    set of examples that is cached may cost less than a few chosen anew for each request.

    Within a conversation the examples stay the same: give the template its messages by a name in
    `input_keys`, and they are chosen for the first message of the user.

    Inside a block of `instrument_tags({"compress": False})` all examples are written, and so they
    are with `enabled=False`.

    Args:
        examples: In the order of the prompt: texts, or values for `example_prompt`.
        budget_tokens: Of the examples as they are written, with the separators between them.
        example_prompt: How an example is written; None: its values, each behind its key.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        input_keys: Of the template's variables, what the request is: those that are there.
        example_keys: Of an example, what is compared with the request, such as its question alone;
            None: all of it.
        label_key: Of an example, the class it shows; empty: there are none.
        diversity: Weight of unlikeness against relevance, 0 (relevance alone) to 1.
        order: `original`, or `best_last`: the most relevant one next to the request.
        at_most: Examples; None: as many as fit.
        min_relevance: Less relevant ones (0 to 1, the best one has 1) do not fill up what is left
            of the budget.
        separator: Between examples.
        enabled: False: all examples, as they came.
        counter: The token counter.

    Raises:
        PromptError: a number out of its range.
        KeyError: an example lacks a variable of `example_prompt` or one of `example_keys`.
    """

    def __init__(
        self,
        examples: Iterable[Example],
        budget_tokens: int,
        *,
        example_prompt: BasePromptTemplate | None = None,
        model: str = "",
        provider: str = "",
        input_keys: Sequence[str] = ("query_str",),
        example_keys: Sequence[str] | None = None,
        label_key: str = "",
        diversity: float = 0.3,
        order: ExampleOrder = "original",
        at_most: int | None = None,
        min_relevance: float = 0.3,
        separator: str = "\n\n",
        enabled: bool = True,
        counter: TokenCounter | None = None,
    ) -> None:
        self.enabled = enabled
        self.__name__ = type(self).__name__  # templates name their functions when they are saved
        self._input_keys, self._separator = tuple(input_keys), separator
        self._chooser = ExampleChooser(
            budget_tokens,
            model=model,
            provider=provider,
            diversity=diversity,
            order=order,
            at_most=at_most,
            min_relevance=min_relevance,
            separator=separator,
            counter=counter,
        )
        self._examples = tuple(
            _written(example, example_prompt, example_keys, label_key) for example in examples
        )
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, **variables: Any) -> str:
        """The examples for a request, as they stand in the prompt."""
        call = around()
        if not (self.enabled and call.wanted):
            return self._separator.join(example.text for example in self._examples)
        query = self._request(variables)
        if not self._is_new(call, query):
            return self._chooser.preview(self._examples, query).text
        return self._chooser.choose(
            self._examples, query, operation_id=call.operation_id, trackers=call.trackers
        ).text

    def explain(self, **variables: Any) -> ExamplePlan:
        """What would be chosen, and `.diff()` of it. Nothing is written to the books."""
        return self._chooser.preview(self._examples, self._request(variables))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copied template (`partial_format`) has the same one: nothing about it changes."""
        return self

    # -- parts ---------------------------------------------------------------------------------

    def _is_new(self, call: Around, query: str) -> bool:
        """Whether it is a request of which nothing is written down yet. A query engine formats a
        prompt several times to count its tokens, some of them with nothing in it."""
        if not call.operation_id or not query:
            return bool(query)
        with self._lock:
            told = (call.operation_id, query) in self._told
            self._told[call.operation_id, query] = None
            if len(self._told) > _OPERATIONS:
                self._told.popitem(last=False)
        return not told

    def _request(self, variables: Mapping[str, Any]) -> str:
        values = [variables[key] for key in self._input_keys if key in variables]
        for value in values:
            if first := _first_question(value):
                return first
        return "\n".join(value for value in values if isinstance(value, str))


def _written(
    example: Example,
    prompt: BasePromptTemplate | None,
    keys: Sequence[str] | None,
    label_key: str,
) -> PromptExample:
    if isinstance(example, str):
        return PromptExample(text=example)
    if prompt is None:
        text = "\n".join(f"{key}: {value}" for key, value in example.items())
    else:
        text = prompt.format(**{key: example[key] for key in prompt.template_vars})
    return PromptExample(
        text=text,
        about="" if keys is None else "\n".join(str(example[key]) for key in keys),
        label=str(example.get(label_key, "")) if label_key else "",
    )


def _first_question(value: Any) -> str:
    """What the user said first in a list of messages; empty: there is no such thing."""
    messages = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    said = (m for m in messages if isinstance(m, ChatMessage) and m.role == MessageRole.USER)
    return next((message.content or "" for message in said), "")
