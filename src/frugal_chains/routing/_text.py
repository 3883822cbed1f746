"""One form of a text for all signals: what case, spacing and politeness change is not the question.

`canonical` gives the same text for "Please,  what is 2+2? Thanks!" and "what is 2+2?"; `words` cuts
it into the tokens that n-grams are made of; a `Phrase` is found in it as whole words. All take time
linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Self

_GREETING: Final = (
    r"(?:hi|hello|hey|greetings|dear|good (?:morning|afternoon|evening|day))"
    r"(?: (?:there|all|everyone|team|assistant|sir|madam|friend|bot|ai))?+"
)
_ASKING: Final = (
    r"(?:(?:can|could|would|will) (?:you|u)(?: please| kindly)?+"
    r"(?: (?:(?:help|assist) me (?:with|to|by|out with)|tell me"
    r"|(?:answer|solve)(?: this| the following)))?+"
    r"|i would (?:like|love|appreciate it if)(?: (?:you|for you|it if you))?+(?: (?:to|could))?+"
    r"|i'd (?:like|love)(?: you)?+ to|i (?:want|need) you to|i need (?:some |your )?+help with"
    r"|(?:please |kindly )?+help me (?:with|to|out with)"
    r"|(?:i was|i am|i'm) wondering (?:if|whether) you (?:can|could|would)"
    r"|i have a (?:quick )?+question|(?:may|can|could) i ask(?: you)?+"
    r"|would you (?:mind|be so kind as to|be able to)"
    r"|(?:if you (?:can|could|don't mind)|when you have a (?:moment|minute))"
    r"|(?:answer|solve|tell me)(?: (?:this|the following|my))?+(?: (?:question|problem))?+(?= ?:))"
)
_POLITE_HEAD: Final = re.compile(
    rf"(?:{_GREETING}|{_ASKING}|please|pls|kindly)(?![\w'])[ ,.:;!-]*+"
)
_POLITE_TAIL: Final = re.compile(
    r"(?<!\w)(?:(?:many |a lot of )?thanks(?: you)?|thank (?:you|u)|thx|cheers"
    r"|(?:if you )?please|pls|(?:kind|best|warm) regards|have a (?:nice|great|good) (?:day|one)"
    r"|(?:i(?:'d| would)? )?(?:really )?appreciate (?:it|your help|the help|any help))"
    r"(?: (?:so|very) much| a (?:lot|ton|million|bunch)| in advance"
    r"| for (?:your|the) (?:help|time))*+[ ,.!?)-]*+$"
)
_TAIL_CHARS: Final = 96
"""The end of a text is looked at no further back than this: the longest thanks is shorter."""
_ROUNDS: Final = 6
"""Wrappers stand in each other ("hello, could you please"); one of nothing else is left alone."""

# One ideograph or syllable is a word of its own: those scripts put no spaces between words.
_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|\d+|[^\w\s]|_+")


def canonical(text: str) -> str:
    """Return the text without what does not change the question.

    Compatibility forms of characters are one, case is folded, every run of white space is one
    space, and greetings, "could you please" and thanks around the text are gone.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = " ".join(text.casefold().split())
    core = plain
    for _ in range(_ROUNDS):
        shorter = _unwrapped(core)
        if shorter == core:
            break
        core = shorter
    return core or plain


def words(canonical_text: str) -> list[str]:
    """Cut a canonical text into words, numbers and single signs."""
    return _WORD.findall(canonical_text)


# Names with signs, like c++, c#, .net and node.js, are words of their own: `c` is not in `c++`, and
# neither `node` nor `js` in `node.js`. A sign at the end of a sentence belongs to no name.
_BEFORE: Final = r"(?<!\w)(?<!\w[-'.])"
_NO_NAME_BEFORE: Final = r"(?<!^\.)(?<!\s\.)"
_AFTER: Final = r"(?!\w)(?![-'.]\w)"
_NO_NAME_AFTER: Final = r"(?!\+\+|#(?!\w))"
_BETWEEN: Final = r"(?:(?![-'.]\w)\W)+"
_SENTENCE: Final = ',;:!?"()'
"""Signs around a word that are part of no name."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that are looked for in canonical texts."""

    text: str
    _pieces: tuple[str, ...]
    _pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> Self:
        """Of a canonical text that is not empty."""
        pieces = tuple(piece.strip(_SENTENCE) or piece for piece in text.split())
        body = _BETWEEN.join(map(re.escape, pieces))
        first, last = pieces[0][0], pieces[-1][-1]
        if not any(map(str.isalnum, text)):
            return cls(text, pieces, re.compile(body))  # signs alone stand anywhere
        before = _BEFORE + _NO_NAME_BEFORE if _is_letter(first) else _BEFORE
        after = _AFTER + _NO_NAME_AFTER if _is_letter(last) else rf"(?!{re.escape(last)}){_AFTER}"
        return cls(text, pieces, re.compile(before + body + after))

    def is_in(self, text: str) -> bool:
        """Whether a canonical text has these words, whatever stands between them."""
        # Most texts lack one: that is told ten times faster than where the others stand.
        return all(piece in text for piece in self._pieces) and bool(self._pattern.search(text))


def _is_letter(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _unwrapped(text: str) -> str:
    """Return the text without the polite words at its two ends."""
    if head := _POLITE_HEAD.match(text):
        text = text[head.end() :]
    start = max(0, len(text) - _TAIL_CHARS)
    if tail := _POLITE_TAIL.search(text, start):
        asks = "?" if tail.group().endswith("?") else ""
        text = text[: tail.start()].rstrip(" ,-(") + asks
    return text
