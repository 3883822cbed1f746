"""A question as numbers: hashed n-grams that tell it from others, and its shape.

What many calibration prompts share word for word, a system prompt, few-shot examples or a closing
instruction, says which *kind* of request this is and nothing else about it. Such stretches are cut
from the text and leave one feature behind, so that requests under one long head stay different.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import filterfalse, pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing._ngrams import Hashes, buckets, window_bucket, windows, word_hashes
from frugal_chains.routing._text import canonical, words

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

BITS: Final = 18
"""262,144 buckets: 10,000 prompts have about 100,000 n-grams that occur twice."""
_SHARED_WORDS: Final = 8
"""A stretch this long that many prompts have is a template, not a coincidence."""
_SHARED_PART: Final = 0.02
"""Of the prompts, from which on a stretch is shared;"""
_SHARED_LEAST: Final = 5
"""and no fewer prompts than these."""

SHAPE: Final = (
    "length",
    "length squared",
    "words",
    "word length",
    "distinct words",
    "digits",
    "numbers",
    "signs",
    "mathematical signs",
    "commas",
    "full stops",
    "question marks",
    "quotation marks",
    "brackets",
    "blanks",
    "negation",
)
"""What the shape of a question is made of, in the order of `shape`."""
_LEAST: Final = np.float32(-4)
_MOST: Final = np.float32(4)
_MATHS: Final = frozenset("=+-*/^<>%$\\|")
_QUOTES: Final = frozenset("\"'`\u201c\u201d\u2018\u2019")
_BRACKETS: Final = frozenset("()[]{}")
_NEGATIONS: Final = frozenset(
    ("not", "no", "never", "except", "false", "incorrect", "least", "without", "neither")
)


class Encoded(NamedTuple):
    """One question."""

    ids: Ints
    """Buckets of its n-grams, ascending."""
    values: Floats
    """Their weights; of length 1 together, or none."""
    shape: Floats
    """Standardised; see `SHAPE`."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """How rare each n-gram is among the calibration prompts, and what those prompts share."""

    idf: Floats
    """By bucket: the logarithm of the part of prompts without it; 0 where too few have it."""
    shared: Hashes
    """Stretches of words that many prompts have, ascending."""
    shape_mean: Floats
    shape_scale: Floats

    @classmethod
    def fit(cls, prompts: Sequence[str]) -> Encoder:
        """Learn from the calibration prompts."""
        texts = [canonical(prompt) for prompt in prompts]
        cut = [words(text) for text in texts]
        hashed = [word_hashes(each) for each in cut]
        shared = _shared(hashed)
        size = 1 << BITS
        seen = np.zeros(size, dtype=np.int64)
        for each in hashed:
            seen[np.unique(_grams(each, shared))] += 1
        # An n-gram of one prompt alone cannot be told from noise; one of all prompts says nothing.
        known = seen >= 2
        idf = np.zeros(size, dtype=np.float32)
        idf[known] = np.log((1 + len(prompts)) / seen[known])
        shapes = np.stack([shape(text, each) for text, each in zip(texts, cut, strict=True)])
        scale = shapes.std(axis=0)
        return cls(
            idf=idf,
            shared=shared,
            shape_mean=shapes.mean(axis=0),
            shape_scale=np.where(scale > 1e-6, scale, 1.0).astype(np.float32),
        )

    def encode(self, question: str) -> Encoded:
        """Return the numbers of one question."""
        text = canonical(question)
        cut = words(text)
        ids, counts = _counted(_grams(word_hashes(cut), self.shared))
        values = (1 + np.log(counts.astype(np.float32))) * self.idf[ids]
        known = values > 0
        ids, values = ids[known], values[known]
        length = math.sqrt(float(values @ values))
        if length:
            values = values / np.float32(length)
        # Beyond a few deviations a shape is strange, not stranger: no question is sent far off the
        # scale because it is a hundred times longer than those the model has seen.
        deviations = (shape(text, cut) - self.shape_mean) / self.shape_scale
        return Encoded(ids, values, np.minimum(np.maximum(deviations, _LEAST), _MOST))

    def gram_names(self, question: str) -> dict[int, str]:
        """Return which words or pairs of the question each bucket stands for."""
        cut = words(canonical(question))
        pairs = [f"{one} {other}" for one, other in pairwise(cut)]
        return dict(zip(buckets(word_hashes(cut), BITS).tolist(), cut + pairs, strict=True))

    def distinct(self, question: str) -> str:
        """Return the canonical question without the stretches that many prompts share."""
        return _without(self.shared, question)


def distinct_prompts(prompts: Sequence[str]) -> list[str]:
    """Return each prompt without what many of them share: this is what is embedded of a log.

    A model that learns from these prompts says the same of them (`BlendedGain.distinct`).
    """
    cut = [words(canonical(prompt)) for prompt in prompts]
    shared = _shared([word_hashes(each) for each in cut])
    return [_without(shared, prompt) for prompt in prompts]


def _without(shared: Hashes, question: str) -> str:
    text = canonical(question)
    cut = words(text)
    inside, _ = _cover(word_hashes(cut), shared)
    if not inside.any():
        return text
    return " ".join(np.array(cut, dtype=object)[~inside]) or text


def shape(canonical_text: str, cut: Sequence[str]) -> Floats:
    """Return the shape of a question: see `SHAPE`."""
    chars, count = len(canonical_text) or 1, len(cut) or 1
    # A word of ASCII is of letters altogether or not at all.
    of_letters = str.isalpha if canonical_text.isascii() else _begins_with_a_letter
    letters, others = list(filter(of_letters, cut)), list(filterfalse(of_letters, cut))
    numbers = [word for word in others if word.isdigit()]
    signs = [word for word in others if not word[0].isalnum()]
    size = math.log1p(len(canonical_text))
    return np.array(
        (
            size,
            size * size,
            math.log1p(len(letters)),
            sum(map(len, letters)) / (len(letters) or 1),
            len(set(cut)) / count,
            sum(map(len, numbers)) / chars,
            math.log1p(len(numbers)),
            len(signs) / count,
            sum(map(_MATHS.__contains__, signs)) / count,
            signs.count(",") / count,
            signs.count(".") / count,
            math.log1p(signs.count("?")),
            sum(map(_QUOTES.__contains__, signs)) / count,
            sum(map(_BRACKETS.__contains__, signs)) / count,
            "__" in canonical_text,
            not _NEGATIONS.isdisjoint(letters),
        ),
        dtype=np.float32,
    )


def _begins_with_a_letter(word: str) -> bool:
    return word[0].isalpha()


def _shared(hashed: Sequence[Hashes]) -> Hashes:
    """Return the stretches that at least `_SHARED_PART` of the prompts have."""
    each = [np.unique(windows(hashes, _SHARED_WORDS)) for hashes in hashed]
    found, counts = np.unique(np.concatenate(each), return_counts=True)
    return found[counts >= max(_SHARED_LEAST, _SHARED_PART * len(hashed))]


def _cover(hashes: Hashes, shared: Hashes) -> tuple[NDArray[np.bool_], Hashes]:
    """Return which words lie in a shared stretch, and one hash for each run of stretches."""
    inside = np.zeros(len(hashes), dtype=np.bool_)
    seen = windows(hashes, _SHARED_WORDS) if len(shared) else shared
    if not len(seen):
        return inside, seen
    at = np.searchsorted(shared, seen)
    hit = np.flatnonzero(shared[np.minimum(at, len(shared) - 1)] == seen)
    if not len(hit):
        return inside, seen[:0]
    for offset in range(_SHARED_WORDS):
        inside[hit + offset] = True
    # Stretches that follow one another are one run: its first names it.
    first = np.append(True, np.diff(hit) > 1)[: len(hit)]
    return inside, seen[hit[first]]


def _counted(grams: Ints) -> tuple[Ints, Ints]:
    """Return the different ones, ascending, and how often each occurs: `np.unique`, faster."""
    ordered = np.sort(grams)
    is_new = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    begins = is_new.nonzero()[0]
    counts = np.full(len(begins), len(ordered), dtype=np.int32)
    counts[:-1] = begins[1:]
    return ordered[begins], counts - begins.astype(np.int32)


def _grams(hashes: Hashes, shared: Hashes) -> Ints:
    """Return the buckets of a text's n-grams, and of the shared runs that were cut from it."""
    inside, runs = _cover(hashes, shared)
    if not len(runs):
        return buckets(hashes, BITS)
    return np.concatenate([buckets(hashes[~inside], BITS), window_bucket(runs, BITS)])
