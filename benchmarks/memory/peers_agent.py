"""LangChain's `SummarizationMiddleware`, in a real agent whose model and tools have a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool, StructuredTool

from memory.langchain_chat import Scripted, count_messages, head_of, message_of
from memory.protocol import Block, Conversation
from memory.recorder import Recorder, ScriptEnded

_RECURSION: Final = 10_000
"""Steps of an agent's graph."""


def summarised_by_middleware(
    trigger: tuple[str, int], keep: tuple[str, int]
) -> Callable[[Recorder], None]:
    """`SummarizationMiddleware` in a real agent. Its tools answer from the script."""

    def play(recorder: Recorder) -> None:
        from langchain.agents import create_agent
        from langchain.agents.middleware import SummarizationMiddleware

        middleware = SummarizationMiddleware(
            model=Scripted(recorder=recorder, summariser=True),
            trigger=trigger,  # type: ignore[arg-type]
            keep=keep,  # type: ignore[arg-type]
            token_counter=count_messages,
        )
        steps = iter(recorder.conversation.steps())
        script = _Script(recorder, steps)
        agent = create_agent(
            Scripted(recorder=script),
            tools=_tools(recorder.conversation, script),
            middleware=[script.count_step(), middleware],
            system_prompt=head_of(recorder)[0] if recorder.conversation.head else None,  # type: ignore[arg-type]
        )
        messages: list[Any] = []
        while script.load():
            messages += script.humans()
            try:
                state = agent.invoke({"messages": messages}, {"recursion_limit": _RECURSION})
            except ScriptEnded:
                return
            messages = state["messages"]

    return play


class _Script:
    """The conversation as an agent meets it: the next step is taken when its model is about to be
    asked, so that a summary before the answer belongs to the same call."""

    def __init__(self, recorder: Recorder, steps: Iterator[Any]) -> None:
        self._recorder, self._steps = recorder, steps
        self._next = next(steps, None)
        self._outputs: dict[str, str] = {}

    def load(self) -> bool:
        return self._next is not None

    def humans(self) -> list[BaseMessage]:
        return [message_of(each) for each in self._next.new if each.role == "user"]  # type: ignore[union-attr]

    def count_step(self) -> Any:
        from langchain.agents.middleware import before_model

        @before_model
        def begin(state: Any, runtime: Any) -> None:
            if self._next is None:
                raise ScriptEnded
            self._recorder.at(self._next)

        return begin

    def block(self, *given: Any) -> Block:
        return self._recorder.block(*given)

    def answered(self, blocks: Iterable[Block]) -> Block:
        answer = self._recorder.answered(blocks)
        self._next = next(self._steps, None)
        new: Sequence[Block] = self._next.new if self._next else ()
        self._outputs = {each.answers: each.text for each in new if each.role == "tool"}
        return answer

    def output(self, call_id: str) -> str:
        if call_id not in self._outputs:
            raise ScriptEnded
        return self._outputs[call_id]


def _tools(conversation: Conversation, script: _Script) -> list[BaseTool]:
    names = sorted({call.name for each in conversation.messages for call in each.calls})

    def made(name: str) -> BaseTool:
        from langchain_core.tools import InjectedToolCallId
        from pydantic import BaseModel, ConfigDict

        class Anything(BaseModel):
            model_config = ConfigDict(extra="allow")
            call_id: Annotated[str, InjectedToolCallId]

        def run(call_id: str, **_: Any) -> str:
            return script.output(call_id)

        return StructuredTool(name=name, description=name, args_schema=Anything, func=run)

    return [made(name) for name in names]
