"""What holds of every decision, whatever the conversation looks like."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.facts import Role
from frugal_chains.memory import (
    CompactionPolicy,
    ConversationFacts,
    Decision,
    HeldMessage,
    MemoryState,
    MemoryTerms,
    RentEqualsBuy,
    Segment,
    WaterMark,
    decide,
    view,
    with_segment,
)
from tests.core.memory.conversations import MODELS, Model, refused

LEAST_TOKENS = 64
"""A message that does not fit is not cut any shorter (documented in `docs/notes/memory.md`)."""

SIZES = st.sampled_from((0, 1, 63, 64, 65, 300, 1_000, 3_000)) | st.integers(0, 50_000)
IDS = st.sampled_from(("a", "b", "c", ""))


@st.composite
def some_messages(draw: st.DrawFn) -> list[HeldMessage]:
    """A few messages that may follow any others; keys are given later."""
    kind = draw(st.sampled_from(("plain", "plain", "tools", "tools", "odd", "waiting")))
    if kind == "plain":
        roles: tuple[Role, ...] = ("user", "assistant", "user", "assistant", "system")
        return [
            HeldMessage(role=draw(st.sampled_from(roles)), tokens=draw(SIZES), pinned=pinned)
            for pinned in draw(st.lists(st.sampled_from((False,) * 6 + (True,)), max_size=4))
        ]
    calls = tuple(draw(st.lists(IDS, min_size=1, max_size=3)))
    asked = HeldMessage(role="assistant", tokens=draw(SIZES), calls=calls)
    results = list(draw(st.permutations(calls)))
    if kind == "waiting":
        results = results[: draw(st.integers(0, len(results)))]
    if kind == "odd":
        results = draw(st.lists(IDS, max_size=4))
    pinned = draw(st.sampled_from((False,) * 9 + (True,)))
    made = [
        asked,
        *(HeldMessage(role="tool", tokens=draw(SIZES), answers=id) for id in results),
    ]
    if pinned:
        at = draw(st.integers(0, len(made) - 1))
        made[at] = replace(made[at], pinned=True)
    if kind == "odd" and draw(st.booleans()):
        return made[1:] + made[:1]
    return made


@dataclass(frozen=True)
class Step:
    """What happens before a call."""

    more: list[HeldMessage]
    edited: int | None
    removed: int | None
    seconds: float
    head: str
    tail: int
    fails: bool
    summary: float
    """Of the tokens that the segment may have."""


STEPS = st.lists(
    st.builds(
        Step,
        more=some_messages(),
        edited=st.none() | st.none() | st.integers(0, 60),
        removed=st.none() | st.none() | st.none() | st.integers(0, 60),
        seconds=st.sampled_from((1.0, 10.0, 400.0, -10_000.0, 1e9)),
        head=st.sampled_from(("h", "h", "h", "other")),
        tail=st.sampled_from((0, 0, 500)),
        fails=st.sampled_from((False, False, False, True)),
        summary=st.sampled_from((1.0, 0.5, 0.0)),
    ),
    max_size=14,
)

POLICIES = st.builds(
    CompactionPolicy,
    trigger=st.sampled_from(
        (RentEqualsBuy(), RentEqualsBuy(regret=100.0, first=0.01), WaterMark(high_tokens=500))
    ),
    keep_tokens=st.sampled_from((1, 300, 2_000)),
    summary_tokens=st.just(100),
    segments_tokens=st.sampled_from((200, 800)),
    least_dropped_tokens=st.sampled_from((1, 300)),
    limit_tokens=st.none() | st.sampled_from((400, 3_000, 20_000)),
)


@dataclass
class Talk:
    """A conversation that goes on, and its memory; every step is checked."""

    policy: CompactionPolicy
    terms: MemoryTerms
    messages: list[HeldMessage] = field(default_factory=list)
    state: MemoryState = field(default_factory=MemoryState)
    now_s: float = 1e6
    number: int = 0
    seen: list[tuple[str, int]] = field(default_factory=list)
    """The last view: key or text, and tokens."""
    broken: set[str] = field(default_factory=set)
    """Keys of what no provider takes, or has taken."""

    def key(self) -> str:
        self.number += 1
        return f"k{self.number}"

    def take(self, step: Step) -> None:
        before, edited = list(self.messages), False
        if step.edited is not None and step.edited < len(before):
            self.messages[step.edited] = replace(before[step.edited], key=self.key())
            edited = True
        if step.removed is not None and step.removed < len(self.messages):
            del self.messages[step.removed]
            edited = True
        self.messages += [replace(message, key=self.key()) for message in step.more]
        self.now_s += step.seconds
        self._decide(step, edited=edited)

    def _decide(self, step: Step, *, edited: bool) -> None:
        given, copies = self.state, list(self.messages)
        facts = ConversationFacts(
            messages=self.messages, head_tokens=200, head=step.head, tail_tokens=step.tail
        )
        decision = decide(facts, given, self.terms, self.policy, now_s=self.now_s)
        again = decide(facts, given, self.terms, self.policy, now_s=self.now_s)
        assert decision == again
        assert self.messages == copies
        self.broken |= {self.messages[at].key for at in decision.broken}
        self.state = decision.state
        if decision.plan is not None and not step.fails:
            tokens = int(step.summary * decision.plan.segment_tokens)
            self.state = with_segment(decision, f"text {self.number}", tokens)
        carried_out = self.state is not decision.state
        for state in (decision.state, self.state):
            self._check_view(state, decision, step)
            assert MemoryState.from_json(json.loads(json.dumps(state.to_json()))) == state
        self._check_nothing_is_lost(decision)
        if not edited:
            self._check_segments(given, decision, carried_out=carried_out)
        self._check_beginning(decision, edited=edited, carried_out=carried_out)

    def _check_view(self, state: MemoryState, decision: Decision, step: Step) -> None:
        messages, broken = self.messages, decision.broken
        shown = list(view(state, len(messages), broken))
        places = [one.position for one in shown if one.position is not None]
        assert len(places) == len(set(places))
        covered = set(range(state.end)) if state.segments else set()
        assert covered | set(places) | broken == set(range(len(messages)))
        sent = [
            messages[one.position]
            if one.position is not None
            else HeldMessage(role="user", tokens=0, key="segment")
            for one in shown
        ]
        assert refused(sent) == ""
        asked = [at for at, message in enumerate(messages) if message.role == "user"]
        assert not asked or asked[-1] in places
        for at, message in enumerate(messages):
            if (message.pinned or message.role == "system") and message.key not in self.broken:
                assert at in places
        self._check_limit(state, places, step)

    def _check_limit(self, state: MemoryState, places: list[int], step: Step) -> None:
        limit = self.policy.limit_tokens
        if limit is None:
            assert state.shortened == ()
            return
        sizes = {at: self._sent(state, at) for at in places}
        total = 200 + step.tail + sum(sizes.values()) + sum(one.tokens for one in state.segments)
        longest = max(
            (
                size
                for at, size in sizes.items()
                if not self.messages[at].pinned and self.messages[at].role != "system"
            ),
            default=0,
        )
        assert total <= limit or longest <= LEAST_TOKENS

    def _sent(self, state: MemoryState, at: int) -> int:
        message = self.messages[at]
        return min(message.tokens, dict(state.shortened).get(message.key, message.tokens))

    def _check_nothing_is_lost(self, decision: Decision) -> None:
        plan = decision.plan
        if plan is None:
            assert decision.compacted is None
            return
        count, broken = len(self.messages), decision.broken
        old = {one.position for one in view(decision.state, count) if one.position is not None}
        after = with_segment(decision, "", 0)
        new = {one.position for one in view(after, count, broken) if one.position is not None}
        assert old - new - set(plan.summarize) <= {at for at in broken if at >= plan.end}
        assert set(plan.summarize) <= old
        assert not set(plan.summarize) & new
        assert list(plan.summarize) == sorted(plan.summarize)
        assert list(plan.kept) == sorted(plan.kept)

    def _check_segments(self, given: MemoryState, decision: Decision, *, carried_out: bool) -> None:
        old, new = given.segments, self.state.segments
        if not carried_out or decision.plan is None:
            assert new == old
        elif decision.plan.merge:
            assert len(new) == 1
        else:
            assert new[:-1] == old
        assert _text_bytes(new[: len(old)]) == _text_bytes(old) or (
            decision.plan is not None and decision.plan.merge
        )

    def _check_beginning(self, decision: Decision, *, edited: bool, carried_out: bool) -> None:
        """Between two compactions a view only grows, but for what has turned out to be broken."""
        state, count = self.state, len(self.messages)
        now: list[tuple[str, int]] = []
        for one in view(state, count, decision.broken):
            if one.segment is not None:
                now.append((one.segment.text, one.segment.tokens))
            elif one.position is not None:
                now.append((self.messages[one.position].key, self._sent(state, one.position)))
        broken = {self.messages[at].key for at in decision.broken}
        was = [(key, size) for key, size in self.seen if key not in broken]
        cut = {key for key, _ in state.shortened}
        if not edited and not carried_out and not cut & {key for key, _ in was}:
            assert now[: len(was)] == was
        self.seen = now


def _text_bytes(segments: tuple[Segment, ...]) -> bytes:
    return "\0".join(f"{one.id} {one.text}" for one in segments).encode()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    policy=POLICIES,
    model=st.sampled_from(MODELS),
    kinds=st.sampled_from((("aligned",), ("digest",), ("aligned", "flat"))),
)
def test_nothing_is_lost_and_nothing_refused(
    steps: list[Step], policy: CompactionPolicy, model: Model, kinds: tuple[str, ...]
) -> None:
    talk = Talk(policy, model.terms(*kinds))
    for step in steps:
        talk.take(step)
