"""The runs of tau-bench's development split, and their answers as recorded calls."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts
from frugal_chains.replay import RecordedCall
from frugal_chains.usage import Usage
from replay.ledgers import START_US


def runs(data: Path) -> list[dict[str, Any]]:
    """The runs; arguments of calls that are no object are empty.

    Raises:
        FileNotFoundError: they are not in the folder.
    """
    path = data / "memory" / "tau_bench" / "data.jsonl.gz"
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: name the folder that holds memory/ (--data)")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    for message in (message for run in found for message in run["messages"]):
        for call in message.get("tool_calls") or ():
            function = call["function"]
            try:
                is_object = isinstance(json.loads(function["arguments"]), dict)
            except ValueError:
                is_object = False
            function["arguments"] = function["arguments"] if is_object else "{}"
    return found


def recorded_texts(run: Mapping[str, Any]) -> Iterator[RecordedCall]:
    """Each answer of a run as a call."""
    messages = [_facts(message) for message in run["messages"]]
    for at, message in enumerate(messages):
        if message.role == "assistant":
            yield RecordedCall(
                model="gpt-4o", provider="openai", at_us=START_US + at * 5_000_000,
                conversation=f"{run['task_id']}-{run['trial']}",
                request=RequestFacts(messages=tuple(messages[:at])),
                usage=Usage(output_tokens=60, source="estimated"),
            )  # fmt: skip


def _facts(message: Mapping[str, Any]) -> MessageFacts:
    return MessageFacts(
        role=message["role"],
        text=message["content"] or "",
        tool_call_id=message.get("tool_call_id") or "",
        tool_calls=tuple(
            ToolCallFacts(
                name=call["function"]["name"],
                arguments=call["function"]["arguments"],
                id=call["id"],
            )
            for call in message.get("tool_calls") or ()
        ),
    )
