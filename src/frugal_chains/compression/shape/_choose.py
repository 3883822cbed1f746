"""The form of a payload that has the fewest tokens, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from frugal_chains.compression.shape._html import html_to_text, looks_like_html
from frugal_chains.compression.shape._logs_fold import unfold_log
from frugal_chains.compression.shape._logs_result import FOLDED, GROUPED
from frugal_chains.compression.shape._markdown import compact_tables
from frugal_chains.compression.shape._outline import write_outline
from frugal_chains.compression.shape._outline_read import read_outline
from frugal_chains.compression.shape._shaped import ORIGINAL, Count, Shaped
from frugal_chains.compression.shape._values import Value, read_json, write_json
from frugal_chains.compression.shape._whitespace import squeeze
from frugal_chains.errors import CompressionError, ShapeError

LOSSLESS_FORMS = ("json", "outline", "json-lines")
"""Forms that `restore` turns back into the same JSON value: JSON without blanks; an outline; an
outline of a payload that is one JSON value a line."""
READER_FORMS = ("html", "markdown", "whitespace")
"""Forms in which nothing is lost that a reader needs, and that cannot be undone."""
FORMS = (*LOSSLESS_FORMS, *READER_FORMS)

MAX_CHARS = 4_000_000
"""About a million tokens of English: what no model of today takes in one message."""

_SURELY_SHORTER = 0.75
"""An outline this much shorter in characters than the same JSON without blanks is shorter in
tokens too: of 533 payloads none below it had more than 0.9 of the tokens (notes/compression-shape).
Where it holds, JSON is not counted."""
_TOO_SHORT_TO_ESTIMATE = 400
"""Characters of JSON below which everything is counted: a few odd tokens would decide."""
_BLANKS = " \n\t\r"

_Candidate = tuple[str, str]


def shape(
    text: str,
    count: Count,
    *,
    lossless_only: bool = True,
    forms: Collection[str] = FORMS,
) -> Shaped:
    """The payload in the form that has the fewest tokens by `count`.

    Args:
        text: A payload: JSON of any shape, JSON lines, HTML, Markdown, plain text.
        count: Tokens of a text.
        lossless_only: Leave out the forms that cannot be undone (`READER_FORMS`).
        forms: Forms to choose among, of `FORMS`.

    Returns:
        The shortest form. The original, the same object, where none is shorter, and where the
        payload cannot be shaped; `reason` says which.

    Raises:
        ShapeError: `forms` names one that does not exist.
    """
    unknown = [form for form in forms if form not in FORMS]
    if unknown:
        raise ShapeError(f"no form {unknown[0]!r}; there are {', '.join(FORMS)}")
    unfit = _unfit(text)
    before = count(_countable(text))
    if unfit:
        return _untouched(text, before, unfit)
    wanted = [form for form in forms if form in LOSSLESS_FORMS or not lossless_only]
    candidates, why_not = _json_candidates(text, wanted)
    candidates += [
        (form, _READER[form](text)) for form in READER_FORMS if form in wanted and why_not
    ]
    best, after = (ORIGINAL, text), before
    for form, candidate in candidates:
        tokens = count(candidate) if candidate.strip() and candidate != text else before
        if tokens < after:
            best, after = (form, candidate), tokens
    if best[0] == ORIGINAL:
        return _untouched(text, before, why_not or "no form is shorter")
    return Shaped(
        text=best[1],
        form=best[0],
        tokens_before=before,
        tokens_after=after,
        reason=f"{best[0]} has {after} of {before} tokens",
        lossless=best[0] in LOSSLESS_FORMS,
    )


def checked_lossless(forms: Collection[str]) -> tuple[str, ...]:
    """Lossless forms to choose among, in the order of `LOSSLESS_FORMS`.

    Raises:
        CompressionError: one of them is unknown or loses something.
    """
    unknown = sorted(set(forms) - set(LOSSLESS_FORMS))
    if unknown:
        raise CompressionError(
            f"no lossless form {unknown[0]!r}; there are {', '.join(LOSSLESS_FORMS)}"
        )
    return tuple(form for form in LOSSLESS_FORMS if form in forms)


def restore(text: str, form: str) -> str:
    """What a shaped text was made from: JSON of the same value, or the original itself.

    Numbers have their text, objects their order and doubled keys. Blanks between values are not
    put back, nor escapes of letters that need none.

    Raises:
        ShapeError: The text is not of that form, or the form cannot be undone.
    """
    if form in (ORIGINAL, "json"):
        return text
    if form == FOLDED:
        return unfold_log(text)
    if form in (*READER_FORMS, GROUPED):
        raise ShapeError(f"{form!r} cannot be undone: keep the original beside it")
    if form not in LOSSLESS_FORMS:
        raise ShapeError(f"no form {form!r}; there are {ORIGINAL}, {', '.join(FORMS)}")
    try:
        value = read_outline(text)
    except ValueError as error:
        raise ShapeError(f"not an outline: {error}") from error
    if form == "outline":
        return write_json(value)
    if not isinstance(value, list):
        raise ShapeError("not an outline of JSON lines: it holds no list")
    return "\n".join(map(write_json, value))


def _json_candidates(text: str, forms: Collection[str]) -> tuple[list[_Candidate], str]:
    """The payload in the lossless forms that may win; why there are none, if it cannot be read."""
    if text.lstrip(_BLANKS)[:1] not in ("{", "[", '"'):
        return [], "not a JSON object, array or text"
    try:
        value = read_json(text)
    except ValueError as error:
        lines = _json_lines(text) if "json-lines" in forms else None
        return ([("json-lines", write_outline(lines))], "") if lines else ([], str(error))
    candidates: list[_Candidate] = []
    if "outline" in forms:
        candidates.append(("outline", write_outline(value)))
    if "json" in forms and not _surely_shorter(candidates, text):
        compact = write_json(value)
        if not _surely_shorter(candidates, compact):
            # Before the outline: at the same count the form that every reader knows wins.
            candidates.insert(0, ("json", compact))
    return candidates, ""


def _surely_shorter(candidates: list[_Candidate], text: str) -> bool:
    """Whether the outline is so short that the JSON text without blanks need not be counted."""
    least = _least_chars(text)
    return bool(candidates) and len(candidates[0][1]) < _SURELY_SHORTER * least


def _least_chars(text: str) -> int:
    """So many characters at least has the JSON text without blanks; 0 where that is not plain."""
    if len(text) < _TOO_SHORT_TO_ESTIMATE or "\\" in text:
        return 0
    return len(text) - sum(map(text.count, _BLANKS))


def _json_lines(text: str) -> list[Value] | None:
    """The values of a text with one JSON object or array a line, at least two of them."""
    rows = text.strip(_BLANKS).split("\n")
    if len(rows) < 2 or not all(row[:1] in ("{", "[") for row in rows):
        return None
    try:
        return [read_json(row) for row in rows]
    except ValueError:
        return None


def _html(text: str) -> str:
    return html_to_text(text) if looks_like_html(text) else ""


def _markdown(text: str) -> str:
    compact = compact_tables(text)
    return squeeze(compact) if compact != text else ""


_READER: Mapping[str, Callable[[str], str]] = {
    "html": _html,
    "markdown": _markdown,
    "whitespace": squeeze,
}
"""How to write each form; empty where it has nothing to do."""


def _unfit(text: str) -> str:
    """Why a text is not looked at; empty: it is."""
    if len(text) > MAX_CHARS:
        return f"longer than {MAX_CHARS} characters"
    if "\0" in text:
        return "it has NUL characters: binary data, not text"
    if not text.isascii() and _countable(text) is not text:
        return "it has halves of surrogate pairs: not valid Unicode"
    return ""


def _countable(text: str) -> str:
    """The text as a tokenizer takes it: a question mark for each half of a surrogate pair."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def _untouched(text: str, tokens: int, reason: str) -> Shaped:
    return Shaped(
        text=text,
        form=ORIGINAL,
        tokens_before=tokens,
        tokens_after=tokens,
        reason=reason,
        lossless=True,
    )
