"""What is skipped because no name of a usage is in it has none that any detector asks for."""

from __future__ import annotations

import pytest

from frugal_chains.usage._read import SHAPE_NAMES, SHAPES


class Asked:
    """Fields that have nothing, and remember what they were asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def has(self, *names: str) -> bool:
        self.names.update(names)
        return False


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_every_name_that_a_detector_asks_for_first_is_known(number: int) -> None:
    detects, _ = SHAPES[number]
    asked = Asked()
    assert not detects(asked)  # type: ignore[arg-type]
    assert asked.names
    assert asked.names <= SHAPE_NAMES
