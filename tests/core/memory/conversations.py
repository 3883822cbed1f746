"""Conversations as a decision about memory sees them, and a provider that bills what is sent.

The provider keeps its own books: it compares prompts block by block and knows nothing of
`CacheTerms`. What is checked with it would also come out if the project's arithmetic were wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from frugal_chains.memory import (
    BEYOND_TOKENS,
    CompactionPolicy,
    ConversationFacts,
    Decision,
    HeldMessage,
    Lengths,
    MemoryState,
    MemoryTerms,
    SummaryWay,
    decide,
    decide_idle,
    view,
    with_segment,
)
from frugal_chains.pricing import CacheTerms, TokenPrices


@dataclass(frozen=True)
class Model:
    """Prices in units of one fresh input token."""

    name: str
    read: float
    write: float
    output: float
    least: int = 1_024
    """A shorter prompt is not cached."""

    @property
    def prices(self) -> TokenPrices:
        return TokenPrices(
            fresh=1.0, cache_read=self.read, cache_write=self.write, output=self.output
        )

    def terms(self, *kinds: str, instruction: int = 50, ttl_s: float = 300.0) -> MemoryTerms:
        """With an aligned summariser of the same model, unless others are named."""
        made = {
            "digest": SummaryWay(kind="digest"),
            "aligned": SummaryWay(
                kind="aligned", instruction_tokens=instruction, prices=self.prices
            ),
            "flat": SummaryWay(kind="flat", instruction_tokens=instruction, prices=self.prices),
        }
        return MemoryTerms(
            cache=CacheTerms(prices=self.prices, min_tokens=self.least),
            ttl_s=ttl_s,
            ways=tuple(made[kind] for kind in kinds or ("aligned",)),
        )


SONNET = Model("sonnet", read=0.1, write=1.25, output=5)
HALF_SONNET = Model("half-sonnet", read=0.05, write=1.25, output=5)
HAIKU = Model("haiku", read=0.1, write=1.25, output=5, least=4_096)
GPT_4O = Model("gpt-4o", read=0.5, write=1.0, output=4)
GPT_5 = Model("gpt-5", read=0.1, write=1.0, output=8)
GPT_6 = Model("gpt-6", read=0.1, write=1.25, output=5)
DEEPSEEK = Model("deepseek", read=0.02, write=1.0, output=2, least=64)
UNCACHED = Model("uncached", read=1.0, write=1.0, output=5, least=0)
MODELS = (SONNET, HALF_SONNET, HAIKU, GPT_4O, GPT_5, GPT_6, DEEPSEEK, UNCACHED)

PLAIN = CompactionPolicy(
    keep_tokens=2_000, summary_tokens=100, segments_tokens=800, least_dropped_tokens=300
)
"""The default trigger with the sizes that the arithmetic of these tests has."""

Block = tuple[str, int]
"""A part of a prompt that is sent as a whole: what it says, and its tokens."""


class Provider:
    """Bills prompts by the longest beginning that the cache has of an earlier one."""

    def __init__(self, model: Model, ttl_s: float = 300.0) -> None:
        self.model, self.ttl_s = model, ttl_s
        self.kept: list[Block] = []
        self.used_at_s = 0.0

    def bill(self, prompt: list[Block], at_s: float) -> float:
        """Of a call; its prompt is cached."""
        model, tokens, read = self.model, sum(size for _, size in prompt), self._read(prompt, at_s)
        self.kept, self.used_at_s = prompt, at_s
        if tokens < model.least:
            return float(tokens)
        return read * model.read + (tokens - read) * model.write

    def summary(self, prompt: list[Block], instruction: int, answer: int, at_s: float) -> float:
        """Of an aligned request for a summary: nothing is written to the cache."""
        tokens, read = sum(size for _, size in prompt), self._read(prompt, at_s)
        return read * self.model.read + (tokens - read + instruction) + answer * self.model.output

    def _read(self, prompt: list[Block], at_s: float) -> int:
        if at_s - self.used_at_s > self.ttl_s:
            return 0
        if prompt[: len(self.kept)] == self.kept:
            read = sum(size for _, size in self.kept)
        else:
            read = 0
            for old, new in zip(self.kept, prompt, strict=False):
                if old != new:
                    break
                read += old[1]
        return read if read >= self.model.least else 0


class MarkedProvider(Provider):
    """Keeps what ends at a mark, each for so long after its last use: behind the head, behind the
    last segment, and at the end of a call."""

    def __init__(self, model: Model, ttl_s: float = 300.0) -> None:
        super().__init__(model, ttl_s)
        self.entries: dict[tuple[Block, ...], float] = {}

    def bill(self, prompt: list[Block], at_s: float) -> float:
        model, tokens = self.model, sum(size for _, size in prompt)
        segments = [at for at, (name, _) in enumerate(prompt) if name.startswith("segment")]
        ends = [end + 1 for end in {0, *segments[-1:], len(prompt) - 1}]
        found = [self._found(prompt[:end], at_s) for end in ends]
        for entry in (*found, *(tuple(prompt[:end]) for end in ends)):
            if sum(size for _, size in entry) >= model.least:
                self.entries[entry] = at_s
        if tokens < model.least:
            return float(tokens)
        read = max(sum(size for _, size in entry) for entry in found)
        return read * model.read + (tokens - read) * model.write

    def _found(self, prompt: list[Block], at_s: float) -> tuple[Block, ...]:
        """The longest entry that is alive, of which this is a continuation."""
        for end in range(len(prompt), 0, -1):
            used_s = self.entries.get(tuple(prompt[:end]))
            if used_s is not None and at_s - used_s <= self.ttl_s:
                return tuple(prompt[:end])
        return ()

    def _read(self, prompt: list[Block], at_s: float) -> int:
        return sum(size for _, size in self._found(prompt, at_s))


@dataclass(frozen=True)
class Turn:
    """A question, its answer, and the seconds that pass before it."""

    user: int = 300
    assistant: int = 400
    gap_s: float = 10.0


@dataclass
class Outcome:
    """After each call: what a conversation has cost, and would have cost without a memory."""

    paid: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    """Tokens."""
    compacted: list[int] = field(default_factory=list)
    """Numbers of the calls."""
    state: MemoryState = field(default_factory=MemoryState)

    @property
    def ratios(self) -> list[float]:
        return [paid / whole for paid, whole in zip(self.paid, self.whole, strict=True)]

    @property
    def below_from(self) -> int:
        """The first length from which on the conversation is always cheaper than without."""
        return max((n for n, ratio in enumerate(self.ratios, 1) if ratio >= 1), default=0) + 1


def played(
    model: Model,
    turns: Iterable[Turn],
    *,
    head: int = 2_000,
    policy: CompactionPolicy | None = None,
    terms: MemoryTerms | None = None,
    lengths: Lengths | None = None,
    summary: Callable[[int], int] = lambda most: most,
    idle_share: float | None = None,
    provider: type[Provider] = Provider,
) -> Outcome:
    """A conversation with the memory and without it, call by call, at an independent provider.

    Args:
        model: Prices.
        turns: Questions and answers.
        head: Tokens of the system prompt.
        policy: None: `PLAIN`.
        terms: None: an aligned summariser of the same model.
        lengths: Of other conversations.
        summary: Tokens of a summary, by what it may have.
        idle_share: It is compacted in pauses as well, 30 seconds before the cache expires, with
            this share of people who come back.
        provider: Who bills.
    """
    policy, terms = policy or PLAIN, terms or model.terms()
    with_memory, without = provider(model), provider(model)
    result, messages, now_s = Outcome(), list[HeldMessage](), 0.0
    whole: list[Block] = [("head", head)]
    paid = plain = 0.0
    for number, turn in enumerate(turns):
        if idle_share is not None and turn.gap_s > terms.ttl_s and messages:
            early_s = now_s + terms.ttl_s - 30
            facts = ConversationFacts(messages=messages, head_tokens=head, head="h")
            decision = decide_idle(
                facts, result.state, terms, policy, now_s=early_s, return_share=idle_share
            )
            paid += _carried_out(decision, result, with_memory, facts, summary, early_s)
        now_s += turn.gap_s
        messages.append(said("user", turn.user, f"u{number}"))
        whole = [*whole, (messages[-1].key, turn.user)]
        plain += without.bill(whole, now_s)
        facts = ConversationFacts(messages=messages, head_tokens=head, head="h")
        decision = decide(
            facts, result.state, terms, policy, now_s=now_s,
            expected_calls=lengths.expected_more(number + 1) if lengths else None,
        )  # fmt: skip
        if decision.plan is not None:
            result.compacted.append(number)
        paid += _carried_out(decision, result, with_memory, facts, summary, now_s)
        prompt = blocks(result.state, messages, head)
        paid += with_memory.bill(prompt, now_s)
        result.requests.append(sum(size for _, size in prompt))
        result.paid.append(paid)
        result.whole.append(plain)
        messages.append(said("assistant", turn.assistant, f"a{number}"))
        whole = [*whole, (messages[-1].key, turn.assistant)]
    return result


def _carried_out(
    decision: Decision,
    result: Outcome,
    provider: Provider,
    facts: ConversationFacts,
    summary: Callable[[int], int],
    at_s: float,
) -> float:
    """What the summary of a decision costs, if it has a plan."""
    plan = decision.plan
    if plan is None:
        result.state = decision.state
        return 0.0
    tokens, cost = summary(plan.segment_tokens), 0.0
    # Code merges what earlier segments say: no model writes it again.
    answer = min(tokens, plan.summary_tokens)
    if plan.way.kind == "aligned":
        front = blocks(decision.state, facts.messages, facts.head_tokens, upto=plan.repeats_to)
        instruction = 50 + (BEYOND_TOKENS if plan.repeats_to > plan.end else 0)
        cost = provider.summary(front, instruction, answer, at_s)
    if plan.way.kind == "flat":
        dropped = sum(facts.messages[at].tokens for at in plan.summarize)
        cost = dropped + 50 + answer * provider.model.output
    result.state = with_segment(decision, "", tokens)
    return cost


def blocks(
    state: MemoryState, messages: Sequence[HeldMessage], head: int, *, upto: int | None = None
) -> list[Block]:
    """A view as a prompt; `upto`: without messages from there on."""
    prompt = [("head", head)]
    for shown in view(state, len(messages) if upto is None else upto):
        if shown.segment is not None:
            prompt.append((f"segment {shown.segment.id}", shown.segment.tokens))
        elif shown.position is not None:
            message = messages[shown.position]
            prompt.append((message.key, message.tokens))
    return prompt


def said(role: str, tokens: int, key: str, *, pinned: bool = False) -> HeldMessage:
    """A message without tools."""
    roles = {"user": "user", "assistant": "assistant", "system": "system"}
    return HeldMessage(role=roles[role], tokens=tokens, key=key, pinned=pinned)  # type: ignore[arg-type]


def asks(tokens: int, key: str, *ids: str, pinned: bool = False) -> HeldMessage:
    """An assistant's message that calls tools."""
    return HeldMessage(role="assistant", tokens=tokens, key=key, calls=ids, pinned=pinned)


