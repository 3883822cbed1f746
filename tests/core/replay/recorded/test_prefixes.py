"""A file that is still being written gives the calls of its whole lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.errors import RecordingError
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.recorded import read_recording

EXAMPLES = Path(__file__).parents[4] / "examples" / "traffic"
FILES = sorted(EXAMPLES.glob("*.jsonl"))
CONTENT = {file.name: file.read_bytes() for file in FILES}
CALLS = {file.name: list(read_recording(file)) for file in FILES}


def calls_of(file: Path) -> list[RecordedCall]:
    try:
        return list(read_recording(file))
    except RecordingError:
        return []


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", sorted(CONTENT))
def test_any_prefix_gives_the_calls_of_its_whole_lines(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    content = CONTENT[name]
    ends = [at for at, byte in enumerate(content) if byte == ord("\n")]
    near = st.sampled_from(ends).flatmap(lambda at: st.integers(at - 1, at + 2))
    cut = data.draw(st.integers(0, len(content)) | near)
    file = tmp_path / "part.jsonl"
    file.write_bytes(content[:cut])
    # A line is whole once all but its line end is there.
    whole = sum(end <= cut for end in ends)
    assert calls_of(file) == CALLS[name][:whole]


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_lines_of_text_of_bytes_and_of_a_file_are_the_same(name: str) -> None:
    content = CONTENT[name]
    assert list(read_recording(content.splitlines(keepends=True))) == CALLS[name]
    assert list(read_recording(content.decode().split("\n"))) == CALLS[name]
    with (EXAMPLES / name).open("rb") as file:
        assert list(read_recording(file)) == CALLS[name]
