"""Logs of real programs in chunks of 200 lines: how much shorter, and is anything important lost?

    python benchmarks/compression/logs.py [--seed 7] [--keep FOLDER]

The judge shares no code with what it judges. It asks of every chunk, by its own rules:

- problems: every distinct line that names an error, exception, failure, warning or their kin stands
  in the output word for word, as a line of its own (its count may follow);
- templates: digits, hex, quoted text and paths masked out of every line, each distinct rest is a
  template; one message of the output must hold all its words;
- kinds: programs of ours name the kind of every message; the words that all lines of a kind share
  must stand together in one message of the output.

Beside it, what is usual: the first line of every number-masked template with a count.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _figures import Figure, show
from rich.console import Console
from rich.table import Table

from compression.log_sources import SOURCES, TAG, Absent
from frugal_chains.compression.shape._logs import group_logs
from frugal_chains.compression.shape._logs_fold import fold_log, unfold_log

Count = Callable[[str], int]

CHUNK: Final = 200
"""Lines."""
PROBLEM: Final = re.compile(
    r"error|exception|fatal|fail|traceback|warn|critical|panic|severe|\" 5\d\d ", re.IGNORECASE
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_VARIES: Final = re.compile(
    r"0x[0-9a-fA-F]+|\"[^\"]*\"|'[^']*'|(?<!\w)(?:[a-z]+:/)?/[^\s\"',:;)\]]*|\b[0-9a-fA-F]*\d[0-9a-fA-F]*\b|\d+"
)
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


def made(seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """The logs of every source, and why some are absent."""
    logs, absent = {}, {}
    for name, make in SOURCES.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                logs[name] = make(Path(folder), seed)
            except (Absent, OSError) as why:
                absent[name] = str(why)
    return logs, absent


def chunks_of(log: str) -> list[str]:
    lines = log.splitlines(keepends=True)
    return ["".join(lines[i : i + CHUNK]) for i in range(0, len(lines), CHUNK)]


# -- the judge -------------------------------------------------------------------------------------


def shown_lines(text: str) -> list[str]:
    """Lines as a terminal would have shown them, without blank ones."""
    return [line.rstrip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]


def words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


def messages_of(output: str) -> list[frozenset[str]]:
    """Words of every message; a list that was named stands for itself wherever it is named."""
    lists = dict(re.findall(r"(§\d+)=([^;}]*)", output))
    written = re.sub(r"(§\d+)(?!=|\w)", lambda m: str(lists.get(m[1], m[1])), output)
    return [words_of(line) for line in written.splitlines()]


def missing_problems(lines: Iterable[str], output: str) -> list[str]:
    shown = {
        re.sub(r" \N{MULTIPLICATION SIGN}\d+$", "", line.rstrip()).rstrip()
        for line in output.splitlines()
    }
    shown |= {line.rstrip() for line in output.splitlines()}
    return [line for line in dict.fromkeys(lines) if PROBLEM.search(line) and line not in shown]


def missing_templates(
    lines: Iterable[str], messages: list[frozenset[str]]
) -> tuple[int, list[str]]:
    templates = {_VARIES.sub("*", line): line for line in lines}
    wanted = {words_of(template): line for template, line in templates.items()}
    lost = [line for words, line in wanted.items() if not any(words <= one for one in messages)]
    return len(wanted), lost


def missing_kinds(
    lines: Iterable[str], constant: Mapping[str, frozenset[str]], messages: list[frozenset[str]]
) -> tuple[int, list[str]]:
    kinds = dict.fromkeys(kind for line in lines for kind in TAG.findall(line))
    lost = [kind for kind in kinds if not any(constant[kind] <= one for one in messages)]
    return len(kinds), lost


def words_by_kind(log: str) -> dict[str, frozenset[str]]:
    """Words that every line of a kind has."""
    shared: dict[str, frozenset[str]] = {}
    for line in log.splitlines():
        for kind in TAG.findall(line):
            words = words_of(TAG.sub("", line))
            shared[kind] = shared.get(kind, words) & words
    return shared


# -- what is compared ------------------------------------------------------------------------------


def plain_grouping(text: str, count: Count) -> str:
    """The first line of every number-masked template, with its count."""
    found: dict[str, list[str]] = {}
    for line in shown_lines(text):
        found.setdefault(re.sub(r"0x[0-9a-f]+|\d+", "#", line), []).append(line)
    return "\n".join(f"{v[0]} x{len(v)}" if len(v) > 1 else v[0] for v in found.values())


def our_grouping(text: str, count: Count) -> str:
    return group_logs(text, count).text


@dataclass(slots=True)
class Tally:
    """Sums over chunks."""

    before: int = 0
    after: int = 0
    problems: int = 0
    problems_lost: int = 0
    templates: int = 0
    templates_lost: int = 0
    kinds: int = 0
    kinds_lost: int = 0
    seconds: float = 0.0
    examples: tuple[str, ...] = ()

    def add(self, other: Tally) -> None:
        for name in (
            "before",
            "after",
            "problems",
            "problems_lost",
            "templates",
            "templates_lost",
            "kinds",
            "kinds_lost",
            "seconds",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples = (*self.examples, *other.examples)[:20]

    @property
    def ratio(self) -> float:
        return self.before / max(1, self.after)


def judged(log: str, method: Callable[[str, Count], str], count: Count) -> Tally:
    """One log through one method, chunk by chunk."""
    tally = Tally()
    constant = words_by_kind(log)
    for tagged in chunks_of(log):
        chunk = TAG.sub("", tagged)
        began = time.process_time()
        output = method(chunk, count)
        tally.seconds += time.process_time() - began
        before = count(chunk)
        tally.before += before
        tally.after += count(output)
        output = _COLOUR.sub("", output)
        lines, messages = shown_lines(chunk), messages_of(output)
        lost = missing_problems(lines, output)
        tally.problems += len({line for line in lines if PROBLEM.search(line)})
        tally.problems_lost += len(lost)
        templates, lost_templates = missing_templates(lines, messages)
        tally.templates += templates
        tally.templates_lost += len(lost_templates)
        kinds, lost_kinds = missing_kinds(tagged.splitlines(), constant, messages)
        tally.kinds += kinds
        tally.kinds_lost += len(lost_kinds)
        tally.examples = (*tally.examples, *lost, *lost_templates, *lost_kinds)[:20]
    return tally


def folded(logs: Iterable[str], count: Count) -> dict[str, Figure]:
    """The lossless form of the same chunks, with every round trip tried."""
    before = after = wrong = chunks = 0
    for log in logs:
        for chunk in chunks_of(TAG.sub("", log)):
            result = fold_log(chunk, count)
            before += result.tokens_before
            after += result.tokens_after
            back = unfold_log(result.text) if result.form == "folded_log" else result.text
            wrong += back != chunk
            chunks += 1
    return {
        "logs, the same by the lossless form": Figure(
            value=round(before / max(1, after), 3), better="higher", unit="x"
        ),
        "logs, lossless round trips": Figure(
            value=round(kept(wrong, chunks), 3), asked=100.0, better="higher", unit="%"
        ),
    }


def kept(lost: int, of: int) -> float:
    return 100.0 * (of - lost) / of if of else 100.0


def figures(seed: int, count: Count, logs: Mapping[str, str] | None = None) -> dict[str, Figure]:
    """Every figure of this part, and a table by source on the way."""
    absent: Mapping[str, str] = {}
    if logs is None:
        logs, absent = made(seed)
    ours, plain = Tally(), Tally()
    table = Table(
        "log",
        "lines",
        "tokens",
        "after",
        "ratio",
        "plain",
        "problems kept",
        "by plain",
        "templates kept",
        title="logs in chunks of 200 lines",
    )
    for name, log in logs.items():
        one, other = judged(log, our_grouping, count), judged(log, plain_grouping, count)
        ours.add(one)
        plain.add(other)
        table.add_row(
            name,
            f"{log.count(chr(10)):,}",
            f"{one.before:,}",
            f"{one.after:,}",
            f"{one.ratio:.2f}",
            f"{other.ratio:.2f}",
            f"{one.problems - one.problems_lost} of {one.problems}",
            f"{other.problems - other.problems_lost}",
            f"{one.templates - one.templates_lost} of {one.templates}",
        )
    console = Console()
    (console if console.is_terminal else Console(width=150)).print(table)
    for name, why in absent.items():
        print(f"skipped: {name}: {why}")
    for example in ours.examples:
        print("lost:", example[:160])
    per_cent: dict[str, tuple[float, float | None]] = {
        "logs, problem lines kept": (kept(ours.problems_lost, ours.problems), 100.0),
        "logs, templates kept": (kept(ours.templates_lost, ours.templates), 100.0),
        "logs, tagged kinds kept": (kept(ours.kinds_lost, ours.kinds), 100.0),
        "logs, problem lines kept by plain grouping": (
            kept(plain.problems_lost, plain.problems),
            None,
        ),
        "logs, templates kept by plain grouping": (
            kept(plain.templates_lost, plain.templates),
            None,
        ),
    }
    return {
        "logs, tokens before over after": Figure(
            value=round(ours.ratio, 3), asked=3.0, better="higher", unit="x"
        ),
        "logs, the same by plain grouping": Figure(
            value=round(plain.ratio, 3), better="higher", unit="x"
        ),
        **{
            name: Figure(value=round(value, 3), asked=asked, better="higher", unit="%")
            for name, (value, asked) in per_cent.items()
        },
        **folded(logs.values(), count),
        "logs, speed with counting": Figure(
            value=round(ours.before / ours.seconds), asked=600_000, better="higher", unit="tokens/s"
        ),
    }


def main() -> int:
    from frugal_chains.tokens._encodings import shared_encodings

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--keep", type=Path, help="write the logs here, or read them if they are there"
    )
    asked = parser.parse_args()
    encoding = shared_encodings().get("o200k_base")
    if encoding is None:
        print("the ranks of o200k_base are not there: pip install frugal-chains[offline]")
        return 2
    logs = None
    if asked.keep is not None:
        logs = _kept(asked.keep, asked.seed)
    found = figures(asked.seed, lambda text: len(encoding.encode_ordinary(text)), logs)
    show("logs", found)
    return 0 if all(figure.reached for figure in found.values()) else 1


def _kept(folder: Path, seed: int) -> dict[str, str]:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        logs, absent = made(seed)
        for name, why in absent.items():
            print(f"skipped: {name}: {why}")
        for name, log in logs.items():
            (folder / f"{name}.log").write_text(log, encoding="utf-8", newline="")
    return {
        path.stem: path.open(encoding="utf-8", newline="").read()
        for path in sorted(folder.glob("*.log"))
    }


if __name__ == "__main__":
    sys.exit(main())
