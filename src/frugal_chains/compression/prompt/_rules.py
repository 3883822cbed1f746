"""The rules by which instructions get shorter and say the same.

Each is a table row: what is found, what comes in its place, and why nothing is lost. What a rule
finds is left alone where it overlaps a protected atom, or where a guarded word (must, never, only,
...) would come, go or move; see `rewrite`. So the rules need not look out for those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from frugal_chains.compression.prompt._edit import Edit, RewriteRule
from frugal_chains.compression.prompt._repeats import repeated_lines

_SHORTER_WORD: Final = "A longer way to say the same word; style guides list the pair."
_NO_CONTENT: Final = "Announces the clause behind it, which stays and says all there is to say."
_TOLD: Final = "The prompt is an instruction already: the verb behind it stays and is one."
_COURTESY: Final = "Politeness to a model is no instruction."

_VERBS: Final = """
    accept act add adhere adjust analy[sz]e answer apply ask assess assign assist assume base
    begin book break build calculate call cancel capture categori[sz]e change check choose
    cite classify clean collect combine compare complete compose compute confirm consider
    continue convert copy correct count create decide define deliver describe detect determine
    discuss display draft edit end enter estimate evaluate examine expand explain explore
    express extract fetch fill filter find finish fix focus follow format generate get give go
    greet group guide handle help identify ignore imagine improve include indicate inform
    insert inspect introduce investigate judge keep know label leave let limit list look
    maintain make mark match mention modify move name note offer omit open order organi[sz]e
    outline output paraphrase parse pay perform pick play predict prepare present preserve
    print prioriti[sz]e process produce proofread propose provide put quote rank rate read
    reason recommend refer reflect refund reject rely remain remember remove rephrase replace
    reply report request research reserve resolve respond restate return review rewrite round
    run save say scan score search section select send separate set share show simplify solve
    sort specify speak split start state stay stick stop structure study submit suggest
    summari[sz]e support take talk tell test think track transfer translate treat try turn
    type understand update use validate verify view wait walk work wrap write
