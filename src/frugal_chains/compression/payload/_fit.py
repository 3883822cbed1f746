"""`fit_payload`: a tool's output within a budget: a denser form first, then fewer fields."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from frugal_chains.compression._json import read_json, rendered
from frugal_chains.compression.extract import Count, Passage, extract
from frugal_chains.compression.payload._fields import Field, fields_of, worth
from frugal_chains.compression.shape import LOSSLESS_FORMS, Shaped, group_logs, shape
from frugal_chains.errors import CompressionError

LEAST_TOKENS: Final = 40
"""A payload as short as this is left as it is: there is hardly anything to save, and an error
message or a single number has no part that could go."""
_MOST_CHARS: Final = 200_000
"""Of longer ones records are chosen and not fields: each trial writes the whole payload anew."""
_NEEDED: Final = 2.5
"""From this worth on (`worth` of `payload._fields`) a field of many records is kept: records go."""
_MANY_RECORDS: Final = 8
_REFILLS: Final = 8
"""Fields that are tried in the room that is left."""

Shape = Callable[[str], Shaped]
Step = Literal["original", "shape", "fields", "log", "extract"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A payload as it enters the conversation."""

    text: str
    tokens_before: int
    tokens_after: int
    step: Step
    """The last step that was needed; after `shape` nothing is lost but layout."""
    form: str
    """Of `compression.shape`: what `restore` needs after the step `shape`."""
    dropped_fields: tuple[str, ...] = ()
    """Such as `address.city`, `flights.*.status`: names of fields, never their values."""


def fit_payload(
    text: str,
    *,
    query: str,
    budget_tokens: int | None,
    count: Count,
    forms: Sequence[str] = LOSSLESS_FORMS,
    least_tokens: int = LEAST_TOKENS,
    patterns: Sequence[re.Pattern[str]] = (),
) -> Payload:
    """Bring a tool's output to a budget, and lose as little as can be.

    A denser form of the same JSON comes first. If that is too long, fields that later steps hardly
    need are left out, all values of a field together; of a log, lines that are alike become one;
    then records and sentences go that have least to do with the query.

    Args:
        text: The output.
        query: What the output is for: the user's words, the call and its arguments.
        budget_tokens: None: only the denser form.
        count: The tokenizer.
        forms: Of `compression.shape`, to choose among; none: the layout stays as it is.
        least_tokens: Shorter ones are left as they are, whatever the budget.
        patterns: Of the application: what they match is never cut.

    Raises:
        CompressionError: a budget below 1.
    """
    if budget_tokens is not None and budget_tokens < 1:
        raise CompressionError(f"budget_tokens is {budget_tokens}; give a budget of 1 or more")

    @cache
    def in_form(part: str) -> Shaped:
        return shape(part, count, forms=forms)

    shaped = in_form(text)
    before = shaped.tokens_before
    fits = budget_tokens is None or shaped.tokens_after <= max(budget_tokens, 0)
    if fits or before < least_tokens:
        step: Step = "original" if shaped.text is text else "shape"
        return _payload(before, shaped.text, shaped.tokens_after, step, shaped.form)
    assert budget_tokens is not None
    fewer = _fewer_fields(text, query.lower(), budget_tokens, in_form)
    if fewer is not None:
        last, dropped = fewer
        return _payload(before, last.text, last.tokens_after, "fields", last.form, dropped)
    grouped = group_logs(text, count)
    if grouped.tokens_after <= budget_tokens:
        return _payload(before, grouped.text, grouped.tokens_after, "log", grouped.form)
    return _extracted(text, query, budget_tokens, count, in_form, patterns)


def _extracted(
    text: str,
    query: str,
    budget_tokens: int,
    count: Count,
    in_form: Shape,
    patterns: Sequence[re.Pattern[str]],
) -> Payload:
    is_json = text.lstrip()[:1] in ("{", "[") and len(text) <= _MOST_CHARS
    found = extract(
        query,
        [Passage(text=text)],
        budget_tokens=budget_tokens,
        count=(lambda part: in_form(part).tokens_after) if is_json else count,
        patterns=patterns,
    )
    last = in_form(found.texts[0] or "")
    before = in_form(text).tokens_before
    return _payload(before, last.text, last.tokens_after, "extract", last.form)


def _fewer_fields(
    text: str, query: str, budget_tokens: int, in_form: Shape
) -> tuple[Shaped, tuple[Field, ...]] | None:
    """With as few fields left out as fit; None where those that matter would have to go as well."""
    box = read_json(text) if len(text) <= _MOST_CHARS else None
    if box is None:
        return None
    fields = fields_of(text, box)
    worths = {
        field: worth(field, [json.loads(text[i.value_start : i.end]) for i in items], query)
        for field, items in fields.items()
    }
    order = sorted(fields, key=worths.__getitem__)
    # Of many records some may go whole; of few, no field is worth more than the budget.
    many = max(map(len, fields.values())) >= _MANY_RECORDS
    spare = [field for field in order[:-1] if not many or worths[field] < _NEEDED]

    def less(dropped: Collection[Field]) -> Shaped:
        kept = {i.start for field, items in fields.items() if field not in dropped for i in items}
        return in_form(rendered(text, box, kept, 0))

    sizes = range(1, len(spare) + 1)
    at = bisect_left(sizes, True, key=lambda n: less(spare[:n]).tokens_after <= budget_tokens)
    if at == len(sizes):
        return None
    dropped = spare[: sizes[at]]
    best = less(dropped)
    # The last one had to go; of the others a short one may fit into the room that is left.
    for field in dropped[-2 : -2 - _REFILLS : -1]:
        fewer = [each for each in dropped if each != field]
        tried = less(fewer)
        if tried.tokens_after <= budget_tokens:
            dropped, best = fewer, tried
    return best, tuple(dropped)


def _payload(
    before: int,
    text: str,
    tokens: int,
    step: Step,
    form: str,
    dropped: Sequence[Field] = (),
) -> Payload:
    return Payload(
        text=text,
        tokens_before=before,
        tokens_after=tokens,
        step=step,
        form=form,
        dropped_fields=tuple(sorted(".".join(field) for field in dropped)),
    )