def answers(tokens: int, key: str, to: str, *, pinned: bool = False) -> HeldMessage:
    """A tool's result."""
    return HeldMessage(role="tool", tokens=tokens, key=key, answers=to, pinned=pinned)


def tool_run(
    groups: int, *, question: int = 300, call: int = 40, result: int = 200
) -> list[HeldMessage]:
    """One question of a person, and so many calls of a tool with their results."""
    messages = [said("user", question, "q")]
    for n in range(groups):
        messages += [asks(call, f"c{n}", f"id{n}"), answers(result, f"r{n}", f"id{n}")]
    return messages


def constant(calls: int, seed: int = 0) -> list[Turn]:  # the same for every seed
    return [Turn() for _ in range(calls)]


def log_normal(calls: int, seed: int = 5) -> list[Turn]:
    """Sizes with a median of 300 and 400 tokens and a long tail."""
    rng = random.Random(seed)
    return [
        Turn(int(300 * rng.lognormvariate(0, 0.8)) + 1, int(400 * rng.lognormvariate(0, 0.8)) + 1)
        for _ in range(calls)
    ]


def bursty(calls: int, seed: int = 6) -> list[Turn]:
    """Short turns, and now and then some with long documents."""
    rng = random.Random(seed)
    turns, burst = list[Turn](), 0
    for _ in range(calls):
        burst = max(0, burst - 1) if burst else (4 if rng.random() < 0.05 else 0)
        turns.append(Turn(2_000, 600) if burst else Turn(120, 180))
    return turns


