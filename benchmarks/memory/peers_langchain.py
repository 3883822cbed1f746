"""LangChain's memories, and langmem's: their own code, played call by call.

The windows and marks are about the messages; the system prompt stands before them, outside. Every
library is given the same exact token counter through its own parameter for one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage, trim_messages

from memory.langchain_chat import Scripted, count_messages, head_of, message_of
from memory.peers_agent import summarised_by_middleware
from memory.recorder import Peer, Recorder


def trimmed(max_tokens: int) -> Callable[[Recorder], None]:
    """`trim_messages`, as its documentation has it for chat histories."""

    def play(recorder: Recorder) -> None:
        model, head = Scripted(recorder=recorder), head_of(recorder)
        history: list[BaseMessage] = []
        for step in recorder.conversation.steps():
            recorder.at(step)
            history += map(message_of, step.new)
            kept = trim_messages(
                history,
                max_tokens=max_tokens,
                strategy="last",
                token_counter=count_messages,
                start_on="human",
                end_on=("human", "tool"),
            )
            history.append(model.invoke([*head, *kept]))

    return play


def summary_buffer(max_tokens: int) -> Callable[[Recorder], None]:
    """`ConversationSummaryBufferMemory`; results of tools are added one by one and pruned."""

    # Imported here: the import puts its own filter of warnings in front of those of a play.
    from langchain_classic.memory import ConversationSummaryBufferMemory

    def play(recorder: Recorder) -> None:
        memory = ConversationSummaryBufferMemory(
            llm=Scripted(recorder=recorder, summariser=True),
            max_token_limit=max_tokens,
            return_messages=True,
        )
        model, head = Scripted(recorder=recorder), head_of(recorder)
        for step in recorder.conversation.steps():
            recorder.at(step)
            new = [message_of(each) for each in step.new]
            answer = model.invoke([*head, *memory.load_memory_variables({})["history"], *new])
            if len(new) == 1 and step.new[0].role == "user" and not step.answer.calls:
                memory.save_context({"input": new[0].text}, {"output": answer.text})
            else:
                for message in (*new, answer):
                    memory.chat_memory.add_message(message)
                memory.prune()

    return play


def langmem_summaries(max_tokens: int, max_summary: int) -> Callable[[Recorder], None]:
    """langmem's `summarize_messages` with its running summary, before each call."""

    def play(recorder: Recorder) -> None:
        short_term = importlib.import_module("langmem.short_term")
        writer = Scripted(recorder=recorder, summariser=True)
        model, head = Scripted(recorder=recorder), head_of(recorder)
        history: list[Any] = []
        running: Any = None
        for step in recorder.conversation.steps():
            recorder.at(step)
            history += map(message_of, step.new)
            result = short_term.summarize_messages(
                history,
                running_summary=running,
                model=writer,
                max_tokens=max_tokens,
                max_summary_tokens=max_summary,
                token_counter=count_messages,
            )
            running = result.running_summary or running
            history.append(model.invoke([*head, *result.messages]))

    return play


def langchain_peers(summary_tokens: int) -> list[Peer]:
    """LangChain's own.

    Raises:
        ImportError: `langchain` or `langchain-classic` is not installed.
    """
    importlib.import_module("langchain.agents")
    plays: dict[str, Callable[[Recorder], None]] = {
        "trim_messages 4k": trimmed(4000),
        "trim_messages 2k": trimmed(2000),
        "SummarizationMiddleware 8k->2k": summarised_by_middleware(
            ("tokens", 8000), ("tokens", 2000)
        ),
        "SummarizationMiddleware 4k, 20 messages": summarised_by_middleware(
            ("tokens", 4000), ("messages", 20)
        ),
        "ConversationSummaryBufferMemory 4k": summary_buffer(4000),
        "ConversationSummaryBufferMemory 2k": summary_buffer(2000),
    }
    return [Peer(name, play, summary_tokens) for name, play in plays.items()]


def langmem_peers(summary_tokens: int) -> list[Peer]:
    """langmem's.

    Raises:
        ImportError: `langmem` is not installed.
    """
    importlib.import_module("langmem.short_term")
    return [Peer("langmem 4k", langmem_summaries(4000, 512), summary_tokens)]
