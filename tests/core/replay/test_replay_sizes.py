"""Sizes of blocks, told from what a provider has billed for requests."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frugal_chains.dispatch import PromptBlock
from frugal_chains.replay import PromptPart
from frugal_chains.replay._prompt import Kind, Prompt, Traits
from frugal_chains.replay._sizes import Sizes

TRUE = {"tools": 1.6, "system": 1.0, "user": 0.9, "assistant": 1.1, "tool": 1.5}
"""Tokens of a provider for one that is counted here."""


def prompt(blocks: list[tuple[int, Kind, int]]) -> Prompt:
    return Prompt(
        tuple(PromptBlock(kind="message", text=str(key)) for key, _, _ in blocks),
        tuple(PromptPart(key, tokens) for key, _, tokens in blocks),
        tuple(Traits(kind, 4 * tokens, 0) for _, kind, tokens in blocks),
    )


def billed(blocks: list[tuple[int, Kind, int]]) -> int:
    return round(sum(TRUE[kind] * tokens for _, kind, tokens in blocks))


KINDS = st.sampled_from(("user", "assistant", "tool"))


@example([[("assistant", 236)], [("user", 1), ("tool", 66)], [("user", 1)]])
@given(
    st.lists(st.lists(st.tuples(KINDS, st.integers(1, 900)), min_size=1, max_size=4), max_size=9)
)
def test_what_was_recorded_has_the_size_that_was_billed(
    turns: list[list[tuple[Kind, int]]],
) -> None:
    sizes, blocks = Sizes(), list[tuple[int, Kind, int]]([(0, "system", 1_000)])
    for turn in turns:
        blocks += [(len(blocks) + at, kind, tokens) for at, (kind, tokens) in enumerate(turn)]
        sizes.learn(prompt(blocks), billed(blocks), "c")
        assert abs(sum(part.tokens for part in sizes.of(prompt(blocks))) - billed(blocks)) <= 1


def test_what_was_never_sent_has_the_size_of_its_kind() -> None:
    sizes = Sizes()
    for talk in range(40):
        blocks: list[tuple[int, Kind, int]] = [(talk * 100, "system", 800)]
        for at in range(1, 13):
            kind: Kind = ("user", "assistant", "tool", "assistant")[at % 4]
            blocks.append((talk * 100 + at, kind, 60 + 37 * ((talk * 7 + at * 5) % 11)))
            if kind != "assistant":
                sizes.learn(prompt(blocks), billed(blocks), f"c{talk}")
    for kind in ("tool", "user", "assistant"):
        (part,) = sizes.of(prompt([(-1, kind, 1_000)]))
        assert part.tokens == pytest.approx(1_000 * TRUE[kind], rel=0.05)


def test_before_anything_is_known_it_is_what_is_counted() -> None:
    (part,) = Sizes().of(prompt([(1, "user", 77)]))
    assert part.tokens == 77


def test_a_count_that_cannot_be_is_no_lesson() -> None:
    sizes = Sizes()
    for absurd in (0, 1, 10**7):
        sizes.learn(prompt([(1, "user", 1_000)]), absurd, "c")
        assert [part.tokens for part in sizes.of(prompt([(1, "user", 1_000)]))] == [absurd]
    (part,) = sizes.of(prompt([(2, "user", 1_000)]))
    assert part.tokens == 1_000


def test_an_edited_conversation_begins_anew() -> None:
    sizes = Sizes()
    sizes.learn(prompt([(1, "user", 100), (2, "assistant", 100)]), 200, "c")
    sizes.learn(prompt([(3, "user", 100)]), 150, "c")
    assert [part.tokens for part in sizes.of(prompt([(3, "user", 100)]))] == [150]
