"""The two dispatcher handlers, for applications that install their own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import PrivateAttr

from frugal_chains.budgets import Budget
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import RunningTotal, Tracker, shared_ledger
from llama_index_frugal._recorder import Recorder


class RecorderEvents(BaseEventHandler):
    """Hands events to a recorder."""

    # Read for every event of the process: pydantic takes 3 us to find a private attribute.
    __slots__ = ("recorder",)
    if TYPE_CHECKING:  # for pydantic an annotation would make it a field
        recorder: Recorder

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        object.__setattr__(self, "recorder", recorder)

    @classmethod
    def class_name(cls) -> str:
        return "CostEventHandler"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.recorder.handle(event)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copied dispatcher reports to the same books."""
        return self


class CostEventHandler(RecorderEvents):
    """Books every model call that a dispatcher announces. Needs a `CostSpanHandler` beside it:

        events = CostEventHandler(ledger, tags={"feature": "search"})
        dispatcher = get_dispatcher()
        dispatcher.add_event_handler(events)
        dispatcher.add_span_handler(CostSpanHandler(events))
        ...
        print(events.total)

    Without the span handler a wrapper LLM and the LLM inside it are booked as two calls, and
    budgets stop nothing. `track_cost` installs both by itself and removes them again.

    Args:
        ledger: Where to write; None: the ledger in use, else the one at `$FRUGAL_LEDGER`.
        budgets: Limits that hold for these calls.
        tags: Added to every attempt, beside those of LlamaIndex's `instrument_tags`.
        prices: None: list prices behind the user's `prices.toml`.
        fingerprints: Keep keyed hashes of each request on its row, no text, for `frugal cache`.
    """

    _tracker: Tracker = PrivateAttr()

    def __init__(
        self,
        ledger: Ledger | None = None,
        *,
        budgets: Sequence[Budget] = (),
        tags: Mapping[str, str] | None = None,
        prices: PriceBook | None = None,
        fingerprints: bool = False,
    ) -> None:
        tracker = Tracker(
            ledger or shared_ledger(),
            budgets=budgets,
            tags=tags,
            prices=prices,
            fingerprints=fingerprints,
        )
        super().__init__(Recorder(lambda span: (tracker,)))
        self._tracker = tracker

    @property
    def total(self) -> RunningTotal:
        """What the calls seen by this handler have spent so far."""
        return self._tracker.total

    @property
    def ledger(self) -> Ledger:
        return self._tracker.ledger


class CostSpanHandler(BaseSpanHandler[BaseSpan]):
    """Tells a `CostEventHandler` which call is made inside which, and lets its budgets stop calls.

    Args:
        events: The event handler it belongs to.
    """

    __slots__ = ("recorder",)
    if TYPE_CHECKING:
        recorder: Recorder

    def __init__(self, events: RecorderEvents) -> None:
        super().__init__()
        object.__setattr__(self, "recorder", events.recorder)

    @classmethod
    def class_name(cls) -> str:
        return "CostSpanHandler"

    # The base class keeps every span it has ever seen; these need only the open ones.

    def span_enter(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.recorder.enter_span(id_, parent_id, instance, bound_args.arguments)

    def span_exit(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        result: Any | None = None,
        **kwargs: Any,
    ) -> None:
        self.recorder.leave_span(id_, result)

    def span_drop(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        err: BaseException | None = None,
        **kwargs: Any,
    ) -> None:
        self.recorder.leave_span(id_)

    def new_span(self, *args: Any, **kwargs: Any) -> BaseSpan | None:
        return None

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> BaseSpan | None:
        return None

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> BaseSpan | None:
        return None

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copied dispatcher reports to the same books."""
        return self
