"""`Options` of a memory, and what follows from the LLMs among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index.core.memory.chat_memory_buffer import DEFAULT_TOKEN_LIMIT_RATIO

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Summarizer, head_key
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import CompactionPolicy, Lengths
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._about import facts_of, who_answers
from llama_index_frugal._likeness import EmbedTexts
from llama_index_frugal.memory._asking import Asks
from llama_index_frugal.memory._messages import Head, Pin


class Options(NamedTuple):
    """Those of `SummarizingMemory` that decisions need."""

    policy: CompactionPolicy
    model: str
    provider: str
    system_prompt: str | None
    recall_tokens: int
    cache_ttl: Literal["", "5m", "1h"]
    llm: LLM | None
    summarizer: LLM | Literal["same"] | None
    tools: Sequence[Any]
    archive: Archive | None
    lengths: Lengths | None
    counter: TokenCounter | None
    prices: PriceBook | None
    on_compaction: Callable[[Compaction], None] | None
    pin: Pin | None
    embedder: BaseEmbedding | EmbedTexts | None
    alike: float | None


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


def within_window(policy: CompactionPolicy, llm: LLM | None) -> CompactionPolicy:
    """The policy with a limit, if the LLM has one and the policy does not."""
    if policy.limit_tokens is not None or llm is None:
        return policy
    try:
        window = llm.metadata.context_window
    except Exception:  # a model that is newer than its class
        return policy
    limit = int(window * DEFAULT_TOKEN_LIMIT_RATIO)
    return replace(policy, limit_tokens=limit) if limit > 0 else policy


def own_ttl(llm: LLM | None) -> Literal["", "5m"]:
    """Anthropic's class marks messages while it sends them, if it is told which; so does an LLM of
    `cached_llm`."""
    marks = bool(str(getattr(llm, "frugal_cache_ttl", "")))
    return "5m" if marks or getattr(llm, "cache_idx", None) is not None else ""
