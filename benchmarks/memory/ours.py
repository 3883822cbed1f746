"""This library's memory, behind the same protocol as the peers."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from frugal_chains.dispatch import Compactor, History, Summarizer, SummaryRequest, Turn, message_key
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts
from frugal_chains.memory import (
    CompactionPolicy,
    ConversationFacts,
    HeldMessage,
    MemoryState,
    MemoryTerms,
    Shown,
    SummaryWay,
    decide,
)
from frugal_chains.pricing import CacheTerms, PriceBook, TokenPrices
from frugal_chains.tokens import TokenCount, TokenCounter
from memory.caches import Breakpoints, PriceModel
from memory.protocol import Block, Conversation, Request
from memory.tokens import count, filler
from memory.traffic import ASSISTANT_TOKENS, SYSTEM_TOKENS, USER_TOKENS, block

OURS: Final = "ours"
"""As it is by default: sentences are picked, no model writes summaries."""
OURS_ASKING: Final = "ours with a model's summaries"
EITHER: Final = (OURS, OURS_ASKING)
_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "Sonnet": ("anthropic", "claude-sonnet-4-5"),
    "Sonnet 5.5": ("anthropic", "claude-sonnet-5"),
    "Haiku 4.5": ("anthropic", "claude-haiku-4-5"),
    "GPT-4o": ("openai", "gpt-4o"),
    "GPT-5.x": ("openai", "gpt-5.1"),
    "gpt-6-sol": ("openai", "gpt-6-sol"),
    "DeepSeek": ("deepseek", "deepseek-v4-flash"),
    "uncached": ("mistral", "mistral-large"),
}
"""Who answers, by price model: by these names the library knows the rules of its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Compaction with 2,000 recent tokens verbatim, and recall where a question needs it."""

    priced: bool = True
    summary_tokens: int = CompactionPolicy().summary_tokens
    """Of one summary segment, at most."""
    kept_tokens: int = 2000
    recall_tokens: int = 4000
    """What may be recalled for one call, where the call needs it."""
    asks: bool = False
    """Whether the model that answers writes the summaries."""

    @staticmethod
    def summary_default() -> int:
        """Tokens of one segment, by default."""
        return CompactionPolicy().summary_tokens

    @property
    def name(self) -> str:
        return OURS_ASKING if self.asks else OURS

    def requests(self, conversation: Conversation, model: PriceModel) -> Iterable[Request]:
        return _Player(self, conversation, model).requests()


class Counter(TokenCounter):
    """Tokens as the benchmark counts them, for every model, without framing."""

    def count_text(self, text: str, *, model: str, provider: str | None = None) -> TokenCount:
        return _counted(count(text))

    def text_counter(self, *, model: str, provider: str | None = None) -> Callable[[str], int]:
        return count

    def count_request(
        self, facts: RequestFacts, *, model: str, provider: str | None = None
    ) -> TokenCount:
        texts = [each.text for each in facts.messages]
        texts += [f"{c.name} {c.arguments}" for each in facts.messages for c in each.tool_calls]
        return _counted(sum(map(count, texts)))


def _counted(tokens: int) -> TokenCount:
    return TokenCount(tokens=tokens, exact=True, method="encoding", headroom_tokens=0, factor=1.0)


class _Player:
    """Plays one conversation."""

    def __init__(self, ours: Ours, conversation: Conversation, model: PriceModel) -> None:
        self._ours, self._conversation = ours, conversation
        self._provider, self._model = _NAMES[model.name]
        self._now_s, self._ttl_s = 0.0, model.rules.ttl_s if model.rules else 0.0
        long = ours.summary_tokens
        asked = Summarizer(model=self._model, provider=self._provider, answers=True)
        self._compactor = Compactor(
            CompactionPolicy(
                keep_tokens=ours.kept_tokens,
                summary_tokens=long,
                segments_tokens=8 * long,
            ),
            summarizer=asked if ours.asks else None,
            recall_tokens=ours.recall_tokens,
            cache_ttl="5m" if isinstance(model.rules, Breakpoints) else "",  # it marks them
            counter=Counter(),
            prices=_prices(self._provider, self._model, model),
            clock=lambda: self._now_s,
        )
        self._rng = random.Random(conversation.name)
        self._facts: list[MessageFacts] = []
        self._blocks: list[Block] = []
        self._keys: list[str] = []

    def requests(self) -> Iterator[Request]:
        state = MemoryState()
        for step in self._conversation.steps():
            self._now_s = 1_790_000_000 + step.at_s
            for message in step.new:
                self._add(message)
            flow = self._compactor.turn(self._history(), state)
            answer: str | None = None
            while True:
                try:
                    asked = next(flow) if answer is None else flow.send(answer)
                except StopIteration as end:
                    turn: Turn = end.value
                    break
                answer = filler(asked.limit_tokens, self._rng)
                yield self._summary(asked, answer, step.turn, step.at_s, state)
            state = turn.state
            yield self._answer(turn, step.turn, step.at_s)
            self._add(step.answer)

    def _history(self) -> History:
        head = tuple(_facts(each) for each in self._conversation.head)
        return History(
            keys=self._keys,
            message=self._facts.__getitem__,
            head=RequestFacts(messages=head),
            head_key="head",
            model=self._model,
            provider=self._provider,
        )

    def _add(self, message: Block) -> None:
        facts = _facts(message)
        self._blocks.append(message)
        self._facts.append(facts)
        self._keys.append(message_key(facts, str(len(self._keys))))

    def _summary(
        self, asked: SummaryRequest, answer: str, turn: int, at_s: float, state: MemoryState
    ) -> Request:
        # A flat prompt is a request of its own, without the conversation's tools and instructions.
        front = [*self._conversation.head] if asked.kind == "aligned" else []
        ended = {at for at, used_s in state.account.ends if self._now_s - used_s <= self._ttl_s}
        kept = len(front) - 1
        for shown in asked.view:
            front.append(self._shown(shown))
            if shown.position is None or shown.position + 1 in ended:
                kept = len(front) - 1
        return Request(
            blocks=(*front, block("user", asked.prompt, kind="instruction")),
            turn=turn,
            at_s=at_s,
            purpose="summary",
            output_tokens=count(answer),
            # Where the cache has an entry: it is read, and nothing is written.
            marks=(kept,) if kept >= 0 else (),
        )

    def _answer(self, turn: Turn, number: int, at_s: float) -> Request:
        blocks = [*self._conversation.head]
        marks: set[int] = {len(blocks) - 1} if blocks else set()
        stable = None
        for shown in turn.view:
            blocks.append(self._shown(shown))
            if shown.segment is not None:
                marks = (
                    {*marks, len(blocks) - 1} if len(marks) < 2 else {min(marks), len(blocks) - 1}
                )
            if shown.position == turn.question and turn.recalled:
                stable = len(blocks) - 1
                blocks.append(block("user", turn.recalled, kind="recall"))
        marks.add(len(blocks) - 1 if stable is None else stable)
        if stable is not None and stable < len(blocks) - 2:
            marks.add(len(blocks) - 1)  # calls of tools behind it
        return Request(blocks=tuple(blocks), turn=number, at_s=at_s, marks=tuple(sorted(marks)))

    def _shown(self, shown: Shown) -> Block:
        if shown.position is not None:
            return self._blocks[shown.position]
        return block("user", shown.segment.text if shown.segment else "", kind="summary")


def prices_of(model: PriceModel) -> tuple[str, str, PriceBook]:
    """Provider and model as the library knows them, and a book with the model's prices."""
    provider, name = _NAMES[model.name]
    return provider, name, _prices(provider, name, model)


