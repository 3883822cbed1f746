"""When a task counts as moderate or complex: one table, and the reason for every number.

A task is a group of calls; of every signal its median is looked at: what half of the calls reach
or pass. The class is the highest that any signal reaches, simple where none reaches one.

The numbers are conventions of size and shape, not measurements of quality: a long answer may be
easy, and a short one may be wrong. They say where to begin to measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

TaskClass = Literal["simple", "moderate", "complex"]
CLASSES: Final[tuple[TaskClass, ...]] = ("simple", "moderate", "complex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A signal, and the medians from which on a task is moderate or complex by it."""

    signal: str
    what: str
    """The signal in words."""
    moderate: int
    complex: int
    why: str


THRESHOLDS: Final[tuple[Threshold, ...]] = (
    Threshold(
        signal="reasoning_tokens", what="reasoning tokens", moderate=1, complex=2_000,
        why="whoever turns reasoning on found the task to need it; 2,000 tokens are several pages "
        "of it",
    ),
    Threshold(
        signal="tool_results", what="tool results in the request", moderate=1, complex=6,
        why="the model works in steps and has to carry their results; from six on it plans",
    ),
    Threshold(
        signal="tools", what="tools offered", moderate=1, complex=12,
        why="choosing a tool and filling in its arguments is a second task; with a dozen the "
        "choice itself gets hard",
    ),
    Threshold(
        signal="output_tokens", what="output tokens", moderate=150, complex=600,
        why="labels, fields and one-sentence answers stay below 150 tokens, about 100 words; from "
        "600, about 450 words, it is a text or a program that has to hold together",
    ),
    Threshold(
        signal="input_tokens", what="input tokens", moderate=2_000, complex=16_000,
        why="up to 2,000 tokens are a prompt and a page; 16,000 are more than forty pages to find "
        "one's way in",
    ),
    Threshold(
        signal="longest_chars", what="characters in the longest message", moderate=6_000,
        complex=48_000,
        why="a message of pages was not typed: documents were retrieved or pasted, and the answer "
        "has to be found in them",
    ),
    Threshold(
        signal="turns", what="turns of the user", moderate=4, complex=12,
        why="later turns refer to earlier ones; from a dozen on what was agreed has to be kept",
    ),
    Threshold(
        signal="media", what="images or recordings", moderate=1, complex=5,
        why="small models read images less well than text; several have to be compared",
    ),
)  # fmt: skip
"""Those that say most stand first: the reason of a task is the first that reached its class."""

SIGNALS: Final = tuple(threshold.signal for threshold in THRESHOLDS)
NOTHING_REACHED: Final = "below every threshold: short, without tools, reasoning or documents"
SIZES_ALONE: Final = "below the thresholds of its tokens; what was sent is not recorded"
NOT_KNOWN: Final = "nothing is known of its size: taken for simple"


def classified(medians: Sequence[int | None]) -> tuple[TaskClass, str]:
    """The class of a task by its medians, one for each of `SIGNALS`, and the reason.

    None where no call of the task knows the signal.
    """
    for class_ in ("complex", "moderate"):
        for threshold, median in zip(THRESHOLDS, medians, strict=True):
            limit = threshold.complex if class_ == "complex" else threshold.moderate
            if median is not None and median >= limit:
                reason = f"{threshold.what}: median {median:,}, {class_} from {limit:,}"
                return ("complex" if class_ == "complex" else "moderate"), reason
    known = sum(median is not None for median in medians)
    if known == len(medians):
        return "simple", NOTHING_REACHED
    return "simple", SIZES_ALONE if known else NOT_KNOWN
