"""Which sections of a system prompt a request needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from frugal_chains.compression.prompt._checks import in_unit, not_negative
from frugal_chains.compression.prompt._fit import Count, most_that_fit
from frugal_chains.compression.prompt._guarded import binding
from frugal_chains.compression.prompt._language import language_of, unknown_script
from frugal_chains.compression.prompt._plan import PromptPlan, SectionFate
from frugal_chains.compression.prompt._prefix import PrefixChange, PrefixUse, weigh_prefix_change
from frugal_chains.compression.prompt._sections import PromptSection, join_sections
from frugal_chains.errors import PromptError
from frugal_chains.text import bm25, content_terms, terms

_RARITY: Final = 2.0
"""Sections of one prompt share its subject, and common words tell them apart less than BM25 has it:
on a policy of six sections this leaves out twice as much with no more mistakes than 1 does."""
_TELLING_WORDS: Final = 20
"""A text of so many words in none of the known languages may hold rules nobody here can read."""


class _Verdict(NamedTuple):
    kept: bool
    reason: str


_SOFT: Final = ("relevant", "no signal")
"""Reasons that give way to a budget, and to arithmetic."""


def choose_sections(
    sections: Sequence[PromptSection],
    query: str,
    count: Count,
    budget_tokens: int | None = None,
    *,
    min_share: float = 0.3,
    earlier: Sequence[int] = (),
    prefix: PrefixUse | None = None,
    enabled: bool = True,
) -> PromptPlan:
    """Leave out the sections that a request does not need.

    Never left out: what is `always`, what `when` asks for, and, unless the section is `optional`,
    what binds. The others stay where the request is about them. A selection changes the prefix that
    a provider's cache knows, so within a conversation it only grows: hand the last plan's `kept` in
    as `earlier`, and those sections stay, first and in the same order, so that the earlier text is
    a prefix of the new one. With `prefix`, sections are left out only where that lowers the bill,
    and as many from the end on as is best: what stands in front of the first gap keeps its cache.

    Args:
        sections: Of the prompt, in their order.
        query: What the user asks; where requests are terse, their questions so far.
        count: Tokens of a text.
        budget_tokens: For the joined text. A cap: it goes before the arithmetic of the cache, but
            not before what has to be kept (see `PromptPlan.fits`).
        min_share: A section stays from this share of the best section's score on, 0 to 1.
        earlier: Indices of the sections sent before in this conversation, in the order sent.
        prefix: How the prompt is used and billed; None: the cache is not considered.
        enabled: False: everything is kept.

    Raises:
        PromptError: A number is out of its range, or `earlier` names no section or one twice.
    """
    _check(sections, budget_tokens, min_share, earlier)
    full_text = join_sections(sections)
    prompt = _Prompt(sections, [count(s.text) for s in sections], _scores(sections, query))
    full_tokens = count(full_text)
    verdicts, change = [_Verdict(True, "off")] * len(sections), None
    if enabled:
        verdicts = _judged(prompt, query, min_share, earlier)
        if budget_tokens is not None and full_tokens > budget_tokens:
            verdicts = _cut_to(budget_tokens, prompt, verdicts, earlier, count)
        elif prefix and not earlier:
            verdicts, change = _where_it_pays(prompt.tokens, verdicts, prefix)
    order = _order(verdicts, earlier)
    text = join_sections([sections[i] for i in order])
    return PromptPlan(
        kept=order,
        added=order[len(earlier) :] if enabled else order,
        fates=_fates(prompt, verdicts),
        text=text,
        full_text=full_text,
        tokens_before=full_tokens,
        tokens_after=count(text),
        budget_tokens=budget_tokens,
        reason=_overall(verdicts),
        change=change,
    )


class _Prompt(NamedTuple):
    """Sections, and what is known of each for one request."""

    sections: Sequence[PromptSection]
    tokens: Sequence[int]
    scores: Sequence[float]


def _judged(
    prompt: _Prompt, query: str, min_share: float, earlier: Sequence[int]
) -> list[_Verdict]:
    """What each section's own text, and the request, have to say."""
    scores = prompt.scores
    held = [_held(section, query) for section in prompt.sections]
    # Only sections that may be left out compete: a rule that repeats the request's words is kept
    # anyway, and must not make what the request is about look small beside it. Those sent earlier
    # do compete: else the best of what is left would join at every message.
    best = max((score for score, why in zip(scores, held, strict=True) if not why), default=0.0)
    for i in earlier:
        held[i] = "earlier"
    verdicts = []
    for score, why in zip(scores, held, strict=True):
        if why:
            verdicts.append(_Verdict(True, why))
        elif best == 0:
            # A follow-up ("yes, please") asks for nothing new; a first message that says nothing
            # about any section leaves no reason to drop one.
            verdicts.append(
                _Verdict(False, "irrelevant") if earlier else _Verdict(True, "no signal")
            )
        elif score >= min_share * best and score > 0:
            verdicts.append(_Verdict(True, "relevant"))
        else:
            verdicts.append(_Verdict(False, "irrelevant"))
    return verdicts


