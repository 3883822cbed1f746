"""Whether a stop ends a sentence: abbreviations, initials, ordinals, and what comes next.

The lists are common abbreviations of English, German, French and Spanish, collected by
hand. What is not on them is judged by its shape and by the next word.
"""

from __future__ import annotations

import re

_NAMES_FOLLOW = """
mr mrs ms mx dr drs prof gen col sgt capt lt cmdr maj adm rev hon gov sen rep pres messrs supt hr
hrn fr dipl ing mag mme mlle mm me sra srta dra dña lic ud uds vd vds mons excmo mt ft sig sig.ra
dott avv geom
"""
_MORE_FOLLOWS = """
vs e.g eg i.e ie cf viz approx incl excl resp ca bzw vgl sog ggf evtl bspw inkl exkl zzgl abzgl z.b
z.t d.h u.a u.u i.d.r i.a o.ä s.o s.u d.i m.e z.zt insb usf gem mio mrd tsd bez betr einschl geb
gest hrsg p.ex c.-à-d c.à.d env ex av apr p.ej ej aprox ee esp
"""
_NUMBERS_FOLLOW = """
no nos nr nrn num núm n° fig figs abb tab eq eqs art arts abs vol vols ch chap kap sec sect p pp pg
pág págs s z ziff rn lit par para § ref refs app anh tel ext bd bl jg hs mon tue tues wed thu thur
thurs fri sat sun ver v
"""
_MAY_END = """
inc corp ltd co llc plc bros jr sr st ave blvd rd dept univ assn est govt etc al usw uu gmbh ag kg
str op ed eds trans hwy mts ste
"""
_BEFORE_ORDINALS = "am der die das dem den des im vom zum zur beim bis ab seit und ins jeder jeden"

_NEVER_LAST = frozenset(_NAMES_FOLLOW.split() + _MORE_FOLLOWS.split())
_BEFORE_NUMBER = frozenset(_NUMBERS_FOLLOW.split())
_OFTEN_LAST = frozenset(_MAY_END.split())
_GERMAN_BEFORE_ORDINAL = frozenset(_BEFORE_ORDINALS.split())
_ENDS_UNLESS_LOWER = frozenset(("etc", "usw", "al", "a.m", "p.m", "am", "pm"))
_CLOSING = "\"'”“’»)]}*_\xa0\u202f "
MONTHS = (
    # English, German, French, Spanish, Italian, Portuguese, Dutch; abbreviations without the stop.
    "jan(?:uary|uar|vier|v|eiro|uari)?|jän(?:ner)?|enero|ene|gennaio|feb(?:ruary|ruar|rero|braio"
    "|ruari)?|février|févr|fevereiro|mar(?:ch|zo|ço|s)?|märz|mär|maart|apr(?:il|ile)?|avril|avr"
    "|abril|abr|may|mai|mayo|maio|maggio|mei|june?|juni|juin|junio|junho|giugno|july?|juli|juillet"
    "|juil|julio|julho|luglio|aug(?:ust|ustus)?|août|agosto|ago|sep(?:t(?:ember|embre|iembre)?)?"
    "|settembre|setembro|oct(?:ober|obre|ubre)?|okt(?:ober)?|ottobre|outubro|nov(?:ember|embre"
    "|iembre|embro)?|dec(?:ember)?|dez(?:ember|embro)?|déc(?:embre)?|dic(?:iembre|embre)?"
)
"""Names of months as one pattern, to be used without regard to case."""

_MONTH = re.compile(rf"(?:{MONTHS})(?![A-Za-zÀ-ɏ\d_])", re.IGNORECASE)
_DAY = re.compile(r"(?<!\d)\d{1,2}\Z")
_ENDS_IN_MONTH = re.compile(rf"(?<![A-Za-zÀ-ɏ])(?:{MONTHS})\Z", re.IGNORECASE)
_FIRST_WORDS = """
The He She It They We I You This That These Those There Here In On At But And Or So However Then If
When While As For From To By With After Before Since Although Because His Her Its Their Our My Your
What Who How Why Where Which Today Yesterday Now No Not Yes Also Some Many Most All Each Every One
Both Another Later Meanwhile Still Yet Once Until Only Even Such Can Could Do Does Did Is Are Was
Were Will Would Should Let Please
Der Die Das Er Sie Es Wir Ihr Im Am Ein Eine Aber Und Doch Dann Wenn Als Auch Dies Diese Dieser Nach
Bei Mit Von Zu Seit Heute
Le La Les Il Elle Ils Elles Nous Vous Un Une Mais Et Ce Cette Ces Dans Pour
El Los Las Ella Ellos Una Pero Y Este Esta Esto Cuando Si Por Para Con De Desde
"""
_STARTERS = frozenset(_FIRST_WORDS.split())
_ZONE_NAMES = "Z UTC GMT EST EDT PST PDT CST CDT MST MDT CET CEST BST ET PT CT MT BT IST JST Uhr"
_ZONES = frozenset(_ZONE_NAMES.split())
_SCALES = ("mio", "mrd", "tsd")
_NEXT = re.compile(r"\s*+[\"'“”‘’«»‹›„(\[{¿¡*_+\-–—]*+\s?(\w*+)")
_VOWEL = re.compile(r"[aeiouyäöüáéíóúàèâêîôûæøåœ]", re.IGNORECASE)
_FIGURES = "0123456789.,:/+-–−±$€£¥<>~≈"
_OPENERS = "\"'“”‘’«»„([{*_¿¡"

