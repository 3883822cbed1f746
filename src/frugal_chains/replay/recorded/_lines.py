"""The lines of a recording: from a file, compressed or not, or from anything that gives lines."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from frugal_chains.errors import RecordingError
from frugal_chains.replay.recorded._skipped import (
    DAMAGED,
    MAX_LINE_BYTES,
    NOT_TEXT,
    NOT_UTF8,
    TOO_LONG,
    UNREADABLE,
)

_GZIP_MAGIC: Final = b"\x1f\x8b"
"""RFC 1952, section 2.3.1. Told by its first bytes: names lie."""
_BOM: Final = "\ufeff"
_DRAINED_BYTES: Final = 2**20


class Line(NamedTuple):
    """One line as text, or why it is none."""

    text: str = ""
    problem: str = ""
    ended: bool = True
    """A line break stood behind it: only the last line of a file may lack one."""


Source = str | os.PathLike[str] | Iterable[str | bytes]


class Lines(Iterator[Line]):
    """Lines, and what has to be closed behind them."""

    def __init__(self, lines: Iterator[Line], *files: io.BufferedIOBase) -> None:
        self._lines = _without_bom(lines)
        self._files = files

    def __next__(self) -> Line:
        return next(self._lines)

    def close(self) -> None:
        """Close the files; twice does no harm."""
        for file in self._files:
            file.close()


def lines_of(source: Source) -> Lines:
    """The lines of a file by its path, or of an iterable of text or bytes.

    The file is opened here; whoever reads the lines closes them.

    Raises:
        RecordingError: the file cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        file, packed = _opened(source)
        if packed:
            unpacked = gzip.GzipFile(fileobj=file)  # which does not close what it reads
            return Lines(_read(unpacked), unpacked, file)
        return Lines(_read(file), file)
    if isinstance(source, bytes):
        raise RecordingError("bytes are no recording: give a path, or an iterable of lines")
    return Lines(_given_lines(iter(source)))


def _opened(path: str | os.PathLike[str]) -> tuple[io.BufferedReader, bool]:
    """The file, and whether it is compressed."""
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed by whoever reads the lines
        return file, file.peek(2).startswith(_GZIP_MAGIC)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "no such name can be"
        raise RecordingError(
            f"{os.fspath(path)}: cannot be opened ({why}); give the path of a file of JSON lines"
        ) from error


def _read(file: io.BufferedIOBase) -> Iterator[Line]:
    while True:
        try:
            raw = file.readline(MAX_LINE_BYTES + 1)
            long = len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n")
            if long:
                _drain(file)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            yield Line(problem=DAMAGED)
            return
        except OSError:
            yield Line(problem=UNREADABLE)
            return
        if not raw:
            return
        yield Line(problem=TOO_LONG) if long else _given(raw, raw.endswith(b"\n"))


def _drain(file: io.BufferedIOBase) -> None:
    """Read on to the end of the line, forgetting it."""
    while (piece := file.readline(_DRAINED_BYTES)) and not piece.endswith(b"\n"):
        pass


def _given_lines(lines: Iterator[str | bytes]) -> Iterator[Line]:
    """As they are given; an open file may fail between two of them."""
    while True:
        try:
            raw = next(lines)
        except StopIteration:
            return
        except UnicodeDecodeError:
            yield Line(problem=NOT_UTF8)
            return
        except OSError:
            yield Line(problem=UNREADABLE)
            return
        yield _given(raw) if isinstance(raw, str | bytes) else Line(problem=NOT_TEXT)


def _given(raw: str | bytes, ended: bool = True) -> Line:
    if len(raw) > MAX_LINE_BYTES + 1:
        return Line(problem=TOO_LONG)
    if isinstance(raw, str):
        return Line(text=raw)
    try:
        return Line(text=str(raw, "utf-8"), ended=ended)
    except UnicodeDecodeError:
        return Line(problem=NOT_UTF8)


def _without_bom(lines: Iterator[Line]) -> Iterator[Line]:
    """As they are, but for the mark that some editors put in front of the first."""
    for line in lines:
        yield line._replace(text=line.text.removeprefix(_BOM))
        break
    yield from lines
