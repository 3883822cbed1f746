"""`ToolIndex`: some tools, read once, against which any number of questions are held."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.compression.tools._fields import Fields, fields_of, words_of
from frugal_chains.compression.tools._find import fallback_for
from frugal_chains.compression.tools._lexicon import Lexicon, weighted_terms
from frugal_chains.compression.tools._slim import slim_tool
from frugal_chains.errors import ToolPlanError
from frugal_chains.facts import ToolFacts

Vector = Sequence[float]

_FADES: Final = 0.25
"""Weight of the question before this one, beside it; of the one before that, its square."""
_MEANING: Final = 0.5
"""Part of the vectors in a score, the words have the rest: neither is worse alone than the other
(docs/notes/compression-tools.md)."""
_READ_CHARS: Final = 20_000
"""Of a question; of a longer one the two ends, where what is asked for stands."""
_PLACES: Final = 9
"""Decimals of a score: beyond them processors differ, and equal tools would swap places."""


class ToolIndex:
    """Tools, their slim forms, their tokens, and what they are about. Never changes once made.

    Args:
        tools: In the order in which the application offers them.
        tokens: Tokens of one tool as its provider will count them.
        vectors: Of `embedding_texts(tools)`, one for each tool, where there is an embedder.

    Raises:
        ToolPlanError: the vectors do not fit the tools.
    """

    def __init__(
        self,
        tools: Iterable[ToolFacts],
        tokens: Callable[[ToolFacts], int],
        *,
        vectors: Sequence[Vector] | None = None,
    ) -> None:
        self.tools: Final = tuple(tools)
        self.tokens: Final = tuple(map(tokens, self.tools))
        slim = [slim_tool(tool) for tool in self.tools]
        counts = list(map(tokens, slim))
        shorter = [new < old for new, old in zip(counts, self.tokens, strict=True)]
        self.slim: Final = tuple(
            new if less else old for new, old, less in zip(slim, self.tools, shorter, strict=True)
        )
        """Each tool in its slim form, or as it is where that has no fewer tokens."""
        self.slim_tokens: Final = tuple(map(min, counts, self.tokens))
        self.find_tool: Final = fallback_for(self.tools)
        """What is offered in place of those left out, under a name that none of them has."""
        self.find_tool_tokens: Final = tokens(self.find_tool)
        self._vectors = None if vectors is None else _matrix(vectors, len(self.tools))

    def scores(
        self, query: str, *, before: Sequence[str] = (), vector: Vector | None = None
    ) -> list[float]:
        """How well each tool fits a question, 0 to 1; 1 is the best that words and meaning give.

        All are 0 where no word is shared and there are no vectors.

        Args:
            query: What is asked now.
            before: What was asked earlier in the conversation, oldest first.
            vector: Of the question, by the embedder of the tools; needs the index to have theirs.

        Raises:
            ToolPlanError: the vector does not fit the tools'.
        """
        asked = weighted_terms(_ends(query), [_ends(text) for text in before], fades=_FADES)
        words = _to_one(np.array(self._lexicon.scores(asked)))
        if vector is None:
            return [round(each, _PLACES) for each in words.tolist()]
        cosines = self._cosines(vector)
        mean = cosines.mean() if len(cosines) else 0.0
        meaning = _to_one(np.clip(cosines - mean, 0.0, None))
        both = (1 - _MEANING) * words + _MEANING * meaning
        return [round(each, _PLACES) for each in both.tolist()]

    def ranking(
        self, query: str, *, before: Sequence[str] = (), vector: Vector | None = None
    ) -> tuple[int, ...]:
        """All tools, the best first; equal ones in the application's order. See `scores`."""
        scores = self.scores(query, before=before, vector=vector)
        return tuple(sorted(range(len(scores)), key=scores.__getitem__, reverse=True))

    def named_in(self, text: str) -> tuple[int, ...]:
        """The tools whose names stand in a text as names, in order.

        A name of one plain word (`search`) is one in quotes, before a bracket, or beside `tool`.
        """
        if not text:
            return ()
        folded = text.casefold()
        plain, odd = self._names
        whole = {found.rstrip(".-") for found in _IDENTIFIER.findall(folded)}
        found = [
            number
            for name in plain.keys() & whole
            for number in plain[name]
            if not _is_word(self.tools[number].name) or _is_marked(name, folded)
        ]
        found += [number for name, numbers in odd.items() if name in folded for number in numbers]
        return tuple(sorted(found))

    @cached_property
    def _names(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Tools by name, case-folded: those that are found as one piece of a text, and others."""
        plain: dict[str, list[int]] = {}
        odd: dict[str, list[int]] = {}
        for number, tool in enumerate(self.tools):
            name = tool.name.casefold()
            fits = _IDENTIFIER.fullmatch(name) and name[-1] not in ".-"
            if name:
                (plain if fits else odd).setdefault(name, []).append(number)
        return plain, odd

    def block_key(self, numbers: Iterable[int], *, slim: bool, find_tool: bool) -> str:
        """The name of a block of tools: the same for the same bytes in the same order."""
        keys = self._keys[slim]
        head = [_key(self.find_tool)] if find_tool else []
        return _joined([*head, *(keys[number] for number in numbers)])

    @cached_property
    def _keys(self) -> tuple[list[bytes], list[bytes]]:
        return list(map(_key, self.tools)), list(map(_key, self.slim))

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self.tools)

    def _cosines(self, vector: Vector) -> NDArray[np.float64]:
        if self._vectors is None:
            raise ToolPlanError(
                "the question has a vector, but the index was made without `vectors`"
            )
        one = _matrix([vector], 1)[0]
        if one.shape[0] != self._vectors.shape[-1] and len(self.tools):
            raise ToolPlanError(
                f"the question's vector has {one.shape[0]} numbers, the tools' have "
                f"{self._vectors.shape[-1]}: take the same embedder for both"
            )
        found: NDArray[np.float64] = self._vectors @ one if len(self.tools) else np.zeros(0)
        return found


def embedding_texts(tools: Iterable[ToolFacts]) -> list[str]:
    """The text of each tool that an embedder is given: name, description, names of parameters."""
    return [_embedded(fields_of(tool)) for tool in tools]


def _embedded(fields: Fields) -> str:
    return " ".join(f"{fields.name}: {fields.description} {fields.parameters}".split())


def _key(tool: ToolFacts) -> bytes:
    digest = hashlib.sha256()
    for text in (tool.name, tool.description, tool.parameters):
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.digest()


def _joined(keys: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(keys)).hexdigest()[:32]


def _is_word(name: str) -> bool:
    """Whether a name is one plain word, that texts have for other reasons too."""
    return name.isalpha() and " " not in words_of(name)


def _is_marked(name: str, text: str) -> bool:
    """Whether a plain word stands in a text as a tool's name."""
    pattern = (
        rf"[`\"']{name}[`\"']|\b{name}\(|\b{name} (?:tool|function)\b|\b(?:tool|function) {name}\b"
    )
    return re.search(pattern, text) is not None


def _matrix(rows: Sequence[Vector], count: int) -> NDArray[np.float64]:
    """The rows at length 1."""
    try:
        matrix = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise ToolPlanError("vectors are rows of numbers, all equally long") from None
    if len(matrix) != count or (count and matrix.ndim != 2) or not np.isfinite(matrix).all():
        raise ToolPlanError(
            f"vectors of shape {matrix.shape} for {count} tools: expected one finite row each"
        )
    lengths = np.linalg.norm(matrix, axis=-1, keepdims=True)
    normal: NDArray[np.float64] = matrix / np.where(lengths == 0, 1.0, lengths)
    return normal


def _to_one(values: NDArray[np.float64]) -> NDArray[np.float64]:
    most = float(values.max()) if len(values) else 0.0
    return values / most if most > 0 else values


def _ends(text: str) -> str:
    half = _READ_CHARS // 2
    return text if len(text) <= _READ_CHARS else f"{text[:half]}\n{text[-half:]}"


_IDENTIFIER: Final = re.compile(r"[^\W\d][\w.\-]*")