"""
# What may follow where a lead-in is cut away: only a verb in its base form leaves a sentence.
_VERB: Final = rf"(?:{'|'.join(_VERBS.split())})(?![\w'\u2019])"
_HOW: Final = (
    r"(?:(?:always|never|only|also|then|do not|don['\u2019]t|be|carefully|clearly|briefly) )"
)
_ACT: Final = rf"(?=(?:{_HOW}+)?{_VERB}|{_HOW}+)"
_COMMA: Final = r"(?: ?, |,? )"

# Behind these "in order to" is "in order", and "to" is where something goes.
_NOUN_BEHIND: Final = (
    r"(?! (?:the|a|an|this|that|these|those|my|your|our|his|her|its|their|each|every|all|any|us|me"
    r"|him|them|it|you|whom|which)(?!\w))"
)

_WORDY: Final = {
    "at that point in time": "then",
    "at the present time": "now",
    "at this point in time": "now",
    "by virtue of the fact that": "because",
    "despite the fact that": "although",
    "due to the fact that": "because",
    "during the course of": "during",
    "for the duration of": "during",
    "for the purpose of": "for",
    "for the reason that": "because",
    "in a timely manner": "promptly",
    "in close proximity to": "near",
    "in conjunction with": "with",
    "in excess of": "more than",
    "in light of the fact that": "because",
    "in regard to": "regarding",
    "in regards to": "regarding",
    "in spite of the fact that": "although",
    "in such a manner that": "so that",
    "in such a way that": "so that",
    "in the course of": "during",
    "in the event that": "if",
    "in the near future": "soon",
    "in view of the fact that": "because",
    "made use of": "used",
    "make use of": "use",
    "makes use of": "uses",
    "making use of": "using",
    "on account of the fact that": "because",
    "on the basis of": "based on",
    "owing to the fact that": "because",
    "prior to": "before",
    "subsequent to": "after",
    "take into consideration": "consider",
    "takes into consideration": "considers",
    "taking into consideration": "considering",
    "the question of whether": "whether",
    "until such time as": "until",
    "with reference to": "regarding",
    "with regard to": "regarding",
    "with regards to": "regarding",
}
_PAIRS: Final = {
    "absolutely essential": "essential",
    "absolutely necessary": "necessary",
    "added bonus": "bonus",
    "advance planning": "planning",
    "advance warning": "warning",
    "all of the": "all the",
    "basic fundamentals": "fundamentals",
    "close proximity": "proximity",
    "completely eliminate": "eliminate",
    "each and every": "every",
    "end result": "result",
    "final outcome": "outcome",
    "first and foremost": "first",
    "future plans": "plans",
    "past history": "history",
    "a sufficient amount of": "enough",
    "a sufficient number of": "enough",
}
_MANNERS: Final = {
    "accurate": "accurately", "careful": "carefully", "clear": "clearly", "concise": "concisely",
    "consistent": "consistently", "courteous": "courteously", "detailed": "in detail",
    "efficient": "efficiently", "helpful": "helpfully", "logical": "logically",
    "neutral": "neutrally", "polite": "politely", "professional": "professionally",
    "respectful": "respectfully", "systematic": "systematically",
    "thorough": "thoroughly", "thoughtful": "thoughtfully",
}  # fmt: skip
_OFTEN: Final = {
    "daily": "daily", "weekly": "weekly", "monthly": "monthly", "yearly": "yearly",
    "regular": "regularly", "continuous": "continuously", "frequent": "frequently",
}  # fmt: skip
_GERMAN: Final = {
    "zum jetzigen Zeitpunkt": "jetzt",
    "zum gegenwärtigen Zeitpunkt": "derzeit",
    "zu einem späteren Zeitpunkt": "später",
    "in regelmäßigen Abständen": "regelmäßig",
    "aus dem Grund, dass": "weil",
    "für den Fall, dass": "falls",
}
_FRENCH: Final = {
    "dans le but de": "pour",
    "à l'heure actuelle": "actuellement",
    "en raison du fait que": "parce que",
    "dans un premier temps": "d'abord",
}
_SPANISH: Final = {
    "con el fin de": "para",
    "con el objetivo de": "para",
    "debido al hecho de que": "porque",
    "en el momento actual": "ahora",
}


def _any_of(phrases: dict[str, str]) -> str:
    # Longest first, so that no phrase hides a longer one that begins like it.
    return rf"(?:{'|'.join(sorted(phrases, key=lambda p: (-len(p), p)))})(?!\w)"


def _from(name: str, table: dict[str, str], why: str, language: str = "en") -> RewriteRule:
    folded = {phrase.casefold(): new for phrase, new in table.items()}

    def replacement(match: re.Match[str]) -> str:
        return folded[" ".join(match[0].casefold().split())]

    first = " ".join(phrase.split()[0] for phrase in folded)
    return RewriteRule.phrase(
        name, _any_of(table), replacement, first=first, why=why, language=language
    )


def _manner(match: re.Match[str]) -> str:
    named = [match["one"], match["two"]]
    return " and ".join(_MANNERS[each.lower()] for each in named if each)


def _space(name: str, pattern: str, new: str, why: str) -> RewriteRule:
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Edit]:
        return (Edit(m.start(), m.end(), m.expand(new)) for m in compiled.finditer(text))

    return RewriteRule(name=name, language="", why=why, find=find)


RULES: Final[tuple[RewriteRule, ...]] = (
    RewriteRule.phrase(
        "in-order-to", rf"in order to(?!\w){_NOUN_BEHIND}", "to", first="in",
        why=_SHORTER_WORD,
    ),
    _from("wordy", _WORDY, _SHORTER_WORD),
    _from("pairs", _PAIRS, "One word of the pair says what both say."),
    RewriteRule.phrase(
        "manner",
        rf"in an? (?P<one>{'|'.join(_MANNERS)})(?:(?: ,|,)? and (?P<two>{'|'.join(_MANNERS)}))?"
        r" (?:manner|way|fashion)(?!\w)",
        _manner,
        first="in",
        why="The adverb says it.",
    ),
    RewriteRule.phrase(
        "basis",
        rf"on an? (?P<how>{'|'.join(_OFTEN)}) basis(?!\w)",
        lambda match: _OFTEN[match["how"].lower()],
        first="on",
        why="The adverb says it.",
    ),
    RewriteRule.phrase(
        "in-the-process-of",
        r"(?P<be>is|are|was|were|be) in the process of (?=\w+ing(?!\w))",
        lambda match: f"{match['be']} ",
        first="is are was were be",
        why="The form of the verb behind it says that it is going on.",
    ),
    RewriteRule.phrase(
        "note-that",
        r"(?:please )?(?:also )?(?:note|be a(?:ware|dvised)|remember|(?:keep|bear) in mind) that"
        + _COMMA,
        "",
        first="please also note be remember keep bear",
        why=_NO_CONTENT,
        starts=True,
    ),
    RewriteRule.phrase(
        "important-to-note",
        r"it(?: is|['\u2019]s) (?:also |very )?(?:important|worth|crucial|essential|useful|vital) "
        r"(?:to (?:note|remember|mention|know|understand|point out|be aware|keep in mind"
        r"|bear in mind)|noting|mentioning|remembering|pointing out|knowing) that" + _COMMA,
        "",
        first="it",
        why=_NO_CONTENT,
        starts=True,
    ),
    RewriteRule.phrase(
        "as-mentioned",
        r"(?:as (?:(?:already|previously|was|has been) ){0,2}(?:mentioned|stated|noted|said)"
        r"(?: (?:above|before|earlier|previously|already))?|needless to say"
        r"|as you (?:already )?know|for your information) ?, ",
        "",
        first="as needless for",
        why="Says that something is known; the clause behind it stays.",
        starts=True,
    ),
    RewriteRule.phrase(
        "make-sure-you",
        r"(?:please )?(?:(?:(?:make|be) (?:absolutely )?(?:sure|certain)|ensure|see to it)"
        rf" (?:(?:that )?you |to )|remember to ){_ACT}",
        "",
        first="please make be ensure see remember",
        why=_TOLD,
        starts=True,
    ),
    RewriteRule.phrase(
        "make-sure-you",
        r"(?P<lead>you (?:must|should)|always) (?:(?:make|be) (?:sure|certain)|ensure)"
        rf" (?:(?:that )?you |to ){_ACT}",
        lambda match: f"{match['lead']} ",
        first="you always",
        why=_TOLD,
    ),
    RewriteRule.phrase(
        "make-sure-you-are",
        r"(?:please )?(?:make sure|ensure)(?: that)? you(?: are|['\u2019]re) "
        r"(?!\w+ing(?!\w)|not|never|always|only|asked|told|given)",
        "be ",
        first="please make ensure",
        why=_TOLD,
        starts=True,
    ),
    RewriteRule.phrase(
        "your-task-is",
        r"(?:your (?:task|job|role|goal|mission|objective|assignment) (?:here )?is to"
        r"|(?:i|we)(?: would|['\u2019]d)? (?:want|need|like|expect) you to"
        rf"|what (?:i|we) (?:want|need) you to do is(?: to)?|go ahead and) {_ACT}",
        "",
        first="your i we what go",
        why=_TOLD,
        starts=True,
    ),
    RewriteRule.phrase(
        "please",
        rf"(?:(?:please|kindly)(?: ?, | )){{1,4}}+{_ACT}",
        "",
        first="please kindly",
        why=_COURTESY,
    ),
    RewriteRule.phrase(
        "please-twice",
        r"(?:please,? kindly|kindly,? please|please,? please)(?!\w)",
        "please",
        first="please kindly",
        why=_COURTESY,
    ),
    RewriteRule(
        name="repeated-line",
        language="",
        why="The same instruction stands above, in the same section.",
        find=repeated_lines,
    ),
    _space("trailing-space", r"(?<![ \t])[ \t]+(?=\r?\n|\Z)", "", "Nothing is seen of it."),
    _space(
        "blank-lines",
        r"(?<!\n)(?<!\n\r)(\r?\n)\r?\n(?:\r?\n)++",
        r"\1\1",
        "One blank line parts two paragraphs; more part nothing else.",
    ),
    _space(
        "double-space",
        r"(?<=[.!?])  +(?=[^\W\d_a-z])",
        " ",
        "A typewriter's habit between sentences.",
    ),
    _from("umständlich", _GERMAN, _SHORTER_WORD, "de"),
    _from("verbeux", _FRENCH, _SHORTER_WORD, "fr"),
    _from("prolijo", _SPANISH, _SHORTER_WORD, "es"),
)  # fmt: skip
"""In the order in which they win where two find overlapping text; the one that begins first, and
then the longer one, wins before that."""