def _held(section: PromptSection, query: str) -> str:
    """Why a section is kept whatever the request is about; empty: nothing holds it."""
    if section.always:
        return "always"
    if any(_says(query, phrase) for phrase in section.when):
        return "when"
    if section.optional:
        return ""
    if why := binding(section.name, section.text):
        return why
    unread = not language_of(section.text) and len(section.text.split()) >= _TELLING_WORDS
    return "language" if unread or unknown_script(section.text) else ""


def _says(text: str, phrase: str) -> bool:
    wanted = terms(phrase)
    return bool(wanted) and f" {' '.join(wanted)} " in f" {' '.join(terms(text))} "


def _scores(sections: Sequence[PromptSection], query: str) -> list[float]:
    units = [terms(" ".join((s.name, *s.when, s.text))) for s in sections]
    return bm25(content_terms(query), units, rarity=_RARITY)


def _cut_to(
    budget_tokens: int,
    prompt: _Prompt,
    verdicts: Sequence[_Verdict],
    earlier: Sequence[int],
    count: Count,
) -> list[_Verdict]:
    """The best of what may be left out, as far as it fits beside what may not."""
    sections, tokens, scores = prompt
    soft = [i for i, v in enumerate(verdicts) if v.reason in _SOFT]
    used = sum(n for n, v in zip(tokens, verdicts, strict=True) if v.kept and v.reason not in _SOFT)
    taken: list[int] = []
    for i in sorted(soft, key=lambda i: (-scores[i], i)):
        if used + tokens[i] <= budget_tokens:
            taken.append(i)
            used += tokens[i]

    def with_best(n: int) -> list[_Verdict]:
        out = set(soft) - set(taken[:n])
        return [_Verdict(False, "budget") if i in out else v for i, v in enumerate(verdicts)]

    def fits(n: int) -> bool:
        order = _order(with_best(n), earlier)
        return count(join_sections([sections[i] for i in order])) <= budget_tokens

    return with_best(most_that_fit(len(taken), fits))


def _where_it_pays(
    tokens: Sequence[int], verdicts: Sequence[_Verdict], prefix: PrefixUse
) -> tuple[list[_Verdict], PrefixChange | None]:
    """Keep what lies in front of the best place for the first gap; all, where none pays."""
    dropped = [i for i, v in enumerate(verdicts) if not v.kept]
    if not dropped:
        return list(verdicts), None
    total = sum(tokens)
    in_front, removed = 0, sum(tokens[i] for i in dropped)
    weighed: list[tuple[PrefixChange, int]] = []
    at = 0
    for first in dropped:
        in_front += sum(tokens[at:first])
        at = first
        change = weigh_prefix_change(
            before_tokens=prefix.front_tokens + in_front,
            removed_tokens=removed,
            behind_tokens=total - in_front - removed + prefix.behind_tokens,
            terms=prefix.terms,
            calls=prefix.calls,
            warm_tokens=prefix.warm_tokens,
            every_call=prefix.every_call,
        )
        weighed.append((change, first))
        removed -= tokens[first]
    best, first = max(weighed, key=lambda each: (each[0].net_nanos, -each[1]))
    if not best.pays:
        # What leaving out all of it would have cost is what the caller wants to see.
        best, first = weighed[0][0], len(tokens)
    kept = _Verdict(True, "cache")
    return [kept if not v.kept and i < first else v for i, v in enumerate(verdicts)], best


def _order(verdicts: Sequence[_Verdict], earlier: Sequence[int]) -> tuple[int, ...]:
    sent = set(earlier)
    return (*earlier, *(i for i, v in enumerate(verdicts) if v.kept and i not in sent))


def _fates(prompt: _Prompt, verdicts: Sequence[_Verdict]) -> tuple[SectionFate, ...]:
    return tuple(
        SectionFate(
            index=i,
            name=section.name,
            kept=verdicts[i].kept,
            reason=verdicts[i].reason,
            tokens=prompt.tokens[i],
            score=prompt.scores[i],
        )
        for i, section in enumerate(prompt.sections)
    )


def _overall(verdicts: Sequence[_Verdict]) -> str:
    if any(not v.kept for v in verdicts):
        return "chosen"
    reasons = {v.reason for v in verdicts}
    return next((r for r in ("off", "cache", "no signal") if r in reasons), "all needed")


def _check(
    sections: Sequence[PromptSection],
    budget_tokens: int | None,
    min_share: float,
    earlier: Sequence[int],
) -> None:
    in_unit(min_share=min_share)
    not_negative(budget_tokens=budget_tokens or 0)
    if len(set(earlier)) < len(earlier) or any(not 0 <= i < len(sections) for i in earlier):
        raise PromptError(
            f"earlier is {tuple(earlier)}; expected each index of the {len(sections)} sections "
            "at most once: hand in the last plan's `kept`, with the same sections"
        )
