"""The language of a text, by its function words; enough to keep rules off other languages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

_FUNCTION_WORDS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "de": """
            aber alle als am an auch auf aus bei bitte bis das dass dem den der des die
            dies diese du durch ein eine einem einen einer er es für hat ich ihr im ist
            kann mit nach nicht nur oder sein sich sie sind so soll über und um uns von
            vor was wenn werden wie wird zu zum zur
        """,
        "en": """
            a all and any are as at be been before but by can do does each for from has
            have how if in into is it its make may must no not of on only or our out
            please should so such than that the their them then there these they this to
            use was we what when which who will with would you your
        """,
        "es": """
            al como con cuando de del el en es esta este hay la las lo los más muy no o
            para pero por porque que se según si sin sobre son su sus también todo todos
            un una usted y ya
        """,
        "fr": """
            au aux avec ce ces cette comme dans de des du elle en est et il ils je la le
            les leur mais ne nous ou par pas plus pour que qui sans ses si son sont sur
            tous un une vous
        """,
        "it": """
            al alla anche che chi come con da dal del della delle di e è gli ha i il in io
            la le lo ma nel nella non per più quando questa questo se si solo sono su
            tutti un una
        """,
        "nl": """
            aan al als bij dat de deze die dit een en er geen het hij hun ik in is je kan
            maar met naar niet of om ook op over te tot u uit van voor was wat wordt ze
            zich zij zijn
        """,
        "pt": """
            ao as com como da das de do dos e é ela ele em entre esta este mais mas na não
            no nos o os ou para pela pelo por quando que se sem seu sua são também todos
            um uma você
        """,
    }.items()
}
_WORD: Final = re.compile(r"[^\W\d_]+")
_READ: Final = 4_000
"""Characters looked at from the start: the language of a prompt shows in its first sentences."""
_ENOUGH: Final = 2
"""Function words below which a text says nothing about its language."""
_CLEARLY: Final = 1.3
"""The best language has so many times the function words of the next; neighbours share some."""


def language_of(text: str) -> str:
    """The language's two letters, where there is a table for it; empty where it is not clear."""
    words = Counter(_WORD.findall(text[:_READ].casefold()))
    found = sorted(
        ((sum(words[w] for w in sorted(table)), name) for name, table in _FUNCTION_WORDS.items()),
        key=lambda each: (-each[0], each[1]),
    )
    (best, name), (next_best, _) = found[0], found[1]
    return name if best >= _ENOUGH and best >= _CLEARLY * next_best else ""


def unknown_script(text: str) -> bool:
    """Whether most letters are of a script that no word table of this room covers."""
    letters = [c for c in text[:_READ] if c.isalpha()]
    covered = sum(_COVERED.match(c) is not None for c in letters)
    return 2 * covered < len(letters)


_COVERED: Final = re.compile(
    "[A-Za-z\u00aa-\u024f\u0400-\u04ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
)
"""Latin, Cyrillic, kana, Chinese characters."""
