"""Atoms that can be told by their own shape: numbers, dates, ids, code, URLs, paths, addresses.

One pattern reads the text from word to word. A look ahead passes over ordinary words; only one with
a digit, a slash or the like is held against the alternatives, of which the first that fits counts.
Every repeat is possessive or bounded, so that the time is linear in the text. None of the
alternatives can reach over a line, nor over a stop that ends a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from frugal_chains.text._stops import MONTHS
from frugal_chains.text._units import CJK_UNIT, SCALE, UNITS

# Letters of the scripts that put spaces between words, without the marks that lie among them.
_L = (
    "A-Za-zªµºÀ-ÖØ-öø-\u02ff\u0370-\u037d\u037f-\u0386\u0388-\u0559\u0561-\u0588\u05d0-\u060b"
    "\u0620-\u065f\u066e-\u06d3\u06d5-\u0963\u0971-\u0dff\u10a0-\u135f\u1380-\u177f\u1e00-\u1fff"
)
_W = rf"{_L}\d_"
_SP = "[ \xa0\u2009\u202f]"
_HEX = "[0-9A-Fa-f]"
_INNER = r"[.!?](?=[^\W_])"  # a stop that ends nothing
_NO_STOP = r"\n\r\u2028\u2029`“”„«»‹›‘「」『』《》.!?…。！？；｡．।॥؟۔։။።។"

_URL = (
    rf"(?:[A-Za-z][A-Za-z0-9+.\-]{{0,30}}+://|www\.)[{_W}\-.~:/?#\[\]@!$&()*+,;=%]++"
    r"|mailto:[\w.@+\-]++"
)
_EMAIL = rf"[{_W}.+%\-]{{1,64}}+@[{_W}\-]{{1,253}}+(?:\.[{_W}\-]++)++"

_WINDOWS = (
    r"(?:[A-Za-z]:|\\\\[\w.\-$]{1,255}+)\\"
    r"(?:[\w()\-]{1,60}+(?:[ ][\w()\-]{1,60}+){0,3}\\|[\w().\-~$%+@,]{1,200}+\\)*+"
    r"[\w().\-~$%+@,]*+"
)
_ABSOLUTE = rf"(?:(?<![^\s(\[=:'\"`,])(?:~|\.\.?))?(?<!<)(?:/[{_W}.\-+@%~=,]++)++/?"
_RELATIVE = (
    rf"(?=[{_W}.\-]{{1,128}}+/)[{_W}.\-]++"
    rf"(?:(?:/[{_W}.\-@+~]{{1,255}}+){{2,}}+|/[{_W}\-@+]{{0,128}}+\.[{_W}]{{1,8}}+(?![{_W}]))"
)

_IP = rf"""
    (?=[\d.]{{7}})(?>\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?:/\d{{1,2}}|:\d{{1,5}})?)(?!\w|\.\d)
  | (?={_HEX}{{1,4}}[:\-])(?:
        (?>{_HEX}{{2}}(?:[:\-]{_HEX}{{2}}){{5}})(?![\w:\-])
      | (?>{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{7}}
          |{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,6}}::(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,6}})?
        )(?:/\d{{1,3}})?(?![\w:])
    )
