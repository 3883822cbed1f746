"""`BudgetExampleSelector`: of the few-shot examples there are, what a request needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.messages import BaseMessage, HumanMessage, get_buffer_string
from langchain_core.prompts import BasePromptTemplate
from langchain_core.prompts.chat import BaseChatPromptTemplate
from langchain_core.prompts.message import BaseMessagePromptTemplate

from frugal_chains.compression.prompt import ExampleOrder, ExamplePlan, PromptExample
from frugal_chains.dispatch import ExampleChooser
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import around
from langchain_frugal._content import texts_of

Example = Mapping[str, Any]
ExamplePrompt = BasePromptTemplate[Any] | BaseMessagePromptTemplate

_CHAT_SEPARATOR: Final = "\n"
"""Messages are counted as a transcript, with the role in front of each."""


class BudgetExampleSelector(BaseExampleSelector):
    """Chooses the few-shot examples that are most about a request, within a budget of tokens.

        selector = BudgetExampleSelector(
            examples, 800, example_prompt=example_prompt, model="gpt-4.1-mini"
        )
        prompt = FewShotPromptTemplate(
            example_selector=selector, example_prompt=example_prompt, suffix="Q: {question}\\nA:",
        )

    For `FewShotPromptTemplate` and `FewShotChatMessagePromptTemplate`. The next example is always
    the one with the most relevance left after its likeness to those chosen is taken off; with
    `label_key` one of each label comes first. Where all fit, all are kept: the set that does not
    change is the one a provider's cache can keep. A fixed set of examples that is cached may cost
    less than a few chosen anew for each request.

    Within a conversation the examples stay the same: give the history to the few-shot template
    (`FewShotChatMessagePromptTemplate(input_variables=["history", "question"], ...)`), and they are
    chosen for its first human message.

    A call is left alone with `enabled=False`, or with `{"compress": False}` under `configurable` or
    `metadata` of the config of the chain around it: then all examples are sent.

    Args:
        examples: In the order of the prompt.
        budget_tokens: Of the examples as they are written, with the separators between them. A chat
            template's messages are counted as a transcript.
        example_prompt: How an example is written, the same as of the few-shot template; None: its
            values, each behind its key.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        input_keys: Of the input variables, what the request is; None: all of them.
        example_keys: Of an example, what is compared with the request, such as its question alone;
            None: all of it.
        label_key: Of an example, the class it shows; empty: there are none.
        diversity: Weight of unlikeness against relevance, 0 (relevance alone) to 1.
        order: `original`, or `best_last`: the most relevant one next to the request.
        at_most: Examples; None: as many as fit.
        min_relevance: Less relevant ones (0 to 1, the best one has 1) do not fill up what is left
            of the budget.
        example_separator: Of the few-shot template.
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
        example_prompt: ExamplePrompt | None = None,
        model: str = "",
        provider: str = "",
        input_keys: Sequence[str] | None = None,
        example_keys: Sequence[str] | None = None,
        label_key: str = "",
        diversity: float = 0.3,
        order: ExampleOrder = "original",
        at_most: int | None = None,
        min_relevance: float = 0.3,
        example_separator: str = "\n\n",
        enabled: bool = True,
        counter: TokenCounter | None = None,
    ) -> None:
        self.enabled = enabled
        self._prompt, self._label_key = example_prompt, label_key
        self._input_keys, self._example_keys = input_keys, example_keys
        chat = isinstance(example_prompt, BaseChatPromptTemplate | BaseMessagePromptTemplate)
        self._chooser = ExampleChooser(
            budget_tokens,
            model=model,
            provider=provider,
            diversity=diversity,
            order=order,
            at_most=at_most,
            min_relevance=min_relevance,
            separator=_CHAT_SEPARATOR if chat else example_separator,
            counter=counter,
        )
        self._examples: tuple[tuple[Example, PromptExample], ...] = ()
        for example in examples:
            self.add_example({**example})

    @property
    def examples(self) -> list[dict[str, Any]]:
        """All there are to choose from."""
        return [{**example} for example, _ in self._examples]

    def add_example(self, example: dict[str, str]) -> None:
        # A new tuple: who is choosing in another thread goes on with the old one.
        self._examples = (*self._examples, ({**example}, self._written(example)))

    async def aadd_example(self, example: dict[str, str]) -> None:
        self.add_example(example)

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        call, examples = around(), self._examples
        if not (self.enabled and call.wanted):
            return [{**example} for example, _ in examples]
        plan = self._chooser.choose(
            [written for _, written in examples],
            self._request(input_variables),
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return [{**examples[n][0]} for n in plan.kept]

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        call, examples = around(), self._examples
        if not (self.enabled and call.wanted):
            return [{**example} for example, _ in examples]
        plan = await self._chooser.achoose(
            [written for _, written in examples],
            self._request(input_variables),
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return [{**examples[n][0]} for n in plan.kept]

    def explain(self, input_variables: Mapping[str, Any]) -> ExamplePlan:
        """What would be chosen, and `.diff()` of it. Nothing is written to the books."""
        return self._chooser.preview(
            [written for _, written in self._examples], self._request(input_variables)
        )

    # -- parts ---------------------------------------------------------------------------------

    def _written(self, example: Example) -> PromptExample:
        keys = self._example_keys
        return PromptExample(
            text=self._text(example),
            about="" if keys is None else "\n".join(str(example[key]) for key in keys),
            label=str(example.get(self._label_key, "")) if self._label_key else "",
        )

    def _text(self, example: Example) -> str:
        prompt = self._prompt
        if prompt is None:
            return "\n".join(f"{key}: {value}" for key, value in example.items())
        needed = {key: example[key] for key in prompt.input_variables}
        if isinstance(prompt, BaseChatPromptTemplate | BaseMessagePromptTemplate):
            return get_buffer_string(prompt.format_messages(**needed))
        return str(prompt.format(**needed))

    def _request(self, variables: Mapping[str, Any]) -> str:
        keys = sorted(variables) if self._input_keys is None else self._input_keys
        values = [variables[key] for key in keys if key in variables]
        for value in values:
            if first := _first_question(value):
                return first
        return "\n".join(value for value in values if isinstance(value, str))


def _first_question(value: Any) -> str:
    """What a person said first in a list of messages; empty: there is no such thing."""
    messages = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    said = (m for m in messages if isinstance(m, BaseMessage) and isinstance(m, HumanMessage))
    return next(("\n".join(texts_of(message.content)) for message in said), "")
