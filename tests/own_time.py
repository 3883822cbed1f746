"""How long a piece of code works, for limits that tell a line from a square."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def own_seconds(work: Callable[[], object]) -> float:
    """The seconds that this thread worked at it.

    What other processes do does not count. Neither does a collection of everything that a whole
    suite of tests has left behind, which alone can take as long as the shortest limit.
    """
    gc.disable()
    began = time.thread_time()
    try:
        work()
        return time.thread_time() - began
    finally:
        gc.enable()