WIDE = frozenset("。！？；｡．।॥؟۔։።။។")
"""Stops that end a sentence whatever follows: they have no other use, and often no space behind."""

_PARTICLES = tuple("とってなどをはがにのもでへや、，")
"""What goes on with the sentence behind a closing 」: quoting and case particles, and commas."""


def wide(char: str) -> bool:
    """A character of a script that is written without spaces: Chinese, Japanese."""
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff"


def ends_sentence(text: str, start: int, stop: int, end: int, run: str) -> bool:
    """Whether the stop at `stop` ends the sentence that began at `start`.

    `run` is the stop with the marks behind it, quotes and brackets too; it ends at `end`.
    """
    after = text[end : end + 1]
    if run[0] in WIDE or (run[0] in "…!?" and wide(text[stop - 1 : stop])):
        if run[0] == "．" and after.isdigit():
            return False
        return run[-1] not in "」』”》" or not after or not after.startswith(_PARTICLES)
    if after and not after.isspace():
        return False
    match = _NEXT.match(text, end)
    word = match.group(1) if match is not None else ""
    lower = word[:1].islower()
    closed = run[-1] not in ".!?…"
    if run[0] != "." or len(run.rstrip(_CLOSING)) > 1:
        return _emphatic(run, closed=closed, lower=lower)
    if closed and lower:
        return False
    return _period(text, start, stop, word)


def _emphatic(run: str, *, closed: bool, lower: bool) -> bool:
    """`!`, `?`, `...` and mixtures: they end a sentence unless it plainly goes on."""
    if not lower:
        return True
    return not closed and "?" in run


def _period(text: str, start: int, stop: int, word: str) -> bool:
    """One full stop, with white space or the end behind it, and `word` behind that."""
    tail = text[max(start, stop - 24) : stop]
    token = tail.rsplit(None, 1)[-1].lstrip(_OPENERS) if tail and not tail[-1].isspace() else ""
    if not token:
        return not word[:1].islower()
    if token[-1].isdigit():
        return _number(text, start, stop, token, word)
    low = token.lower().lstrip(_FIGURES) or token.lower()
    if low in _NEVER_LAST or low.endswith(_SCALES):
        return False
    if word[:1].isdigit() and (low in _BEFORE_NUMBER or _ENDS_IN_MONTH.search(low) is not None):
        return False
    if low in _ENDS_UNLESS_LOWER:
        return not (word[:1].islower() or word[:1].isdigit() or word in _ZONES)
    if word[:1].islower():
        return (
            len(token) > 3
            and "." not in token
            and token.islower()
            and low not in _OFTEN_LAST
            and _VOWEL.search(token) is not None
        )
    if low in _OFTEN_LAST or (len(token) == 1 and token.isalpha()) or _dotted(token):
        return not word or (word in _STARTERS and not tail.endswith(("z. B", "d. h", "u. a")))
    return True


def _dotted(token: str) -> bool:
    """U.S, Ph.D, J.K: short parts with stops between."""
    return "." in token and all(len(part) <= 2 for part in token.split("."))


def _number(text: str, start: int, stop: int, token: str, word: str) -> bool:
    """A stop behind digits: a list number, an ordinal (1. Mai), or the end of a sentence."""
    if _DAY.search(token) is not None and _MONTH.match(word) is not None:
        return False
    if not token.isdigit() or len(token) > 3:
        return True
    before = text[max(start, stop - len(token) - 12) : stop - len(token)].split()
    if not before and not text[start : stop - len(token)].strip(_OPENERS + " \t#>-*"):
        return False
    return not (len(token) <= 2 and before and before[-1].lower() in _GERMAN_BEFORE_ORDINAL)
