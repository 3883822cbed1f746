"""What models write in English when they refuse, and when they are not sure."""

from __future__ import annotations

import re
from typing import Final

_CANNOT: Final = r"(?:can(?:'t|not| not)|unable|won't|not able)"

REFUSAL: Final = re.compile(
    # At the start of a sentence, or after "but" or a comma: what is quoted is no refusal.
    r"(?:\A|[.!?,\n]|\bbut\b)\s*(?:unfortunately,? )?(?:"
    rf"(?:i(?:'m| am)? (?:sorry|afraid)|i apologi[sz]e)\b.{{0,80}}\b{_CANNOT}\b"
    rf"|i(?:'m| am)? {_CANNOT} (?:to )?(?:help|assist|answer|provide|comply|do that"
    r"|fulfil+|discuss|engage|continue|share|create|give)\b"
    rf"|as an? (?:ai|artificial intelligence|language model)\b.{{0,60}}\b(?:{_CANNOT}|don't)\b"
    r"|(?:that|this|it)(?: is|'s)? (?:against|violates?) (?:my|our|the) "
    r"(?:guidelines|policy|policies|programming)\b)",
    re.IGNORECASE,
)
"""Apologies that go on to a "cannot", and the usual beginnings of a refusal."""

UNCERTAIN: Final = re.compile(
    r"\b(?:it is|it's|is|was|would be|seems) (?:not possible|impossible|unclear|ambiguous)\b"
    r"|\bnot possible to\b|\bno (?:valid |possible |unique )?solution\b"
    r"|\b(?:cannot|can't|can not|unable to|not able to|don't|do not) (?:be )?"
    r"(?:determined?|calculated?|know|provide|give|answer|tell|find|solved?|computed?|share)\b"
    r"|\b(?:not|isn't|without|don't have|do not have|doesn't have) (?:have )?"
    r"(?:been |be |any |a )?"
    r"(?:enough|sufficient|specific|specified|provided|given|stated|more|further|clear)\b"
    r"|\b(?:i(?:'m| am) not (?:sure|certain)|not sure|i (?:think|believe|guess|assume))\b"
    r"|\b(?:perhaps|maybe|presumably|probably|might be|may be|if we assume|assuming)\b"
    r"|\b(?:doesn't|does not|don't|do not) make (?:any )?sense\b"
    r"|\bmistakes? in\b|\bcontradict\w*|\b(?:missing|more) information\b"
    r"|\b(?:wait,|actually,|let me (?:re|correct|try)|correction:|my mistake|apolog\w+)",
    re.IGNORECASE,
)
"""Hedges, missing information, contradictions found, and second thoughts."""
