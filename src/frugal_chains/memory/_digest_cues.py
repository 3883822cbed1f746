"""Wordings that tell a fact, a decision or a task from talk, and what may be cut around them.

English, with the commonest wordings of German, French and Spanish; collected by hand. They only add
weight: ids, numbers and names are found in any language.
"""

from __future__ import annotations

import re
from typing import Final

_APOSTROPHE: Final = "['’]"  # noqa: RUF001 - as phones type it


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns).replace("'", _APOSTROPHE), re.IGNORECASE)


REMEMBER: Final = _any(
    r"\b(?:remember|keep in mind|bear in mind|don't forget|note that|take note|important)\b",
    r"\b(?:from now on|always|never|under no circumstances|must not|make sure)\b",
    r"\b(?:merk dir|denk daran|wichtig|niemals|immer|souviens|n'oublie|recuerda|siempre|nunca)\b",
)
"""What the person wants kept."""

OWN: Final = _any(
    r"\b(?:my|our)\b(?:\s[\w\x27\u2019-]+){0,4}?\s(?:is|are|was|were|has|have|isn't|aren't)\b",
    r"\b(?:i am|i'm|we are|we're|we will be|we'll be|there are|it is|it's)\s"
    r"(?:(?:an?|the|from|in|at|on|about|born|called|named|due|under|based|allergic|\d+)\b|(?-i:[A-Z]))",
    r"\b(?:i|we)(?: have|'ve got) (?:an?|no|one|two|three|four|five|\d+)\b",
    r"\b(?:i|we|i'm|we're) (?:live|work|moved?|moving|stay|staying|drive|own|speak|study|teach)\b",
    r"\b(?:call|reach|address|contact|text|email|write) (?:me|us)\b|\b(?:send|copy) (?:it|me|us)\b",
    r"\b(?:is|are) (?:called|named|due|in)\b|\b(?:called|named)\s+(?-i:[A-Z])",
    r"\b(?:allergic|intolerant|vegetarian|vegan|diabetic|pregnant|birthday|deadline|budget)\b",
    r"\b(?:ich bin|ich heiße|mein\w* \w+ ist|ich wohne|je suis|je m'appelle|mon \w+ est)\b",
    r"\b(?:ma \w+ est|me llamo|soy|mi \w+ es|vivo en)\b",
)
"""What a person says of themselves and theirs."""

PREFER: Final = _any(
    r"\b(?:i|we) (?:\w+ )?(?:prefer|like|love|hate|dislike|want|need|use|avoid)\b",
    r"\b(?:i'd|we'd|i would|we would) (?:rather|prefer|like)\b",
    r"\b(?:can't|cannot|can not) (?:have|eat|drink|use|spend|stand|afford)\b",
    r"\b(?:favou?rite|no more than|at most|at least|instead of|rather than)\b",
    r"\b(?:ich (?:mag|will|brauche|bevorzuge|möchte)|je (?:veux|préfère)|prefiero|quiero)\b",
)
"""Preferences and limits."""

DECIDE: Final = _any(
    r"\b(?:let's|let us) (?:go|use|take|do|stick|keep|say|try)\b|\b(?:we|i)(?:'ll|'ve)? (?:will )?"
    r"(?:decided?|chose|choose|agreed?|settled|picked|go with|stick with)\b",
    r"\b(?:decision|agreed|approved|voted|rejected|it is then|settles it|went with|going with)\b",
    r"\b(?:entschieden|beschlossen|wir nehmen|décidé|decidido|decidimos)\b",
)
"""Decisions, of either side."""

DONE: Final = _any(
    r"\b(?:i've|i have|we've|we have|has been|have been|was|were|is now|are now|successfully)\s+"
    r"(?:now |just |been |successfully )*\w+(?:ed|ent|aid|ade|uilt|one|ut)\b",
    r"\b(?:done|booked|cancell?ed|confirmed|confirmation|scheduled|completed|refunded|created)\b",
    r"\b(?:fixed|deployed|all set|went through|updated|sent|paid|issued|reserved)\b",
)
"""What the assistant did; many of these words alone are weak signs."""

FIRST_PERSON: Final = _any(
    r"\b(?:i|i'm|i've|my|mine|me|we|our|ours|us|we're)\b",
    r"\b(?:ich|mein\w*|wir|unser\w*|je|mon|ma|mes|nous|notre|mi|mis|yo|nosotros|nuestr[oa])\b",
)

TASK: Final = _any(
    r"\b(?:don't forget to|remind me|still (?:need|have) to|needs? to be|to-?do\b|follow up"
    r"|later (?:we|i|you)|next (?:step|week|time)"
    r"|by (?:tomorrow|monday|tuesday|wednesday|thursday|friday))",
    r"\b(?:i'll get back|i will get back|waiting for|not yet|still open|pending)\b",
)
"""What is left to do."""

ASKS: Final = _any(
    r"\?\s*\Z",
    r"\A(?:look|check|go ahead|continue)\b",
    r"\A(?:please|can|could|would|will|what|how|why|when|where|who|which|is|are|do|does|did|should"
    r"|tell|explain|show|give|write|find|list|make|create|help|summari[sz]e|compare)\b",
)
"""A question or a request: to be answered, not to be remembered, unless it names things."""

_OPENERS: Final = (
    r"by the way|oh,? and|oh|also|just so you know|for the record|fyi|hi(?: there)?|hey"
    r"|hello(?: again)?|thanks?(?: you)?(?: a lot| so much)?|ok(?:ay)?|well|so|anyway|sure"
    r"|great|perfect|alright"
    r"|right|sorry|actually|in any case|to be clear|as i said|as mentioned|please note(?: that)?"
    r"|note that|i (?:just )?want(?:ed)? to (?:mention|say|add|let you know)(?: that)?|i should"
    r" (?:mention|say|add)(?: that)?|one more thing|and|but|interesting|hmm"
    r"|übrigens|ach ja|au fait|por cierto"
)
OPENER: Final = re.compile(
    r"(?:(?:oh|ah|hi|ok(?:ay)?|well|so|yes|no),? (?:and|but|so|also)\s+"
    rf"|(?:{_OPENERS})\b(?:\s*(?:[,:;!.—-]+\s*|\Z)|\s+(?=that\b|my\b|our\b)))+",
    re.I,
)
"""Before what is said: cut away."""

CLOSER: Final = re.compile(
    r"(?:\s*[,;]?\s*\b(?:if you need (?:it|that|them)|if that helps|by the way|please|thanks"
    r"|thank you|for sure|though|in case you wonder|just in case|you know|i think|i guess))+\Z",
    re.I,
)
"""Behind it, its stop taken off."""

READS: Final = re.compile(
    r"(?i)\A(?:get|list|search|find|read|fetch|query|lookup|look_up|view|open|show|check|retrieve|ls"
    r"|cat|grep|calculate|think|browse|scroll|goto|describe)"
)
"""Names of tools that only look: what they were asked matters less than what others have done."""
