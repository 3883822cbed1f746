"""`PromptPolicy`, and the sections of a prompt as they may be sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from frugal_chains.compression import Ahead
from frugal_chains.compression.prompt import (
    ASSUMED_SAVED_SHARE,
    RULES,
    Change,
    Conciseness,
    PromptSection,
    RewriteRule,
    SectionStyle,
    TaskKind,
    ask_for_brevity,
    choose_sections,
    join_sections,
    language_of,
    parse_sections,
    rewrite,
)
from frugal_chains.dispatch._prefix import PrefixFacts
from frugal_chains.pricing import TokenPrices

Count = Callable[[str], int]
_BREVITY: Final = "brevity"
"""The name of the section that the line is."""
_MOST_SECTIONS: Final = 200
"""Instructions have tens. More are data, and each takes a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brevity:
    """A line behind the system prompt that asks for short answers, where it pays for itself."""

    kind: TaskKind
    expected_output_tokens: float
    """Mean length of the answers without the line."""
    saved_share: float = ASSUMED_SAVED_SHARE
    """Of the output; an assumption until it is measured."""
    line: str | None = None
    """None: the one for the kind of task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPolicy:
    """What may be done to a system prompt. For instructions: documents in it are not its to change.

        PromptPolicy(optional=("Refunds",), prefix=None)  # nothing is cached, or never mind
        PromptPolicy(optional=("Refunds",), prefix=PrefixFacts(ahead=Ahead(
            prefix_tokens=900,  # of tools
            most_calls=1,       # each request stands alone; or calls=20, growth_tokens=300
        )))

    Raises:
        PromptError: a number out of its range, or a rule in `off` that there is not.
    """

    leave_out: bool = True
    """Sections that the person asks nothing about. What forbids, obliges, keeps people safe or
    fixes a format stays, unless it is `optional`."""
    optional: Sequence[str] = ()
    """Names of sections (their headings or tags) whose rules bind only what they describe."""
    always: Sequence[str] = ()
    """Names of sections that are always sent."""
    when: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By the name of a section: words or phrases that ask for it."""
    style: SectionStyle = "auto"
    level: int | None = None
    """Of headings; see `parse_sections`."""
    budget_tokens: int | None = None
    """Of a text of the prompt. A cap: it goes before the arithmetic of the cache."""
    min_share: float = 0.3
    """A section stays from this share of the best section's score on."""
    rewrite: bool = True
    """Shorten wordy instructions."""
    rules: Sequence[RewriteRule] = RULES
    off: Sequence[str] = ()
    """Names of rules that are not applied."""
    patterns: Sequence[re.Pattern[str]] = ()
    """Of the application: what they match is never changed."""
    brevity: Brevity | None = None
    """None: no line."""
    prefix: PrefixFacts | None = field(
        default_factory=lambda: PrefixFacts(ahead=Ahead(prefix_tokens=0))
    )
    """What stands in front of the prompt (definitions of tools), and how many calls a conversation
    has: nothing is done that may cost more, net of the provider's cache, than it saves. As it is,
    one call is sure, and nothing else is known. None: the cache is not considered."""
    shared: bool = True
    """Other conversations begin with the same prompt: the cache has it when one begins."""

    def __post_init__(self) -> None:
        choose_sections((), "", len, self.budget_tokens, min_share=self.min_share)
        rewrite("", len, rules=self.rules, off=self.off)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The sections of a prompt as they may be sent."""

    sections: tuple[PromptSection, ...]
    text: str
    """With nothing left out."""
    changes: tuple[Change, ...]
    """Of their words; none where that may cost more than it saves."""
    refused: bool
    """It may."""
    brevity: Conciseness | None
    unknown: frozenset[str]
    """Names in the policy that no section has."""


def parts_of(
    text: str,
    policy: PromptPolicy,
    count: Count,
    pays: Callable[[int, int], bool],
    prices: TokenPrices,
    *,
    last: bool,
) -> Parts:
    """Cut a prompt into sections, and put these into fewer words.

    Each section by itself: one that joins later must not change the words of those before it.

    Args:
        text: Of the prompt.
        policy: What may be done.
        count: Tokens of a text.
        pays: Whether a text of so many tokens may be replaced by one of so many.
        prices: Of the model, for the line that asks for short answers.
        last: The text ends the system prompt: the line goes behind it.
    """
    sections = _named(text, policy)
    fewer, changes = _rewritten(text, sections, policy, count)
    full = join_sections(fewer)
    refused = bool(changes) and not pays(count(text), count(full))
    if refused:
        fewer, changes = sections, ()
    brevity = _brevity(text, policy.brevity, count, prices) if last else None
    if brevity is not None and brevity.added:
        line = PromptSection(name=_BREVITY, text=brevity.line, always=True)
        fewer = (*fewer, line)
    named = {*policy.optional, *policy.always, *policy.when}
    return Parts(
        sections=fewer,
        text=join_sections(fewer),
        changes=changes,
        refused=refused,
        brevity=brevity,
        unknown=frozenset(named - {section.name for section in sections}),
    )


def _named(text: str, policy: PromptPolicy) -> tuple[PromptSection, ...]:
    sections = parse_sections(text, style=policy.style, level=policy.level)
    if len(sections) > _MOST_SECTIONS:
        return (PromptSection(name="", text=text, always=True),)
    return tuple(
        replace(
            section,
            always=section.always or section.name in policy.always,
            optional=section.name in policy.optional,
            when=tuple(policy.when.get(section.name, ())),
        )
        for section in sections
    )


def _rewritten(
    text: str, sections: Sequence[PromptSection], policy: PromptPolicy, count: Count
) -> tuple[tuple[PromptSection, ...], tuple[Change, ...]]:
    whole = language_of(text)
    found = [
        rewrite(
            section.text,
            count,
            rules=policy.rules,
            off=policy.off,
            # A short section says little about its language; mostly it is that of the others.
            language=None if language_of(section.text) else whole or None,
            patterns=policy.patterns,
            enabled=policy.rewrite,
        )
        for section in sections
    ]
    fewer = tuple(replace(s, text=f.text) for s, f in zip(sections, found, strict=True))
    return fewer, tuple(change for each in found for change in each.changes)


def _brevity(
    text: str, wanted: Brevity | None, count: Count, prices: TokenPrices
) -> Conciseness | None:
    if wanted is None:
        return None
    return ask_for_brevity(
        text,
        wanted.kind,
        count,
        expected_output_tokens=wanted.expected_output_tokens,
        input_nanos=prices.fresh,
        output_nanos=prices.output,
        saved_share=wanted.saved_share,
        line=wanted.line,
    )
