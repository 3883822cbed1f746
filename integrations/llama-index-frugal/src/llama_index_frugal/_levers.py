"""`levers`: what `frugal whatif` has written, around an LLM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from llama_index.core.llms import LLM
from llama_index.core.tools import BaseTool, FunctionTool

from frugal_chains.pricing import PriceBook
from llama_index_frugal._about import who_answers
from llama_index_frugal._task_models import task_models
from llama_index_frugal.compression import compressed_tools
from llama_index_frugal.memory import SummarizingMemory, compacting_llm
from llama_index_frugal.prompt_cache import cached_llm
from llama_index_frugal.routing import TaskLLM

if TYPE_CHECKING:
    from frugal_chains.replay import Memory, Setup

logger = logging.getLogger("llama_index_frugal")

Tool = BaseTool | Callable[..., Any]
"""What agents take for a tool."""

_ROUTER: Final = "RoutingLLM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """An LLM, and what stands around it, as a setup says. Made by `levers`."""

    llm: LLM
    """Routes by task, compacts each request and marks it, as far as the setup says so."""
    setup: Setup = field(repr=False)
    own: LLM = field(repr=False)
    """As it was given."""
    prices: PriceBook | None = field(default=None, repr=False)

    def tools(self, tools: Iterable[Tool], *, exclude: Collection[str] = ()) -> list[BaseTool]:
        """An agent's tools, whose outputs are compressed once, when they enter a conversation.

        Tokens are those of the LLM as it was given.

        Args:
            tools: Tools, or functions that are made tools.
            exclude: Names of tools whose outputs are needed to the letter.

        Raises:
            CompressionError: a budget below 1 token.
        """
        outputs = self.setup.compression
        if outputs is None:
            return [t if isinstance(t, BaseTool) else FunctionTool.from_defaults(t) for t in tools]
        model, provider = who_answers(self.own)
        return compressed_tools(
            tools, outputs.budget_tokens, exclude=exclude, model=model, provider=provider,
            prices=self.prices,
        )  # fmt: skip

    def memory(self, **options: Any) -> SummarizingMemory | None:
        """A chat memory with the setup's policy, which keeps every message and the state of its
        compactions, to be saved; None, which engines and agents take for their own: it is off.

        `llm` compacts by itself what it is sent, and is what was replayed; a memory that sends
        everything is enough for it. Of a conversation that this one has shortened already it takes
        out what has come since.

        Args:
            options: Of `SummarizingMemory.from_defaults`; those of the setup need not be given.

        Raises:
            MemoryPlanError: an option that does not exist.
        """
        memory = self.setup.memory
        if memory is None:
            return None
        given: dict[str, Any] = {
            "llm": self.own, "policy": memory.policy, "recall_tokens": memory.recall_tokens,
            "cache_ttl": self.setup.cache_ttl, "prices": self.prices,
        }  # fmt: skip
        return SummarizingMemory.from_defaults(**{**given, **options})


def levers(
    setup: str | Path | Setup,
    llm: LLM,
    *,
    models: Mapping[str, LLM] | None = None,
    task_tags: Sequence[str] | None = None,
    prices: PriceBook | None = None,
) -> Levers:
    """The levers of a file that `frugal whatif --out` has written, around an LLM.

        own = levers("frugal.toml", OpenAI("gpt-4o"))
        agent = FunctionAgent(llm=own.llm, tools=own.tools([search]))
        engine = index.as_query_engine(llm=own.llm)

    They do what was replayed, in the order in which it was played:

    - `[compression]`, in `tools`: what tools return is compressed once, when it enters the
      conversation; without `budget_tokens` nothing is lost.
    - `[routing.by_task]`, in `llm`: calls of these tasks go to these models, all others to the LLM
      that is given, which also answers where a task's model fails. Say the task as in the books
      that were replayed: `track_cost(task="sort mail")`, or `instrument_tags({"task": ...})`.
    - `[memory]`, in `llm`: each request is compacted where that pays (`compacting_llm`), by
      sentences that are picked; no model is asked for summaries. Give agents a memory that sends
      everything, or `memory()`.
    - `[prompt_cache]`, in `llm`: what is really sent is marked (`cached_llm`).
    - `[batch]` cannot be switched on in a live application, and a line in the log says so:
      `frugal_chains.replay.read_setup(path).batch.tasks` names the tasks whose calls may wait for
      the provider's batch interface (None: all).

    Args:
        setup: The file, or what `read_setup` has read of it.
        llm: Who answers what no task sends elsewhere. It is not changed.
        models: LLMs of `[routing.by_task]` by their names in the file, such as
            `{"openai:gpt-4o-mini": OpenAI("gpt-4o-mini", ...)}`, with your own settings; OpenAI's
            and Anthropic's are made where they are not given.
        task_tags: Names of tags that say what a call is for, the most telling first; None: those of
            a replayed ledger, `task` and `feature`.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        ReplayError: the file cannot be read, or says something that is not understood; or the setup
            has the policy of a router, which no file has.
        RoutingError: a model cannot be made, or `models` has one that the file does not name.
    """
    from frugal_chains.replay import TASK_TAGS, Setup  # it brings numpy

    given = setup if isinstance(setup, Setup) else _read(setup)
    by_task = task_models(given.routing, models or {})
    made = _wrapped(llm, given, prices)
    if by_task:
        made = TaskLLM(
            made,
            {task: _wrapped(each, given, prices) for task, each in by_task.items()},
            task_tags=TASK_TAGS if task_tags is None else task_tags,
            any_size=given.memory is not None,
            prices=prices,
        )
    if given.batch is not None:
        logger.info(
            "levers: [batch] does nothing in a live application; read_setup(...).batch.tasks names "
            "the tasks whose calls may wait for the provider's batch interface"
        )
    return Levers(llm=made, setup=given, own=llm, prices=prices)


def _wrapped(llm: LLM, setup: Setup, prices: PriceBook | None) -> LLM:
    """What is sent is compacted first, then marked; a router's models each by themselves."""
    if llm.class_name() == _ROUTER:
        return cast(LLM, cast(Any, llm).with_models(lambda model: _wrapped(model, setup, prices)))
    marks, memory = setup.prompt_cache, setup.memory
    if marks is not None:
        llm = cached_llm(llm, ttl=marks.ttl, may_reorder=False, prices=prices)
    return llm if memory is None else _compacting(llm, memory, setup.cache_ttl, prices)


def _compacting(
    llm: LLM, memory: Memory, cache_ttl: Literal["", "5m", "1h"], prices: PriceBook | None
) -> LLM:
    return compacting_llm(
        llm,
        memory.policy,
        recall_tokens=memory.recall_tokens,
        cache_ttl=cache_ttl,
        prices=prices,
    )


def _read(path: str | Path) -> Setup:
    from frugal_chains.replay import read_setup

    return read_setup(path)
