"""Nothing in a line raises: it is counted, with its number, and quoted nowhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import RecordingError
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.recorded import (
    EXIT_SKIPPED,
    FIRST_LINES,
    MAX_LINE_BYTES,
    Recording,
    Skipped,
    SkippedLines,
    read_recording,
)

GOOD = json.dumps({"request": {"model": "m", "messages": "hi"}})
SECRET = "sk-secret-prompt"
DEEP = "[" * 100_000 + "]" * 100_000


def read(source: Any) -> tuple[list[RecordedCall], list[Skipped], Recording]:
    skipped: list[Skipped] = []
    recording = read_recording(source, on_skip=skipped.append)
    return list(recording), skipped, recording


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"request": {"messages": "sk-secret-prompt', "not JSON"),
        ("sk-secret-prompt", "not JSON"),
        (b'{"request": {"messages": "\xff sk-secret-prompt"}}', "not UTF-8"),
        ('["sk-secret-prompt"]', "JSON, but no object"),
        ('"sk-secret-prompt"', "JSON, but no object"),
        ("17", "JSON, but no object"),
        ("{}", "neither a request nor a response"),
        ('{"level": "info", "note": "sk-secret-prompt"}', "neither a request nor a response"),
        ('{"request": {}}', "neither a request nor a response"),
        ('{"request": 3}', "the request is no object"),
        ('{"response": true}', "the response is no object"),
        ('{"request": {"messages": 3}}', "the messages of the request are no list"),
        ('{"request": {"messages": [["sk-secret-prompt"]]}}', "a message is no object"),
        ('{"request": {"messages": [{"content": "sk-secret-prompt"}]}}', "a message has no role"),
        ('{"request": {"messages": [{"role": "user", "content": 3}]}}',
         "the content of a message is no text and no list of blocks"),
        ('{"request": {"messages": [{"role": "user", "content": [{"type":"text","text":3}]}]}}',
         "a text of a message is no text"),
        ('{"request": {"messages": [{"role": "assistant", "tool_calls": "x"}]}}',
         "the tool calls of a message are no list"),
        ('{"request": {"messages": [{"role": "assistant", "tool_calls": [3]}]}}',
         "a tool call is no object"),
        ('{"request": {"messages": "x", "tools": {"a": 1}}}',
         "the tools of the request are no list"),
        ('{"request": {"messages": "x", "tools": [3]}}', "a tool is no object"),
        ('{"response": [{"type": "message_start", "message": {}}]}',
         "the response is the events of a stream: record the whole response"),
        ('{"response": [{"object": "chat.completion.chunk", "choices": []}]}',
         "the response is the events of a stream: record the whole response"),
        ('{"response": {"choices": 3}}', "the choices of the response are no list"),
        ('{"response": {"choices": [3]}}', "a choice of the response is no object"),
        ('{"response": {"choices": [{"message": 3}]}}',
         "the message of the response is no object"),
        (DEEP, "nested too deeply"),
        ('{"request": {"messages": ' + "[" * 400 + "]" * 400 + "}}", "a message is no object"),
        ('{"a": ' + "9" * 10_000 + "}", "not JSON"),  # more digits than Python reads
    ],
)  # fmt: skip
def test_a_bad_line_is_left_out_and_named(line: str | bytes, reason: str) -> None:
    calls, skipped, recording = read([GOOD + "\n", line, GOOD])
    assert [call.line for call in calls] == [1, 3]
    assert skipped == [Skipped(2, reason)]
    assert str(skipped[0]) == f"line 2: {reason}"
    assert "secret" not in str(skipped)
    assert (recording.lines, recording.calls, recording.skipped_lines) == (3, 2, 1)
    assert recording.skipped == (SkippedLines(reason=reason, count=1, first_lines=(2,)),)


def test_reasons_are_counted_and_their_first_lines_named() -> None:
    _, _, recording = read([GOOD, *["{"] * 9, "[]"])
    assert recording.skipped == (
        SkippedLines(reason="not JSON", count=9, first_lines=tuple(range(2, 2 + FIRST_LINES))),
        SkippedLines(reason="JSON, but no object", count=1, first_lines=(11,)),
    )


def test_the_exit_code_of_a_command_that_left_out_lines() -> None:
    assert EXIT_SKIPPED == 3


@pytest.mark.parametrize("cut", [1, 10, len(GOOD) - 1])
def test_a_last_line_that_is_cut_off_is_told_from_one_that_is_wrong(
    tmp_path: Path, cut: int
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(f"{GOOD}\n{GOOD[:cut]}")
    assert read(file)[1] == [Skipped(2, "the last line is cut off")]
    file.write_text(f"{GOOD}\n{GOOD[:cut]}\n{GOOD}\n")
    assert read(file)[1] == [Skipped(2, "not JSON")]


def test_empty_lines_a_byte_order_mark_and_windows_line_ends_are_no_trouble(
    tmp_path: Path,
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + f"{GOOD}\r\n\r\n  \t\r\n{GOOD}\r\n\n".encode())
    calls, skipped, recording = read(str(file))
    assert [call.line for call in calls] == [1, 4]
    assert skipped == []
    assert recording.lines == 5


@pytest.mark.parametrize("name", ["calls.jsonl.gz", "calls.jsonl"])
def test_a_compressed_file_is_told_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(f"{GOOD}\n{GOOD}\n".encode()))
    assert len(read(file)[0]) == 2


def test_a_name_that_promises_compression_may_lie(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl.gz"
    file.write_text(GOOD)
    assert len(read(file)[0]) == 1


def test_a_compressed_file_that_ends_early_gives_what_it_has(tmp_path: Path) -> None:
    lines = [json.dumps({"request": {"messages": f"{n * 7919} hi"}}) for n in range(2_000)]
    packed = gzip.compress("\n".join(lines).encode())
    file = tmp_path / "calls.jsonl.gz"
    file.write_bytes(packed[: len(packed) // 2])
    calls, skipped, _ = read(file)
    assert 0 < len(calls) < 2_000
    assert skipped == [Skipped(len(calls) + 1, "the compressed file is damaged or cut off here")]


def test_a_line_of_twenty_megabytes_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    long = json.dumps({"request": {"messages": "x" * 20_000_000}})
    file = tmp_path / "calls.jsonl"
    with file.open("w") as out:
        out.write(f"{long}\n")
        out.write('{"request": {"messages": "' + "y" * MAX_LINE_BYTES + '"}}\n')
        out.write(GOOD)
    calls, skipped, _ = read(file)
    assert [call.line for call in calls] == [1, 3]
    assert skipped == [Skipped(2, "longer than 32 MiB")]


def test_a_line_that_was_written_twice_counts_once_if_it_says_which_call_it_is() -> None:
    known = json.dumps({"request": {"messages": "hi"}, "timestamp": "2025-11-20T12:00:00Z"})
    calls, skipped, _ = read([known + "\n", GOOD, GOOD, known])
    assert [call.line for call in calls] == [1, 2, 3]
    assert skipped == [Skipped(4, "the same as an earlier line, with the same id or time")]


def test_missing_times_and_usage_are_counted_not_guessed() -> None:
    told = json.dumps({"response": {"usage": {"prompt_tokens": 5}}, "at": 1_763_640_000})
    calls, _, recording = read([GOOD, told])
    assert (recording.without_time, recording.without_usage, recording.without_texts) == (1, 1, 1)
    assert calls[0].usage is None


def test_an_unknown_model_and_strange_labels_are_no_trouble() -> None:
    line = {"request": {"model": "never-heard-of", "messages": "x"}, "provider": ["a"], "task": 3}
    (call,) = read([json.dumps(line)])[0]
    assert (call.model, call.provider, call.task) == ("never-heard-of", "", "3")
    (unnamed,) = read([json.dumps({"request": {"model": {"a": 1}, "messages": "x"}})])[0]
    assert unnamed.model == ""


def test_usage_that_cannot_be_true_is_repaired_and_says_so() -> None:
    usage = {"prompt_tokens": -4, "completion_tokens": 7.5}
    (call,) = read([json.dumps({"response": {"usage": usage}})])[0]
    assert call.usage is not None
    assert (call.usage.output_tokens, call.usage.source) == (8, "mixed")


@pytest.mark.parametrize("content", ["", "\n\n", "{\n", "[\n  {}\n]\n"])
def test_a_file_without_any_call_is_an_error_at_its_end(tmp_path: Path, content: str) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(content)
    with pytest.raises(RecordingError, match=r"calls\.jsonl: no call in .* lines"):
        list(read_recording(file))


def test_the_error_says_how_often_what_was_wrong_and_where() -> None:
    with pytest.raises(RecordingError, match=r"7 x not JSON \(line 1, 2, 3, 4, 5, \.\.\.\)"):
        list(read_recording(["{"] * 7))


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        read_recording(tmp_path / "none.jsonl")
    with pytest.raises(RecordingError, match="directory"):
        read_recording(tmp_path)
    with pytest.raises(RecordingError, match="cannot be opened"):
        read_recording("a\0b")


def test_an_open_file_of_the_wrong_encoding_and_what_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(f"{GOOD}\n".encode() * 1_000 + b"\xff\xfe\n")
    with file.open(encoding="utf-8") as opened:  # decodes some lines ahead, and cannot go on
        calls, skipped, _ = read(opened)
    assert 0 < len(calls) < 1_000
    assert skipped == [Skipped(len(calls) + 1, "not UTF-8")]
    assert read([GOOD, {"a": 1}, None])[1] == [
        Skipped(2, "neither text nor bytes"),
        Skipped(3, "neither text nor bytes"),
    ]
    with pytest.raises(RecordingError, match="bytes are no recording"):
        read_recording(GOOD.encode())


def test_a_recording_can_be_left_in_the_middle(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(f"{GOOD}\n" * 5)
    recording = read_recording(file)
    next(recording)
    recording.close()
    assert (recording.calls, list(recording)) == (1, [])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.filterwarnings("error::ResourceWarning")
def test_the_file_is_closed_however_far_it_was_read(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(pack(f"{GOOD}\n{GOOD}\n".encode()))
    for read_calls in (0, 1, 2):
        recording = read_recording(file)
        for _ in range(read_calls):
            next(recording)
        recording.close()
        assert all(opened.closed for opened in recording._lines._files)
    whole = read_recording(file)
    assert len(list(whole)) == 2
    assert all(opened.closed for opened in whole._lines._files)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["messages", "role", "content", "type", "text", "tools", "usage", "choices", "output",
             "input", "body", "message", "model", "system", "metadata", "response_format",
             "prompt_tokens", "source", "data", "id", "error", "status", "cache_control"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
LINES = st.dictionaries(
    st.sampled_from(
        ["request", "response", "messages", "input", "output", "timestamp", "conversation", "task",
         "tags", "provider", "status", "error", "cost", "object", "type", "custom_id", "result"]
    ),
    JSON,
    max_size=5,
)  # fmt: skip


@given(st.lists(LINES | JSON, max_size=4))
def test_no_json_whatsoever_raises(lines: list[Any]) -> None:
    calls, skipped, recording = read([GOOD, *map(json.dumps, lines)])
    assert recording.calls == len(calls)
    assert recording.calls + len(skipped) == recording.lines == 1 + len(lines)


@given(st.binary(max_size=200))
def test_no_bytes_whatsoever_raise(raw: bytes) -> None:
    assert read([GOOD, raw])[0][0].line == 1