"""
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}(?![{_W}])"
_IBAN = rf"(?>[A-Z]{{2}}\d{{2}}(?:[ ]?[A-Z0-9]{{4}}){{3,7}}(?:[ ]?[A-Z0-9]{{1,3}})?)(?![{_W}])"
_PHONE = r"\d{3}[.\- ]\d{3}[.\-]\d{4}(?![\d\-])"
_ABROAD = r"(?>\+\d{1,3}(?:[ .\-]?\(?\d{1,4}\)?){2,6})(?!\d)|\(\d{3}\)[ ]?\d{3}[ .\-]\d{4}(?!\d)"

_MON = rf"(?i:{MONTHS})(?![{_W}])"
_ZONE = r"(?:Z|UTC|GMT|[ECMPB]S?T|[ECMP]DT|CES?T|JST|IST)"
_NOON = rf"(?:[AaPp](?:[Mm](?![{_W}])|\.[Mm]\.?(?![{_W}])))"
_TIME = (
    rf"\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d{{1,9}}+)?)?(?:{_SP}?{_NOON})?"
    rf"(?:{_SP}?{_ZONE}(?![{_W}])|{_SP}?[+\-]\d{{2}}(?::?\d{{2}})?(?!\d))?"
    rf"(?:{_SP}?Uhr(?![{_W}]))?"
)
_YEAR = rf"(?:,?{_SP}(?:del?{_SP})?\d{{4}}(?![{_W}]|[\-/.:]\d))"
_CLOCK = r"\d{1,2}[时時点點](?:\d{1,2}分|半)?"
_DATE = rf"""
    (?=\d{{1,8}}[\-/.:T])(?:
        (?>\d{{4}}(?P<sep>[\-/.])\d{{1,2}}(?P=sep)\d{{1,2}}(?:(?:T|,?{_SP}){_TIME})?)(?![{_W}\-])
      | (?>\d{{4}}-\d{{2}}-\d{{2}}T\d{{2}}(?::?\d{{2}}){{0,2}}Z?|\d{{8}}T\d{{4,6}}Z?)(?![{_W}\-])
      | (?>\d{{1,2}}(?P<dot>[./\-])\d{{1,2}}(?P=dot)(?:\d{{4}}|\d{{2}})(?:,?{_SP}{_TIME})?)
        (?![{_W}\-]|[.,/]\d)
      | (?>{_TIME})(?![{_W}]|[:.]\d)
    )
  | (?=\d{{1,4}}[年月时時点點])(?:
        \d{{2,4}}年(?:\d{{1,2}}月(?:\d{{1,2}}[日号號])?)?(?:{_CLOCK})?
      | \d{{1,2}}月\d{{1,2}}[日号號](?:{_CLOCK})? | {_CLOCK}
    )
  | \d{{1,2}}(?:(?:st|nd|rd|th|er|[º°])?{_SP}(?:of{_SP}|de{_SP})?|\.{_SP})
    (?=[A-Za-zäé]){_MON}
    (?:\.?{_YEAR}|(?!{_SP}\d{{1,2}}(?:st|nd|rd|th)?,?{_SP}\d{{4}}))
  | \d{{1,2}}(?:[.:h]\d{{2}})?{_SP}?(?:Uhr(?![{_W}])|{_NOON}|o['’]clock)
  | \d{{1,2}}[hH]\d{{2}}(?![{_W}])
"""
_MONTH_FIRST = rf"""
    (?=[A-Za-zäéçû]{{3,10}}+\.?,?[ ][\dd]){_MON}(?:
        \.?{_SP}\d{{1,2}}(?:st|nd|rd|th)?(?![{_W}]|[.,:/\-]\d|\.{_SP}{_MON})
        (?:{_SP}?[–\-]{_SP}?\d{{1,2}}(?![{_W}]))?{_YEAR}?
        (?:{_SP}?(?!in[ ])(?:{UNITS})(?![{_W}]|[-'’.@:/+]\w))?+
      | \.?{_YEAR}(?![{_W}])
    )
  | [QH][1-4]{_SP}\d{{4}}(?![{_W}])
"""

_MONEY = r"(?:(?:US|CA|AU|HK|NZ|R)?[$€£¥₹₽₩]|(?:USD|EUR|GBP|JPY|CHF|CNY|INR)(?=[ \xa0]?\d))"
_DIGITS = (
    r"(?>\d{1,3}(?:[ \xa0\u202f]\d{3}(?!\d)){1,4}(?:[.,]\d++)?"
    rf"(?![{_W}]|[.,:\-/]\d)"
    r"|\d++(?:[.,'’:]\d++){0,20}+(?:[eE][+\-]?\d++)?"
    r"|(?<![^\s(\[$€£¥+\-−±~≈<>≤≥=:])[.,]\d++)"
)
_SIGN = rf"(?:[+\-−±]|[≈~<>≤≥]{_SP}?)"
_NUMBER = rf"""
    {_SIGN}?(?:{_MONEY}{_SP}?)?{_DIGITS}
    (?:{_SP}?(?:[–—\-/×x~]|to(?=[ ])){_SP}?{_SIGN}?{_MONEY}?{_DIGITS})?+
    (?:{_SP}?(?=[A-Za-z]){SCALE}(?![{_W}]|[-.@:/+]\w))?+
    (?:(?:st|nd|rd|th|er|re|e|º|ª)(?![{_W}])
      |(?:{_SP}|-)?(?=[A-Za-zµμ%‰°℃℉$€£¥₹₽₩])(?:{UNITS})(?![{_W}]|[-'’.@:/+]\w)
      |(?=[\u3040-\u9fff％%]){CJK_UNIT})?+
    (?:{_SP}(?:USD|EUR|GBP|JPY|CHF|CNY|INR|[€$£¥])(?![{_W}]))?+
    (?![{_W}]|-[{_W}]|@[{_W}\-]++\.[{_W}]|\.{_SP}{_MON})
"""

_CALL = (
    rf"[A-Za-z_][{_W}]*+(?:(?:\.|::|->|\#)[A-Za-z_][{_W}]*+)*+(?=\()"
    rf"\((?:[^()\"{_NO_STOP}]|{_INNER}|\"(?:[^\"{_NO_STOP}]|{_INNER}){{0,60}}+\"){{0,80}}+\)"
)
_SIGILS = r"""
    \$\{?[A-Za-z_]\w*+\}? | (?<!-)--[A-Za-z][\w\-]*+(?:=[\w./:,@%+\-]++)?
  | (?<!\S)-[A-Za-z](?=\s|\Z) | %[A-Z_]{2,40}+% | \{\{?[\w.]{1,40}+\}\}?
  | <[A-Za-z/][\w\-]{0,30}+/?>
"""
_WORDY = rf"[{_W}]++(?:(?:[-./#+~&:]|::|->)[{_W}]++)*+(?:\+\+|\#(?!\w))?"

# Names end in a figure where a kind has more than one place.
_TOKEN = re.compile(
    rf"""
    (?<![{_W}])
    (?:
        (?=[A-Z]?[a-z]++[A-Z]|[{_L}_]++(?:
             [\d@/\\($]|:[/\\:\w]|[.\-+&~<#][\w/>+]|\.?,?[ ](?:del?[ ])?\d)
          |[{_L}]*+_)
        (?:
            (?P<url>{_URL}) | (?P<email1>{_EMAIL}) | (?P<date1>{_MONTH_FIRST}) | (?P<ip1>{_IP})
          | (?P<path1>{_WINDOWS}|{_RELATIVE}) | (?P<id1>{_UUID}|{_IBAN}) | (?P<code1>{_CALL})
          | (?P<number1>(?=[A-Z]{{1,3}}[ \xa0$€£¥\d]){_NUMBER}) | (?P<wordy1>{_WORDY})
        )
      | (?=\d)
        (?:
            (?P<date2>{_DATE}) | (?P<ip2>{_IP}) | (?P<id2>{_UUID}|{_PHONE})
          | (?P<number2>{_NUMBER}) | (?P<email2>{_EMAIL}) | (?P<path2>{_RELATIVE})
          | (?P<wordy2>{_WORDY})
        )
      | (?=[+\-−±≈~<>≤≥]?[ ]?[$€£¥₹₽₩]?[ ]?[.,]?\d|\(\d|[$\-%{{<@#~/.\\][\w\-/\\{{.])
        (?:
            (?P<id3>{_ABROAD}) | (?P<number3>(?=[^{_L}]){_NUMBER}) | (?P<code3>{_SIGILS})
          | (?P<path3>{_WINDOWS}|{_ABSOLUTE}) | (?P<wordy3>[\#@]{_WORDY})
        )
    )
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(rf"[{_L}]++(?:[-/~&:+][{_L}]++)*+\Z")
_ABBREVIATION = re.compile(rf"[{_L}]{{1,2}}(?:\.[{_L}]{{1,2}})++\Z")
_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]&[A-Z]")
_TRAILING = ".,;:!?'*-"


def tokens(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of each atom between two places, ascending, none overlapping."""
    for match in _TOKEN.finditer(text, start, end):
        kind = (match.lastgroup or "").rstrip("123")
        first, last = match.span()
        if kind in ("url", "path"):
            last = first + _trimmed(match.group())
        elif kind == "wordy":
            kind = _word_kind(match.group())
        if kind:
            yield first, last, kind


def _trimmed(found: str) -> int:
    """Length without the punctuation of the sentence around a URL or a path."""
    found = found.rstrip(_TRAILING) or found
    while found[-1] in ")]":
        opening = "(" if found[-1] == ")" else "["
        extra = found.count(found[-1]) - found.count(opening)
        if extra <= 0:
            break
        run = len(found) - len(found.rstrip(found[-1]))
        found = found[: -min(run, extra)].rstrip(_TRAILING)
    return len(found)


def _word_kind(word: str) -> str:
    """`id`, `code`, or nothing when it is a word like others."""
    if any(map(str.isdigit, word)):
        return "id"
    if _ABBREVIATION.match(word) is not None:
        return ""
    if _PLAIN.match(word) is None or _CAMEL.search(word) is not None:
        return "code"
    return ""
