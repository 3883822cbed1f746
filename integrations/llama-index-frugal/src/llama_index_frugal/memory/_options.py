"""`Options` of a memory, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from pydantic import BaseModel, ConfigDict, Field

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Compactor, Summarizer, head_key
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import CompactionPolicy, Lengths
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._about import facts_of, who_answers
from llama_index_frugal._likeness import EmbedTexts
from llama_index_frugal._vectors import vectors_of
from llama_index_frugal.memory._asking import Asks
from llama_index_frugal.memory._messages import Head, Pin


def _live(default: Any = None) -> Any:
    """A field for an object: not written down, and given anew to what is read; nor printed, as LLMs
    print their keys."""
    return Field(default=default, exclude=True, repr=False)


class Options(BaseModel):
    """What a `SummarizingMemory` and a `compacting_llm` decide by."""

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)

    policy: CompactionPolicy = Field(default_factory=CompactionPolicy)
    model: str = ""
    provider: str = ""
    system_prompt: str | None = None
    recall_tokens: int = 4_000
    alike: float | None = None
    cache_ttl: Literal["", "5m", "1h"] = ""

    llm: LLM | None = _live()
    summarizer: LLM | Literal["same"] | None = _live()
    tools: Sequence[Any] = _live(())
    archive: Archive | None = _live()
    lengths: Lengths | None = _live()
    counter: TokenCounter | None = _live()
    prices: PriceBook | None = _live()
    on_compaction: Callable[[Compaction], None] | None = _live()
    pin: Pin | None = _live()
    embedder: BaseEmbedding | EmbedTexts | None = _live()


def compactor_of(options: Options, summarizer: Summarizer | None) -> Compactor:
    return Compactor(
        _within_window(options.policy, options.llm),
        summarizer=summarizer,
        recall_tokens=options.recall_tokens,
        embedder=vectors_of(options.embedder),
        alike=options.alike,
        cache_ttl=options.cache_ttl or own_ttl(options.llm),
        archive=options.archive,
        lengths=options.lengths,
        counter=options.counter,
        prices=options.prices,
        on_compaction=options.on_compaction,
    )


def head_of(options: Options) -> Head:
    system = options.system_prompt
    facts = RequestFacts(
        messages=(MessageFacts(role="system", text=system),) if system else (),
        tools=tuple(facts_of(tool) for tool in options.tools),
    )
    return Head(facts, head_key(facts))


def summarizer_of(
    options: Options, model: str, provider: str
) -> tuple[Asks | None, Summarizer | None]:
    llm = options.summarizer
    if llm is None:
        return None, None
    if isinstance(llm, LLM):
        name, of = who_answers(llm)
        return Asks(llm), Summarizer(model=name, provider=of)
    if options.llm is None:
        return None, None  # of a memory that was read and has not been given its LLM
    known = options.system_prompt is not None
    asks = Asks(options.llm, tools=options.tools, system_prompt=options.system_prompt or "")
    return asks, Summarizer(model=model, provider=provider, answers=known)


def _within_window(policy: CompactionPolicy, llm: LLM | None) -> CompactionPolicy:
    """The policy with a limit, if the LLM has one and the policy does not."""
    if policy.limit_tokens is not None or llm is None:
        return policy
    try:
        window = llm.metadata.context_window
    except Exception:  # a model that is newer than its class
        return policy
    return policy.within(window)


def own_ttl(llm: LLM | None) -> Literal["", "5m"]:
    """Anthropic's class marks messages while it sends them, if it is told which; so does an LLM of
    `cached_llm`."""
    marks = bool(str(getattr(llm, "frugal_cache_ttl", "")))
    return "5m" if marks or getattr(llm, "cache_idx", None) is not None else ""
