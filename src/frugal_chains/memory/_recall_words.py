"""Words by which questions point at what was said, at what is the person's, or at the world.

Collected by hand: English, and shorter German, French, Spanish, Italian and Portuguese. In other
languages only the terms of a question decide.
"""

from __future__ import annotations

import re
from typing import Final


def _any(*phrases: str, begins: bool = False) -> re.Pattern[str]:
    """Any of these as whole words, wherever case; `begins`: only at the beginning."""
    first = r"\A\W*" if begins else ""
    return re.compile(rf"{first}(?<!\w)(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE)


BACK: Final = _any(
    r"earlier|previously|remind me|remember(?:ed)?|recall|last time|other day|back then",
    r"as (?:i|we|you) (?:said|mentioned|discussed|agreed|told)|a while (?:ago|back)|before that",
    r"(?:i|we|you)(?:'d|'ve| had| have)? (?:already |just )?(?:said|told|mentioned|discussed)",
    r"(?:i|we|you)(?:'d|'ve| had| have)? (?:already |just )?(?:agreed|talked|decided|settled)",
    r"(?:i|we|you)(?:'d|'ve| had| have)? (?:already |just )?(?:chose|chosen|planned|noted|gave)",
    r"did (?:i|we|you)|have (?:i|we|you) (?:ever |already )?\w+ed",
    r"(?:was|were|is|are) .{1,80} again",
    r"vorhin|früher|erinner\w*|(?:ich|wir|du|sie) (?:\w+ )?(?:gesagt|erwähnt|besprochen)|nochmal",
    r"habe? (?:ich|wir)|hatten? (?:ich|wir)|tout à l'heure|rappel\w*|souvien\w*",
    r"(?:j'ai|avons|avais|as-tu|avez) (?:\w+ )?(?:dit|parl[ée]\w*)|recuérda\w*|recuerd\w*",
    r"dij(?:e|imos|iste)|mencion(?:é|amos|aste)|acordamos|ricord\w*|(?:ho|abbiamo|hai) detto",
    r"lembr\w*|eu disse|combinamos",
)
"""What points at the conversation itself."""

OWN: Final = _any(
    r"my|mine|our|ours|mein\w*|unser\w*|mon|ma|mes|notre|nos|mi|mis|nuestr\w+|mio|mia|nostr\w+",
    r"meu|minha|noss\w+",
)
"""What stands before what is the person's, of which only the conversation can tell."""

WE: Final = _any(
    r"we|we're|we've|i'm|i've|i'd|i (?:was|had|have|got|bought|paid|need)|am i",
    r"(?:what|which|when|where|whom?|how (?:many|much|big|long|often|old)) .{0,60}?"
    r"(?:do|did|am|was|have|had|must) i|i (?:like|prefer|usually|always|take|use)",
    r"wir|uns|nous|noi|nosotros",
)
"""What the person does, or has to."""

GENERAL: Final = _any(
    r"(?:(?:please|so|and|ok|okay|well|now|hi|hey|hello|(?:can|could|would|will) you)\W+)*(?:"
    r"how (?:do|does|did|can|could|should|would|to|are|is|come|long (?:do|does)|many kinds)",
    r"what (?:is|are|was|were|would be) (?:an?|it|the (?:difference|best|meaning|point|purpose))",
    r"what(?:'s| is| are| was| were) the (?:role|main|advantages?|history|most|capital|definition)",
    r"what's (?:an?|it|the (?:difference|best|meaning|point|purpose))",
    r"what (?:makes?|causes?|happens?|should|kinds?|types?|does .{1,80} mean)|why|explain|define",
    r"describe|translate|write|make|compose|convert|calculate|compute|suggest|recommend|compare",
    r"name an?|list|create|generate|implement|prove|solve|give (?:me )?(?:an?|some|three|five|\d+)",
    r"tell me (?:about|more|an?)",
    r"(?:can|could|does|do|is|are|should|would) (?!(?:my|our|we|the|you|i)\b)\w+",
    r"(?:find|get|show|book|search|look|buy|order|add)(?: for)?(?: me| us)? (?:an?|some|any|all)",
    r"i(?:'d| would) (?:like|love) (?:to|an?|some)|i(?: am|'m) (?:looking|searching)",
    r"i (?:want|need) (?:an?|some|to (?:find|book|buy|get|see))",
    r"wie (?:kann|funktioniert|macht)|was (?:ist|sind) (?:ein|eine|der unterschied)|warum|erkläre",
    r"comment|pourquoi|explique|qu'est-ce qu\w*|cómo|por qué|explica|come (?:si|posso)|perché"
    r"|spiega)",
    begins=True,
)
"""How what is asked of the world, or of the model, mostly begins."""

LAST: Final = re.compile(
    r"\A\W*(?:and|so|but|then)\b|\b(?:these|those)\b(?! (?:days|weeks|months|years))|\babove\b"
    r"|\byou mean\b|\b(?:is|does|do|did|about|was|mean) (?:that|this)\b(?! \w)"
    r"|\b(?:first|second|third|last|other|former|latter) (?:one|point|part|option|step|sentence"
    r"|paragraph|example|line)\b",
    re.IGNORECASE,
)
"""What points at the last answer, which is in the context."""

ASKS: Final = re.compile(
    "[?\uff1f\u061f]|"
    r"\A\W*(?:who|whom|whose|what|which|when|where|why|how|wer|was|welche\w*|wann|wo|wie|qui|quel\w*"
    r"|quand|où|combien|qué|quién|cuál|cuándo|dónde|chi|quale|quando|dove|remind|tell|give|show"
    r"|look up|find|list|fill|draft|write|send|check|use|name|book|order|reserve|paste|copy|repeat"
    r"|call|text|mail|e-?mail|schedule|can you|could you|would you|will you)\b"
    r"|\bplease\b|\bwants? (?:to know|what|which|my|our|the)\b"
    r"|\b(?:i|we) (?:forgot|lost|can(?:'t|not) find|(?:do not|don't) (?:know|remember))\b"
    r"|\b(?:i|we) need (?:to know|my|our|the)\b",
    re.IGNORECASE,
)
"""What makes a sentence ask for something."""

NAME: Final = re.compile(
    '(?<![.!?:"\u201c]\\s)(?<!\\A)(?<!\\A["\'\u201c(])'
    r"\b[A-ZÀ-ÖØ-Þ](?!')\w[\w'\-]*"
    r"|\b[A-Z]{2,}\b|\b\w*[a-z][A-Z]\w*\b|(?<!\w)[\w.\-/#@:+]*\d[\w.\-/#@:+]{2,}\w|\b[A-Z][\-_]?\d+\b"
    '|["\u201c\u2018\u00ab]([^"\u201d\u2019\u00bb]{2,60})["\u201d\u2019\u00bb]'
)
"""Names inside a sentence, identifiers, what holds a figure of three places, and what is quoted."""

ASKING_WORDS: Final = """
    again ago already earlier exactly exact please remind remember recall mention mentioned said say
    told tell ask asked discussed discuss give know name called call got get need want use find show
    let me now just still really actually ok hi hello thanks thank don doesn what who re ve ll d t s
    m i
"""
"""Words of asking, that say nothing of what is asked for."""
