"""Negations with what they negate: "not available", "kein Zutritt", "ne contient pas", 不支持."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SP = "[ \xa0\u202f]"

# Words that may stand between a negation and what it negates.
_BETWEEN = (
    r"(?:a|an|the|any|be|been|being|to|yet|only|very|so|have|has|had|much|more|less|longer|such"
    r"|necessarily|currently|even|ever|always|really|in|on|at|of|for|all|mehr|noch|nur|sehr|zu|im"
    r"|der|die|das|den|dem|ein|eine|einen|un|una|une|le|la|les|el|los|las|de|des|plus|muy|se|es|me"
    r"|te|lo|ha|han|è|sono|não|um|uma)"
)
_WHAT = rf"(?:{_SP}{_BETWEEN}(?!\w)){{0,3}}+(?:{_SP}[^\W_][\w'’\-]{{0,60}}+)?+"

# A set of characters first, so that `re` skips to the next of them: no word boundary before it.
_NEGATION = re.compile(
    rf"""
    [nNwWcCkKsSjJtTuUhH不没沒未无無勿莫別别非なまнНनل]
    (?:
        (?<=[nN])(?:
            ['’]t(?!\w)(?P<aux>){_WHAT}
          | (?<!\w[nN])(?:
                (?:ot|o|ever|either|or|one|obody|othing|owhere|on|unca|ingún|ingun[oa]s?|adie|ada
                  |icht|ie|iemals|iet|ooit|em|essun[oa]?|ão|enhuma?)(?!\w){_WHAT}
              | (?:e{_SP}|['’])(?:\w{{1,30}}+['’ ]){{0,4}}?
                (?:pas|plus|jamais|rien|aucune?|personne|guère|point)(?!\w){_WHAT}
            )
        )
      | (?<=[wW])(?<!\w[wW])ithout(?!\w){_WHAT}
      | (?<=[cC])(?<!\w[cC])annot(?!\w){_WHAT}
      | (?<=[kK])(?<!\w[kK])ein(?:e[mnrs]?|esfalls|eswegs)?(?!\w){_WHAT}
      | (?<=[sS])(?<!\w[sS])(?:in|ans|enza|em)(?!\w){_WHAT}
      | (?<=[jJ])(?<!\w[jJ])am(?:ais|ás|ais)(?!\w){_WHAT}
      | (?<=[tT])(?<!\w[tT])ampoco(?!\w){_WHAT}
      | (?<=[uU])(?<!\w[uU])nless(?!\w){_WHAT}
      | (?<=[hH])(?<!\w[hH])ardly(?!\w){_WHAT}
      | (?<=[不没沒未无無勿莫別别非])[\u3400-\u9fff]{{1,2}}+
      | (?<=な)(?P<suffix>い|かった|く|ければ)
      | (?<=ま)(?P<polite>せん(?:でした)?)
      | (?<=[нН])(?<!\w[нН])(?:е|ет|ельзя|икогда)(?!\w){_WHAT}
      | (?<=न)हीं
      | (?<=ل)(?<!\wل)(?:ا|م|ن|يس)(?!\w){_WHAT}
    )
    """,
    re.VERBOSE,
)
_WORD_BEFORE = re.compile(rf"[^\W_][\w\-]{{0,30}}{_SP}\Z")
_AUXILIARY = re.compile(r"[A-Za-z]{1,8}\Z")
_STEM = re.compile(r"[\u3400-\u9fff]{0,4}[\u3040-\u309f\u30fc]{0,4}\Z")
_BEHIND = frozenset(("nicht", "nie", "niet"))
"""They often stand behind what they negate: "funktioniert nicht"."""


def negations(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each negation between two places, ascending; two can overlap."""
    for match in _NEGATION.finditer(text, start, end):
        first, last = match.span()
        if match.lastgroup == "aux":
            before = _AUXILIARY.search(text, max(start, first - 8), first)
            first = before.start() if before is not None else first
        elif match.lastgroup in ("suffix", "polite"):
            before = _STEM.search(text, max(start, first - 8), first)
            first = before.start() if before is not None else first
        elif match.group().lower() in _BEHIND:
            before = _WORD_BEFORE.search(text, max(start, first - 40), first)
            first = before.start() if before is not None else first
        yield first, last