def idle_gaps(calls: int, seed: int = 7) -> list[Turn]:
    """One turn in five comes after the cache has expired."""
    rng = random.Random(seed)
    return [Turn(gap_s=3_600 if rng.random() < 0.2 else 10) for _ in range(calls)]


def short_with_pauses(calls: int, seed: int = 8) -> list[Turn]:
    """Small turns, some of them minutes apart, and a long pause now and then."""
    rng = random.Random(seed)
    gaps = [3_600.0 if rng.random() < 0.1 else rng.uniform(5, 200) for _ in range(calls)]
    return [Turn(60, 90, gap_s) for gap_s in gaps]


TRAFFIC = (constant, log_normal, bursty, idle_gaps)


def fixed_mark(
    model: Model, turns: Sequence[Turn], high: int, *, head: int = 2_000, keep: int = 2_000
) -> float:
    """What a conversation costs that is compacted whenever its history reaches `high` tokens.

    Plain arithmetic, with the same summaries: segments of 100 tokens behind the head, merged into
    one of 400 above 800, an aligned summariser with an instruction of 50 tokens; at least `keep`
    tokens stay as they are, and no fewer than the provider caches.
    """
    history, segments, cached, cost = list[int](), 0, 0, 0.0
    for turn in turns:
        if turn.gap_s > 300:
            cached = 0
        history.append(turn.user)
        if sum(history) >= high:
            merge = segments + 100 > 800
            after = 400 if merge else segments + 100
            stays, kept = len(history), 0
            while stays and kept < max(keep, model.least - head - after):
                stays -= 1
                kept += history[stays]
            dropped = sum(history) - kept
            if dropped > 100:
                prompt = head + segments + dropped
                cost += _prefix_bill(model, prompt, min(cached, prompt), 1.0)
                cost += 50 + 100 * model.output
                cached = min(cached, head if merge else head + segments)
                history, segments = history[stays:], after
        prompt = head + segments + sum(history)
        cost += _prefix_bill(model, prompt, min(cached, prompt), model.write)
        cached = prompt
        history.append(turn.assistant)
    return cost


def _prefix_bill(model: Model, tokens: int, shared: int, write: float) -> float:
    if tokens < model.least:
        return float(tokens)
    read = shared if shared >= model.least else 0
    return read * model.read + (tokens - read) * write


def refused(messages: Sequence[HeldMessage]) -> str:
    """Why a provider would answer 400 to these messages; empty: it would not.

    A result needs its call directly before it, and each call one result before the next other
    message; the last calls may still wait. What has no id is answered in order.
    """
    at = 0
    while at < len(messages):
        message = messages[at]
        at += 1
        if message.role == "tool":
            return f"result {message.key!r} has no call"
        if not message.calls:
            continue
        open_calls = list(message.calls)
        while at < len(messages) and messages[at].role == "tool":
            if messages[at].answers not in open_calls:
                return f"result {messages[at].key!r} is of no call of {message.key!r}"
            open_calls.remove(messages[at].answers)
            at += 1
        if open_calls and at < len(messages):
            return f"calls {open_calls} of {message.key!r} have no results"
    return ""
