"""`Case`: a conversation at one moment, and what compacting it then would come to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from frugal_chains.memory._bill import Bill, Sizes, bill_of, sizes_of
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._front import front_of
from frugal_chains.memory._groups import Groups, group_messages
from frugal_chains.memory._keep import Split, merged, shortened_to_fit, split, still_held
from frugal_chains.memory._plan import CompactionPlan, ConversationFacts, Decision, Reason
from frugal_chains.memory._policy import CompactionPolicy
from frugal_chains.memory._state import Account, MemoryState, digests_before, still_true
from frugal_chains.memory._terms import Front, MemoryTerms


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation at one moment: its sizes, what would leave, and what that would cost."""

    facts: ConversationFacts
    messages: Sequence[HeldMessage]
    """With the sizes they have as they are sent."""
    groups: Groups
    state: MemoryState
    terms: MemoryTerms
    policy: CompactionPolicy
    sizes: Sizes
    cut: Split
    merge: bool
    shared_tokens: int
    """With so many the compacted request begins as the last one did."""
    front: Front
    """What an aligned request for the summary repeats."""
    bill: Bill

    @classmethod
    def of(
        cls,
        facts: ConversationFacts,
        state: MemoryState,
        terms: MemoryTerms,
        policy: CompactionPolicy,
        *,
        now_s: float,
    ) -> Self:
        """Everything a decision looks at; arguments as of `decide`."""
        state = still_true(state, facts.messages)
        messages = _as_sent(facts.messages, state)
        groups = group_messages(messages, state.end)
        sizes = sizes_of(facts, messages, groups, state, terms.ttl_s, now_s)
        cut, merge = _cut(messages, groups, state, sizes, facts, terms, policy)
        shared = _shared_tokens(messages, cut, state, sizes, merge=merge)
        front = front_of(messages, cut, groups, state, sizes, terms)
        bill = bill_of(
            sizes, cut, shared_tokens=shared, front=front, merge=merge, terms=terms, policy=policy
        )
        return cls(
            facts, messages, groups, state, terms, policy, sizes, cut, merge, shared, front, bill
        )

    @property
    def held_tokens(self) -> int:
        """Of messages behind the head that stay whatever leaves, or have stayed."""
        return self.sizes.kept + _fixed_tokens(self.messages, self.state.end)

    def left_alone(self, reason: Reason, account: Account) -> Decision:
        """Nothing is compacted."""
        return Decision(
            plan=None,
            reason=reason,
            state=self._fitted(account, self.sizes.view, compacted=False),
            broken=self.groups.broken,
        )

    def untouched(self, reason: Reason) -> Decision:
        """Nothing is compacted, and nothing is sent."""
        return Decision(plan=None, reason=reason, state=self.state, broken=self.groups.broken)

    def carried_out(self, reason: Reason, *, kept: Account, compacted: Account) -> Decision:
        """There is a plan; accounts for if it fails, and if it does not."""
        return Decision(
            plan=self._plan(),
            reason=reason,
            state=self._fitted(kept, self.sizes.view, compacted=False),
            compacted=self._fitted(compacted, self.bill.short_tokens, compacted=True),
            broken=self.groups.broken,
        )

    def _shown(self, *, compacted: bool) -> list[int]:
        """Positions of messages that are sent, as they are or compacted."""
        earlier = () if compacted and self.merge else self.state.segments
        shown = [at for segment in earlier for at in segment.kept]
        if compacted:
            shown += self.cut.kept
        end = self.cut.end if compacted else self.state.end
        broken = self.groups.broken
        return shown + [at for at in range(end, len(self.messages)) if at not in broken]

    def _plan(self) -> CompactionPlan:
        cut, bill = self.cut, self.bill
        (digest,) = digests_before(self.facts.messages, [cut.end])
        told = f"{digest}:{cut.end}:{self.merge}:{len(self.state.segments)}"
        name = hashlib.blake2b(told.encode(), digest_size=10).hexdigest()
        return CompactionPlan(
            id=f"cmp-{name}",
            end=cut.end,
            summarize=cut.dropped,
            kept=cut.kept,
            merge=self.merge,
            way=bill.way,
            repeats_to=self.front.end,
            summary_tokens=bill.summary_tokens,
            segment_tokens=bill.segment_tokens,
            digest=digest,
            before_tokens=self.sizes.view,
            after_tokens=bill.short_tokens,
            summary_nanos=bill.summary_nanos,
            extra_nanos=bill.extra_nanos,
            saves_nanos=bill.rent_nanos,
        )

    def _fitted(self, account: Account, tokens: int, *, compacted: bool) -> MemoryState:
        """The state with this account, and with single messages cut where `tokens` are too many
        for the window and nothing else can leave."""
        messages, limit = self.messages, self.policy.limit_tokens
        over = 0 if limit is None else tokens + self.facts.tail_tokens - limit
        if over <= 0 and not self.state.shortened:
            return replace(self.state, account=account)
        shown = self._shown(compacted=compacted)
        cut = shortened_to_fit(messages, shown, over)
        shortened = dict(self.state.shortened)
        if shortened:  # of messages that are no longer sent it is forgotten, it would only grow
            keys = {messages[at].key for at in shown}
            shortened = {key: to for key, to in shortened.items() if key in keys}
        shortened |= {messages[at].key: to for at, to in cut}
        sent = account.sent_tokens - sum([messages[at].tokens - to for at, to in cut])
        return replace(
            self.state,
            account=replace(
                account,
                sent_tokens=max(0, sent),
                ends=account.ends[-1:] if cut else account.ends,  # others had it longer
            ),
            shortened=tuple(sorted(shortened.items())),
        )


