"""Words that carry a rule: what negates, obliges, permits or limits.

Two uses. Rewriting never adds, removes or reorders a guarded word. And a section of a prompt that
binds (forbids or obliges, keeps people safe, or fixes the form of the answer) is not left out
because the request looks as if it did not need it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

# Over-guarding costs a few tokens, a missed negation costs the rule: a form that is also a harmless
# word is in. Forms that forbid or oblige make a section binding; the others are only guarded.
_BINDING: Final[Mapping[str, str]] = {
    "en": r"must(?:n't)?|shall|never|only|unless|not|cannot|\w+n't|dont|doesnt|cant|wont|no|nobody"
    r"|nothing|neither|nor|without|except(?:ions?)?|always|requires?|required|forbid(?:den|s)?"
    r"|prohibit(?:ed|s)?|avoid|refuse|refrain|mandatory|strictly",
    "de": r"nicht|nichts|nie|niemals|niemand|kein\w*|nur|mus[st]t?|muß|müssen|sollst|darf\w*"
    r"|dürfen|ohne|außer|weder|immer|stets|verboten|vermeide\w*|keinesfalls",
    "es": r"nunca|jamás|ning[uú]n\w*|nada|ni|sin|salvo|excepto|s[oó]lo|solamente|únicamente"
    r"|debe\w*|tiene|siempre|prohibid\w*|evit\w+",
    "fr": r"ne|n'\w+|pas|jamais|aucun\w*|rien|ni|sans|sauf|seulement|uniquement|doi[ts]"
    r"|doivent|devez|toujours|interdit\w*|évite[rz]?",
    "it": r"non|mai|nessun\w*|niente|senza|tranne|soltanto|solamente|deve|devono|sempre|vietat\w*",
    "nl": r"niet|nooit|geen|niets|alleen|moet\w*|zonder|behalve|altijd|verboden|tenzij",
    "pt": r"não|jamais|nenhum\w*|nem|sem|exceto|somente|apenas|só|devem?|proibid\w*",
    "ru": r"не|нет|ни|никогда|нельзя|только|должен|должн\w+|обяза\w+|всегда|запрещ\w+|без|кроме",
}
_ALSO_GUARDED: Final[Mapping[str, str]] = {
    "en": r"should|ought|can|could|may|might|none|nowhere|every|until|allowed|permitted|exactly"
    r"|refuse[ds]|avoid(?:ed|s)|excepted|excepting|instead|rather|least|most",
    "de": r"soll\w*|kann|können|erlaubt",
}
_BINDS: Final = re.compile("|".join(_BINDING.values()))
_GUARDED: Final = re.compile("|".join((*_BINDING.values(), *_ALSO_GUARDED.values())))
_UNSPACED: Final = re.compile(
    "不|勿|别|禁|必须|必須|必ず|只能|仅|没有|ない|なく|ません|のみ|だけ|決して|すべき"
    "|않|없|마세요|마십시오|금지|반드시|절대"
)
"""In scripts without spaces between words, or with endings that are words."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")

_NAMED: Final = re.compile(
    r"\b(?:rules?|constraints?|guidelines?|guardrails?|polic(?:y|ies)|safety|security|compliance"
    r"|privacy|output|format(?:ting)?|style|tone|language|role|identity|persona|objective"
    r"|regeln|sicherheit|ausgabe|règles|sécurité|sortie|reglas|seguridad|salida|formato)\b"
    r"|安全|规则|規則|格式|形式|ルール|출력|규칙",
    re.IGNORECASE,
)
_SAFETY: Final = re.compile(
    r"\b(?:safety|harm(?:s|ful)?|illegal|confidential(?:ity)?|private|privacy"
    r"|personal(?: |ly )(?:data|information|identifiable)|pii|passwords?|credentials?|secrets?"
    r"|self-harm|suicid\w+|emergency"
    r"|medical advice|legal advice|prompt injections?|jailbreak\w*|vertraulich|datenschutz"
    r"|confidentiel\w*|confidencial\w*)\b|安全|机密|機密|隐私|個人情報",
    re.IGNORECASE,
)
_FORMAT: Final = re.compile(
    r"\b(?:(?:output|response|answer|reply)(?:s|'s)? (?:format|in|with|as|using)"
    r"|(?:respond|reply|return|formatted) (?:in|with|as|using|a|the)"
    r"|format (?:your|the|all) \w+|json|xml|yaml|csv|schema)\b",
    re.IGNORECASE,
)


def guarded_words(text: str) -> list[str]:
    """The guarded words of a text, case-folded, in their order; those without spaces come last."""
    words = [word for word in _plain_words(text) if _is_guarded(word)]
    return words if text.isascii() else words + _UNSPACED.findall(text)


def binding(name: str, text: str) -> str:
    """Why a section binds: `rule`, `safety` or `format`; empty where nothing says so."""
    if any(map(_is_binding, _plain_words(text))):
        return "rule"
    if not text.isascii() and _UNSPACED.search(text):
        return "rule"
    if _SAFETY.search(text):
        return "safety"
    return "format" if _NAMED.search(name) or _FORMAT.search(text) else ""


def _plain_words(text: str) -> list[str]:
    return _WORD.findall(text.casefold().replace("\u2019", "'"))


@lru_cache(maxsize=1 << 14)
def _is_guarded(word: str) -> bool:
    return _GUARDED.fullmatch(word) is not None


@lru_cache(maxsize=1 << 14)
def _is_binding(word: str) -> bool:
    return _BINDS.fullmatch(word) is not None