def _facts(message: Block) -> MessageFacts:
    calls = tuple(
        ToolCallFacts(name=call.name, arguments=call.arguments, id=call.id)
        for call in message.calls
    )
    return MessageFacts(
        role=message.role, text=message.text, tool_calls=calls, tool_call_id=message.answers
    )


@cache
def _prices(provider: str, name: str, model: PriceModel) -> PriceBook:
    """The price model, as a user's own prices."""
    million = model.input_nanos / 1000
    lines = {
        "input": million,
        "output": million * model.output,
        "cache_read": million * model.read,
        "cache_write_5m": million * model.write,
    }
    text = f"[[price]]\nprovider = {json.dumps(provider)}\nmodel = {json.dumps(name)}\n"
    text += "".join(f"{key} = {value:.6g}\n" for key, value in lines.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.toml"
        path.write_text(text, encoding="utf-8")
        return PriceBook.load(path)


def decision(messages: int) -> Callable[[], object]:
    """One decision over a history of so many messages: what `--part decision` times."""
    prices = TokenPrices(fresh=3000, cache_read=300, cache_write=3750, output=15_000)
    way = SummaryWay(kind="aligned", instruction_tokens=86, prices=prices)
    cached = CacheTerms(prices=prices, min_tokens=1024)
    terms = MemoryTerms(cache=cached, ttl_s=300, ways=(way,))
    sizes = (USER_TOKENS, ASSISTANT_TOKENS)
    held = [
        HeldMessage(role=("user", "assistant")[at % 2], tokens=sizes[at % 2], key=f"{at}:{at:08x}")
        for at in range(messages)
    ]
    facts = ConversationFacts(messages=held, head_tokens=SYSTEM_TOKENS, head="head")
    state, policy = MemoryState(), CompactionPolicy()
    return lambda: decide(facts, state, terms, policy, now_s=1_790_000_000)


def put(messages: int) -> Callable[[], object]:
    """A new memory that takes so many messages, one after another."""
    from llama_index.core.base.llms.types import ChatMessage, MessageRole

    from llama_index_frugal import SummarizingMemory

    roles: Sequence[MessageRole] = (MessageRole.USER, MessageRole.ASSISTANT)
    made = [ChatMessage(role=roles[at % 2], content=f"message {at}") for at in range(messages)]

    def take() -> object:
        memory = SummarizingMemory.from_defaults()
        for message in made:
            memory.put(message)
        return memory

    return take