def _cut(
    messages: Sequence[HeldMessage],
    groups: Groups,
    state: MemoryState,
    sizes: Sizes,
    facts: ConversationFacts,
    terms: MemoryTerms,
    policy: CompactionPolicy,
) -> tuple[Split, bool]:
    """What would stay and leave, and whether the segments would be merged."""
    covered = [at for segment in state.segments for at in segment.kept]
    stays, leaves = still_held(messages, covered)
    left = sum(messages[at].tokens for at in leaves)
    limit, half = policy.limit_tokens, policy.segments_tokens // 2
    full = sizes.segments + policy.summary_tokens > policy.segments_tokens
    # Old questions that segments have kept leave where they are merged, or where room is needed.
    crowded = limit is not None and sizes.view + facts.tail_tokens > limit
    merge = sizes.segments > 0 and (full or (crowded and left > half))
    new = half if merge else policy.summary_tokens
    front = sizes.head + new + (sizes.kept - left if merge else sizes.segments + sizes.kept)
    # A summary may turn out shorter than it may be: the cache's minimum is reached without it.
    missing = terms.least_tokens - front + new - _fixed_tokens(messages, state.end)
    cut = split(
        messages,
        groups,
        start=state.end,
        keep_tokens=max(policy.keep_tokens, missing),
        room_tokens=None if limit is None else limit - front - facts.tail_tokens,
    )
    return (merged(messages, cut, stays, leaves), True) if merge else (cut, False)


def _fixed_tokens(messages: Sequence[HeldMessage], start: int) -> int:
    """Of messages from a position on that stay whatever leaves."""
    return sum([each.tokens for each in messages[start:] if each.pinned or each.role == "system"])


def _shared_tokens(
    messages: Sequence[HeldMessage],
    cut: Split,
    state: MemoryState,
    sizes: Sizes,
    *,
    merge: bool,
) -> int:
    """With how many tokens the compacted request begins as the last one did."""
    start = 0 if merge else state.end
    shared = sizes.head if merge else sizes.head + sizes.segments + sizes.kept
    for number, at in enumerate(cut.kept):
        if at != start + number:
            break
        shared += messages[at].tokens
    return shared


def _as_sent(messages: Sequence[HeldMessage], state: MemoryState) -> Sequence[HeldMessage]:
    if not state.shortened:
        return messages
    to = dict(state.shortened)
    return [
        replace(message, tokens=min(message.tokens, to[message.key]))
        if message.key in to
        else message
        for message in messages
    ]
