"""Whether what a summariser answered may stand for the messages it was asked about."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from frugal_chains.memory._merge import merge_summaries
from frugal_chains.memory._summary import SECTIONS, Summary, parse_summary
from frugal_chains.text import sentences, words

Refusal: TypeAlias = Literal["empty", "tool_call", "error", "refusal", "echo", "too_long"]
"""Why an answer is no summary. `too_long`: not one line of it fits the limit."""

READ_CHARS: Final = 200_000
"""Characters of an answer that are read: no output cap of a provider allows much more."""

LONG_LINE: Final = 200
"""Characters from which a line of prose is taken sentence by sentence, so that it can be cut."""

_SHORT: Final = 60
"""Words of an answer that may be nothing but a refusal or the name of an error; longer ones are
read as summaries, of a conversation about an error for one."""
_ECHO: Final = 0.5
"""Share of an answer's runs of words that are the request's own, from which on it is an echo."""
_RUN: Final = 5

_THOUGHTS: Final = re.compile(r"(?is)\A\s*<(think|thinking|reasoning)>.*?</\1>")
_CALL: Final = re.compile(
    r"""(?ix)\A\W{0,20}(?:
        <\|?(?:tool_?call|function|invoke|python_tag)\b | \[TOOL_CALLS\]
      | (?:json\s*)?\{\s*"(?:name|tool|function|tool_calls?|recipient_name)"\s*:
      | (?:json\s*)?\[\s*\{\s*"(?:name|function)"\s*:
      | to=functions\.
    )"""
)
_ERROR: Final = re.compile(
    r"""(?ix)\A\W{0,20}(?:
        (?:json\s*)?\{\s*"error" | traceback\ \(most | <!doctype | <html
      | (?:failed|unable)\ to\ (?:generate|summari[sz]e|create|connect|process)
      | (?:request|connection)\ (?:timed\ out|failed|refused|reset) | (?:bad\ gateway
      | gateway\ timeout | service\ unavailable|too\ many\ requests
      | rate\ limit\w*|overloaded|unauthori[sz]ed)\b
      | [45]\d\d\ (?:\w++\ ?+){1,4}+\Z | previous\ conversation\ was\ too\ long
      | (?:null|none|undefined)\Z
    )"""
)
_NAMES_ERROR: Final = re.compile(
    r"""(?ix)\A\W{0,20}(?:\w{1,40}+\ ){0,4}[\w.]{0,60}(?:error|exception)\b
        (?:\ \w+){0,4}\ ?(?:[:(!]|\.?\Z|occurred)"""
)
_REFUSES: Final = re.compile(
    r"""(?ix)
    \b(?:i['’]?m|i\ am)\ (?:sorry|unable|not\ able|afraid)
      | \bi\ (?:can['’]?t|cannot|can\ not
      | won['’]?t)\b
      | \bas\ an?\ (?:ai|language) | \b(?:there\ is|i\ see|there['’]s)\ no
        \ (?:conversation|text|transcript)
      | \bno\ (?:conversation|transcript|messages?|content)\ (?:was|were|has|have|to\ summari)
      | \bplease\ (?:provide|share|paste)\ (?:the|a|me|your)\b
      | \b(?:es\ tut\ mir\ leid|ich\ kann\ (?:das|dir|ihnen)?\ ?nicht
      | je\ (?:suis\ désolé|ne\ peux\ pas)
      | lo\ siento|no\ puedo)\b | 抱歉|无法|申し訳
    """  # noqa: RUF001 - as models write it
)

_ANNOUNCES: Final = re.compile(
    r"(?i)\A(?:sure|certainly|of course|okay|here|below|the following)\b[^:]{0,80}:\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """What came of an answer: a summary, or the reason why there is none."""

    summary: Summary | None = None
    refused: Refusal | None = None
    cut: bool = False
    """Lines were left out to keep to the limit, or a last line that had no end."""

    def __bool__(self) -> bool:
        """Whether there is a summary."""
        return self.summary is not None


def usable(
    answer: str,
    *,
    limit_tokens: int,
    count: Callable[[str], int],
    asked: str = "",
    transcript: str = "",
    calls: int = 0,
    truncated: bool = False,
) -> Usable:
    """Reads an answer, or says why it is no summary. Never raises on any text.

    An error, a refusal or a tool call in words never becomes a summary; where an answer has
    headings of ours with lines below, it is read whatever it says there. One over the limit is cut
    by lines, in the order of `merge_summaries`. No line of a model's is pinned.

    Args:
        answer: The text of the model's answer.
        limit_tokens: What `text()` of the summary may have, at most, by `count`.
        count: Tokens of a text.
        asked: What the model was asked, to know its own words from the request's.
        transcript: Of that, what it was to summarise: its lines may be said again, word for word.
        calls: Tool calls that came with the answer.
        truncated: The answer stopped at the output cap: its last line has no end, and an id cut in
            two would be worse than none.
    """
    text = _THOUGHTS.sub("", answer[:READ_CHARS]).strip()
    truncated |= len(answer) > READ_CHARS
    if not text.strip("`~*#-_ \n\r\t\0\u200b\ufeff"):
        return Usable(refused="tool_call" if calls else "empty")
    summary = _own_lines(parse_summary(text).unpinned(), _instruction(asked, transcript))
    structured = bool(summary.facts or summary.decisions or summary.open_tasks)
    if not structured and (refused := _refused(text, asked)) is not None:
        return Usable(refused=refused)
    if not summary:
        return Usable(refused="echo")
    return _within(
        _without_last(summary, text) if truncated else summary, limit_tokens, count, truncated
    )


def _refused(text: str, asked: str) -> Refusal | None:
    """Why a text without sections is no summary, if it is none."""
    if _CALL.match(text) is not None:
        return "tool_call"
    if _ERROR.match(text) is not None:
        return "error"
    if len(text.split()) <= _SHORT:
        if _NAMES_ERROR.match(text) is not None:
            return "error"
        if _REFUSES.search(text) is not None:
            return "refusal"
    return "echo" if _echoes(text, asked) else None


def _echoes(text: str, asked: str) -> bool:
    """Whether it is the request said again, mostly."""
    request = words(asked[:READ_CHARS])
    own = {tuple(request[at : at + _RUN]) for at in range(len(request) - _RUN + 1)}
    said = words(text)
    runs = [tuple(said[at : at + _RUN]) for at in range(len(said) - _RUN + 1)]
    return bool(runs) and sum(run in own for run in runs) >= _ECHO * len(runs)


def _instruction(asked: str, transcript: str) -> str:
    return asked.replace(transcript, "", 1) if transcript else asked


def _own_lines(summary: Summary, instruction: str) -> Summary:
    """Without lines that stand in the instruction, and without "here is the summary:"."""
    lines = instruction.splitlines()
    given = set(map(str.strip, lines)) | {
        line.split(":", 1)[1].strip() for line in lines if ":" in line
    }
    return Summary(
        **{
            section: tuple(
                line
                for line in summary.of(section)
                if line not in given and _ANNOUNCES.match(line) is None
            )
            for section in SECTIONS
        }
    )


def _without_last(summary: Summary, text: str) -> Summary:
    """Without the line at which the answer broke off; of prose, without the last sentence."""
    last = text.splitlines()[-1]
    cut = text[: -len(last)]
    if not cut.strip():
        spans = sentences(text)
        cut = text[: spans[-1][0]]
    return parse_summary(cut).unpinned()


def _within(summary: Summary, limit: int, count: Callable[[str], int], cut: bool) -> Usable:
    if not summary:
        return Usable(refused="too_long")
    if count(summary.text()) <= limit:
        return Usable(summary=summary, cut=cut)
    pieces = tuple(piece for line in summary.narrative for piece in _pieces(line))
    fine = replace(summary, narrative=pieces)
    fitted = merge_summaries([fine], budget_tokens=max(0, limit), count=count)
    return Usable(summary=fitted, cut=True) if fitted else Usable(refused="too_long")


def _pieces(line: str) -> list[str]:
    if len(line) < LONG_LINE:
        return [line]
    return [line[start:end] for start, end in sentences(line)]
