"""`Compactor`: summaries that fail, archives that are full, books that add up, odd clocks."""

from __future__ import annotations

import itertools
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains import Ledger
from frugal_chains.archive import Archive
from frugal_chains.dispatch import (
    Compaction,
    Compactor,
    History,
    MemoryStates,
    Summarizer,
    SummaryRequest,
    TextVectors,
    Turn,
)
from frugal_chains.errors import ArchiveError
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import CompactionPolicy, Lengths, MemoryState, RentEqualsBuy, WaterMark
from frugal_chains.tokens import TokenCount, TokenCounter
from frugal_chains.tracking import Tracker
from tests.core.dispatch.talking import (
    EAGER,
    GPT,
    MARK,
    OTHER,
    SAME,
    SONNET,
    START_S,
    SUMMARY,
    Talk,
    assistant,
    compactor,
    drive,
    fails,
    history_of,
    said,
    talk,
    texts,
    tool_round,
    user,
)
from tests.own_time import own_seconds
from tests.servers import ManualClock

LIMIT = 1_500
"""Of `EAGER`."""


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


def sent_tokens(sent: list[str], of: dict[str, Any]) -> int:
    """By the counter alone, without the compactor's arithmetic; frames of messages left out."""
    count = TokenCounter().text_counter(model=of["model"], provider=of["provider"])
    return sum(count(text) for text in sent)


# -- retries and the breaker -----------------------------------------------------------------------


def test_an_attempt_that_fails_is_made_once_more() -> None:
    answers = iter([ConnectionError("no"), SUMMARY])
    talking = Talk(compactor(summarizer=SAME), lambda request: next(answers))
    turn = talking.say(*talk(12))
    assert turn.plan is not None
    assert turn.state.segments[0].text.endswith(SUMMARY)
    assert (turn.state.failures, turn.state.waits_until_call) == (0, 0)


def test_waits_grow_to_32_calls_and_end_with_the_first_summary() -> None:
    asked: list[int] = []
    ready = False

    def ask(request: SummaryRequest) -> str | BaseException:
        asked.append(len(talking.turns))
        return SUMMARY if ready else fails(request)

    talking = Talk(compactor(summarizer=SAME), ask)
    talking.messages += [*talk(12), assistant("Yes.")]
    for number in range(120):
        talking.turn(number, words=1)
    at = sorted(set(asked))
    assert all(asked.count(one) == 2 for one in at)  # two attempts
    assert [other - one for one, other in itertools.pairwise(at)] == [2, 4, 8, 16, 32, 32]
    assert {turn.reason for turn in talking.turns} == {"failed", "waits"}
    assert all(not turn.changed for turn in talking.turns)
    ready = True
    while not talking.state.segments:
        talking.turn(len(talking.turns), words=1)
    assert (talking.state.failures, talking.state.waits_until_call) == (0, 0)


def test_what_a_summariser_says_when_it_fails_is_not_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        Talk(compactor(summarizer=SAME), fails).say(*talk(12))
    assert "ConnectionError" in caplog.text
    assert "sk-secret" not in caplog.text
    assert "parcel" not in caplog.text


def test_where_the_window_forces_it_sentences_are_picked() -> None:
    kinds: list[str] = []
    made = compactor(policy=EAGER, summarizer=SAME, on_compaction=lambda e: kinds.append(e.kind))
    talking = Talk(made, fails)
    for number in range(25):
        turn = talking.turn(number)
        assert sent_tokens(texts(talking.messages, turn), talking.model) <= LIMIT
    assert len(kinds) > 1
    assert set(kinds) == {"digest"}
    assert talking.state.failures > 0


def test_every_message_that_leaves_is_in_the_transcript() -> None:
    prompts: list[str] = []

    def ask(request: SummaryRequest) -> str:
        assert request.kind == "flat"
        prompts.append(request.prompt)
        return SUMMARY

    talking = Talk(compactor(summarizer=OTHER), ask)
    turn = talking.say(*talk(12))
    assert turn.plan is not None
    told = "\n".join(prompts)
    assert all(talking.messages[at].text.strip() in told for at in turn.plan.summarize)


@pytest.mark.parametrize("gap_s", [5.0, 290.0])
def test_a_model_that_is_asked_behind_the_conversation_sees_what_was_sent(gap_s: float) -> None:
    """A little more than what leaves is repeated, to the end of an earlier request. Of slow turns
    the cache has only the last two. The instruction says from where on it is not meant."""
    clock, asked = ManualClock(START_S), list[SummaryRequest]()

    def ask(request: SummaryRequest) -> str:
        asked.append(request)
        return SUMMARY

    talking = Talk(compactor(clock, policy=CompactionPolicy(keep_tokens=300), summarizer=SAME), ask)
    for number in range(40):
        before = talking.turns[-1] if talking.turns else None
        turn = talking.turn(number)
        clock.advance(gap_s)
        if asked:
            break
    assert before is not None
    plan = turn.plan
    assert plan is not None
    assert asked[0].kind == "aligned"
    assert asked[0].view == before.view[: len(asked[0].view)]
    assert [one.position for one in asked[0].view] == list(range(plan.repeats_to))
    beyond = plan.repeats_to - plan.end
    assert (beyond == 1) == (gap_s == 5.0)  # the next question: its request has read the answer
    start = talking.messages[plan.end].text[:32].strip()
    assert f'the last {beyond} messages, which start with "{start}"' in asked[0].prompt


def test_what_was_said_stays_in_a_flat_summary_word_for_word() -> None:
    fact = "My name is Ada and my order is W12."
    messages = [user(fact), assistant("I see. " + "river " * 200), *talk(12)]
    answers: list[str] = []

    def ask(request: SummaryRequest) -> str:
        assert request.kind == "flat"
        answers.append(f"Facts:\n- {fact}\n- It goes on about parcels")
        return answers[-1]

    turn = Talk(compactor(summarizer=OTHER), ask).say(*messages)
    assert len(answers) == 1
    assert fact in turn.state.segments[0].text


def test_all_chunks_of_a_long_transcript_are_asked_for() -> None:
    prompts: list[str] = []

    def ask(request: SummaryRequest) -> str:
        prompts.append(request.prompt)
        return f"Facts:\nPart {len(prompts)} was read."

    talking = Talk(compactor(summarizer=OTHER), ask)
    turn = talking.say(*talk(60, words=500))
    assert turn.plan is not None
    assert len(prompts) >= 3
    for at in turn.plan.summarize:
        assert any(talking.messages[at].text[:12] in prompt for prompt in prompts), at


def test_one_chunk_that_fails_leaves_the_history_whole() -> None:
    prompts: list[str] = []

    def ask(request: SummaryRequest) -> str | BaseException:
        prompts.append(request.prompt)
        return SUMMARY if len(prompts) == 1 else fails(request)

    turn = Talk(compactor(summarizer=OTHER), ask).say(*talk(60, words=500))
    assert (turn.reason, turn.changed, turn.plan) == ("failed", False, None)


# -- the archive -----------------------------------------------------------------------------------


class Full(Archive):
    """A disk without room."""

    def __init__(self, fails_at: frozenset[int] = frozenset(range(1_000))) -> None:
        self.fails_at, self.puts = fails_at, 0

    def put(self, text: str) -> str:
        self.puts += 1
        if self.puts - 1 in self.fails_at:
            raise ArchiveError("the disk is full")
        return f"handle {self.puts}"


def test_nothing_leaves_that_could_not_be_archived() -> None:
    talking = Talk(compactor(summarizer=SAME, archive=Full()))  # and no model is asked
    for number in range(20):
        turn = talking.turn(number)
        assert not turn.changed
    assert talking.state.segments == ()
    assert {turn.reason for turn in talking.turns} >= {"failed", "waits"}


def test_the_window_is_kept_while_the_archive_is_full_and_nothing_leaves_for_good() -> None:
    archive = Full()
    talking = Talk(compactor(policy=EAGER, summarizer=SAME, archive=archive), lambda r: SUMMARY)
    for number in range(20):
        turn = talking.turn(number)
        assert sent_tokens(texts(talking.messages, turn), talking.model) <= LIMIT
        assert turn.state.segments == ()
        assert turn.event is None
    archive.fails_at = frozenset()
    assert talking.turn(20).event is not None  # there is room again


def test_an_archive_that_works_again_is_asked_again() -> None:
    talking = Talk(compactor(archive=Full(frozenset({0}))))
    first = talking.say(*talk(12))
    assert (first.reason, first.changed) == ("failed", False)
    later = [talking.turn(number) for number in range(12, 20)]
    events = [turn.event for turn in later if turn.event is not None]
    assert events[0].handle.startswith("handle")


def test_what_is_archived_is_every_word_that_leaves(tmp_path: Path) -> None:
    with Archive.open(f"sqlite:///{tmp_path}/a.db") as archive:
        talking = Talk(compactor(archive=archive))
        turn = talking.say(user("First."), *tool_round(1, 700), assistant("So."), *talk(16))
        assert turn.plan is not None
        assert turn.event is not None
        kept = json.loads(archive.get(turn.event.handle) or "")
    gone = [talking.messages[at] for at in turn.plan.summarize]
    assert [(each["role"], each["text"]) for each in kept] == [(m.role, m.text) for m in gone]
    ids = [call["id"] for each in kept for call in each["tool_calls"]]
    assert ids == [call.id for message in gone for call in message.tool_calls]


# -- events, preview, undo -------------------------------------------------------------------------


def test_a_preview_changes_nothing_and_is_what_happens() -> None:
    archive, told = Full(frozenset()), list[Compaction]()
    made = compactor(summarizer=SAME, archive=archive, on_compaction=told.append)
    history, state = history_of(talk(12)), MemoryState()
    before = state.to_json()
    one, again = made.preview(history, state), made.preview(history, state)
    assert one == again
    assert (archive.puts, told, state.to_json()) == (0, [], before)
    turn = drive(made.turn(history, state), lambda request: SUMMARY)
    assert turn.plan == one.plan
    assert turn.event is not None
    assert [event.id for event in told] == [turn.event.id] == [turn.state.segments[0].id]
    assert turn.event.handle == "handle 1"


def test_who_listens_may_fail() -> None:
    def hear(event: Compaction) -> None:
        raise RuntimeError("not now")

    turn = Talk(compactor(on_compaction=hear)).say(*talk(12))
    assert turn.event is not None
    assert turn.state.segments


def test_an_undo_brings_back_every_message_and_is_not_undone_at_once() -> None:
    talking = Talk(compactor())
    account = talking.say(*talk(12)).state.account
    came_back = account.unmanaged_tokens - account.sent_tokens
    assert came_back > 100
    talking.messages.append(assistant("Yes."))
    id = talking.state.segments[0].id
    talking.state = talking.state.without(id)
    turn = talking.turn(12)
    assert (turn.reason, turn.changed) == ("undone", False)
    for number in range(13, 60):
        if talking.turn(number).plan is not None:
            break
    else:
        pytest.fail("it is never compacted again")
    assert talking.state.account.unmanaged_tokens >= account.unmanaged_tokens + came_back


def test_a_message_that_was_edited_comes_back_with_all_others() -> None:
    talking = Talk(compactor())
    talking.say(*talk(12))
    talking.messages[1] = assistant("No, it was 4712.")
    talking.made.policy = replace(MARK, trigger=WaterMark(high_tokens=10**6))
    turn = talking.say(assistant("Yes."), user("Well?"))
    assert texts(talking.messages, turn)[1] == "No, it was 4712."
    assert not turn.changed


# -- the books -------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [False, True], ids=["works", "every other time fails"])
@pytest.mark.parametrize("recall", [0, 300])
def test_effects_sum_to_the_account(recall: int, failing: bool, ledger: Ledger) -> None:
    clock, asked = ManualClock(START_S), itertools.count()

    def ask(request: SummaryRequest) -> str | BaseException:
        return fails(request) if failing and next(asked) % 4 < 2 else SUMMARY

    policy = CompactionPolicy(keep_tokens=500)
    made = compactor(clock, policy=policy, summarizer=SAME, recall_tokens=recall)
    talking = Talk(made, ask, trackers=[Tracker(ledger)])
    talking.messages += [user("My locker is 8812-KX. Keep it."), assistant("I will.")]
    for number in range(60):
        clock.advance(400 if number % 9 == 8 else 20)
        talking.turn(number, words=250)
        if number % 7 == 6:
            talking.say(user("What was the number of my locker, as I said?"))
            talking.messages.append(assistant("8812-KX."))
        if number == 25 and talking.state.segments:
            talking.state = talking.state.without(talking.state.segments[-1].id)
    assert any(turn.recalled for turn in talking.turns) is bool(recall)
    effects = list(ledger.effects())
    account = talking.state.account
    net = sum(effect.net_nanos or 0 for effect in effects)
    assert net == pytest.approx(account.unmanaged_nanos - account.spent_nanos, abs=len(effects))
    assert {effect.lever for effect in effects} == {"memory.compact"} | (
        {"memory.recall"} if recall else set()
    )
    assert any((effect.net_nanos or 0) < 0 for effect in effects)


def test_without_a_price_effects_have_no_sum_and_compactions_no_price(ledger: Ledger) -> None:
    talking = Talk(compactor(), trackers=[Tracker(ledger)])
    talking.model = {"model": "unheard-of", "provider": ""}
    turn = talking.say(*talk(12, words=600))
    assert turn.event is not None
    assert (turn.event.extra_usd, turn.event.saves_usd) == (None, None)
    assert {effect.net_nanos for effect in ledger.effects()} == {None}


# -- recall ----------------------------------------------------------------------------------------

FREE = {"model": "llama3.2", "provider": "acme"}
ASKED = "What was the number of my locker, as I said?"


def with_locker(made: Compactor, turns: int = 14, **model: str) -> Talk:
    talking = Talk(made)
    talking.model.update(model)
    talking.messages += [user("My locker is 8812-KX. " + "rain " * 40), assistant("I see. ok")]
    for number in range(turns):
        talking.turn(number)
    return talking


def without_words(made: Compactor) -> None:
    """The digest says nothing, so that recall has to."""
    made._outcomes._summaries.text = _nothing  # type: ignore[method-assign]


def _nothing(*given: Any, **options: Any) -> Any:
    return "[Summary of earlier messages]\n(nothing to note)", ""
    yield


def test_what_a_question_needs_stands_behind_it_while_it_is_answered() -> None:
    made = compactor(recall_tokens=300)
    without_words(made)
    talking = with_locker(made, 60)
    turn = talking.say(user(ASKED))
    assert "8812-KX" in turn.recalled
    assert turn.question == len(talking.messages) - 1
    again = talking.say(*tool_round(1, 5))
    assert (again.recalled, again.question) == (turn.recalled, turn.question)
    talking.messages.append(assistant("8812-KX."))
    assert talking.turn(99).recalled == ""


def test_what_leaves_just_now_is_recalled_at_once() -> None:
    """The question that makes a conversation compact may ask for what leaves because of it."""
    free = {"model": "unheard-of", "provider": ""}
    made = compactor(policy=EAGER, recall_tokens=300)
    without_words(made)
    talking = Talk(made)
    talking.model.update(free)
    talking.messages += [user("My locker is 8812-KX. " + "rain " * 40), assistant("I see.")]
    talking.messages += [*talk(12), assistant("Yes.")]
    turn = talking.say(user(ASKED))
    assert turn.plan is not None
    assert turn.reason == "limit"
    sent = [*texts(talking.messages, turn), turn.recalled]
    assert sent_tokens(sent, talking.model) <= LIMIT


def test_recall_is_paid_for_by_what_was_saved() -> None:
    """Where something is recalled the conversation is no dearer than without a memory."""
    made = compactor(policy=CompactionPolicy(keep_tokens=300), recall_tokens=4_000)
    without_words(made)
    talking = with_locker(made, 4)
    for number in range(60):
        talking.turn(number, words=150)
        talking.say(user(ASKED))
        talking.messages.append(assistant("8812-KX."))
        account = talking.state.account
        if talking.turns[-1].recalled:
            assert account.spent_nanos <= account.unmanaged_nanos
    assert sum("8812-KX" in turn.recalled for turn in talking.turns) > 5


def test_a_model_that_costs_nothing_recalls_after_one_that_did() -> None:
    """What was saved so far may be below nothing, where a token costs nothing."""
    made = compactor(recall_tokens=300)
    without_words(made)
    talking = with_locker(made, 12)
    assert talking.state.segments
    assert talking.state.account.spent_nanos > talking.state.account.unmanaged_nanos
    talking.model = dict(FREE)
    assert "8812-KX" in talking.say(user(ASKED)).recalled


def test_a_recall_that_fails_is_no_reason_to_send_everything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: Any, **options: Any) -> Any:
        raise MemoryError("no index for the parcel")

    talking = with_locker(compactor(policy=EAGER, recall_tokens=300))
    monkeypatch.setattr("frugal_chains.dispatch.memory._recalls.recall", broken)
    for number in range(20, 30):
        turn = talking.turn(number)
        assert turn.reason != "off"
        assert turn.recalled == ""
        assert sent_tokens(texts(talking.messages, turn), talking.model) <= LIMIT
    assert "parcel" not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("where", ["_compactor.decide", "_outcomes.with_segment"])
def test_what_fails_is_logged_with_its_place_and_without_its_words(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "locker 8812-KX"

    def broken(*given: Any, **options: Any) -> Any:
        raise ValueError(f"cannot plan for {secret}")

    monkeypatch.setattr(f"frugal_chains.dispatch.memory.{where}", broken)
    turn = drive(compactor().turn(history_of(talk(12)), MemoryState()))
    assert turn.reason == "off"
    assert not turn.changed
    assert "in broken" in caplog.text
    assert "ValueError" in caplog.text
    assert secret not in caplog.text


# -- an embedder -----------------------------------------------------------------------------------


def locker_vectors(texts: Sequence[str]) -> list[list[float]]:
    """Knows that a cupboard is a locker, and nothing else."""
    near = ("locker", "cupboard")
    return [[1.0, 0.0] if any(word in text for word in near) else [0.1, 1.0] for text in texts]


PARAPHRASE = "Which cupboard is mine?"


def asked_for_cupboard(made: Compactor) -> Turn:
    without_words(made)
    talking = with_locker(made, 30, **FREE)
    assert talking.state.segments
    return talking.say(user(PARAPHRASE))


def test_an_embedder_finds_what_was_said_in_other_words() -> None:
    vectors = TextVectors.of(locker_vectors)
    turn = asked_for_cupboard(
        compactor(policy=EAGER, recall_tokens=300, embedder=vectors, alike=0.9)
    )
    assert "8812-KX" in turn.recalled
    assert "8812-KX" not in asked_for_cupboard(compactor(policy=EAGER, recall_tokens=300)).recalled
    only_ranks = compactor(policy=EAGER, recall_tokens=300, embedder=vectors)
    assert "8812-KX" not in asked_for_cupboard(only_ranks).recalled


def test_a_turn_is_embedded_once_and_only_when_it_has_left() -> None:
    embedded: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        embedded.extend(texts)
        return locker_vectors(texts)

    made = compactor(policy=EAGER, recall_tokens=300, embedder=TextVectors.of(embed), alike=0.99)
    without_words(made)
    talking = with_locker(made, 30, **FREE)
    said_so_far = [text for text in embedded if "Answer" in text]
    assert len(said_so_far) == len(set(said_so_far)) > 5
    end = talking.state.end
    for at, message in enumerate(talking.messages):
        if at >= end and message.role == "assistant":
            assert not any(message.text in text for text in embedded)


BAD_EMBEDDERS: dict[str, Callable[[Sequence[str]], Any]] = {
    "fails": lambda texts: 1 / 0,
    "too few": lambda texts: [[1.0]] * (len(texts) - 1),
    "not a number": lambda texts: [[float("nan"), 1.0] for _ in texts],
    "other lengths": lambda texts: [[1.0] * (1 + len(text) % 5) for text in texts],
    "nothing": lambda texts: None,
    "no length": lambda texts: [[0.0, 0.0] for _ in texts],
}


@pytest.mark.parametrize("name", BAD_EMBEDDERS)
def test_an_embedder_that_fails_is_done_without(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = TextVectors.of(BAD_EMBEDDERS[name])
    made = compactor(policy=EAGER, recall_tokens=300, embedder=vectors, alike=0.9)
    without_words(made)
    talking = with_locker(made, 30, **FREE)
    turn = talking.say(user(ASKED))
    assert "8812-KX" in turn.recalled  # by its words
    assert "locker" not in caplog.text


def test_an_embedder_that_hangs_is_waited_for_once_or_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.memory._recalls.TIMEOUT_S", 0.05)
    over = threading.Event()

    def embed(texts: Sequence[str]) -> Any:
        over.wait(20)
        return locker_vectors(texts)

    made = compactor(policy=EAGER, recall_tokens=300, embedder=TextVectors.of(embed), alike=0.9)
    without_words(made)
    began = time.monotonic()
    talking = with_locker(made, 60, **FREE)
    turn = talking.say(user(ASKED))
    over.set()
    assert time.monotonic() - began < 3
    assert "8812-KX" in turn.recalled


# -- what is handed in and fails -------------------------------------------------------------------


class Failing(TokenCounter):
    """A counter that breaks down after so many counts."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def count_request(self, *given: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("cannot count")
        return super().count_request(*given, **options)


@pytest.mark.parametrize("after", range(0, 60, 3))
def test_a_counter_that_fails_at_any_moment_fails_no_answer(after: int) -> None:
    talking = Talk(compactor(summarizer=SAME, counter=Failing(after)), lambda request: SUMMARY)
    turn = talking.say(*talk(12))
    assert turn.view
    if after < 25:  # 23 messages and the head could not be counted
        assert not turn.changed
        assert turn.state == MemoryState()


def test_a_price_book_that_fails_fails_no_answer() -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError("no such file")

    talking = Talk(compactor(prices=Broken()))
    turn = talking.say(*talk(12))
    assert (turn.reason, turn.changed) == ("off", False)


def test_a_history_that_cannot_be_read_is_sent_whole() -> None:
    def read(at: int) -> MessageFacts:
        raise LookupError("gone")

    history = History(keys=["a", "b"], message=read, **SONNET)  # type: ignore[arg-type]
    turn = drive(compactor().turn(history, MemoryState()))
    assert [one.position for one in turn.view] == [0, 1]
    turn = compactor().shown(history, MemoryState())
    assert [one.position for one in turn.view] == [0, 1]


def test_clocks_that_jump_do_no_harm(ledger: Ledger) -> None:
    clock = ManualClock(START_S)
    made = compactor(clock, policy=CompactionPolicy(keep_tokens=300), summarizer=SAME)
    talking = Talk(made, lambda request: SUMMARY, trackers=[Tracker(ledger)])
    for number, now_s in enumerate([5.0, -1e6, 1e12, 0.0, START_S, 1e5, START_S + 1] * 5):
        clock.now_s = now_s
        turn = talking.turn(number)
        assert turn.reason != "off" or not turn.changed
    account = talking.state.account
    assert account.spent_nanos >= 0
    assert account.rent_nanos >= 0
    assert made.idle_at_s(history_of(talking.messages), talking.state) is not None


def test_a_provider_that_is_switched_in_the_middle() -> None:
    """Segments stay what they are, but for their sizes, which are the new model's; only the cache
    is gone."""
    talking = Talk(compactor(summarizer=SAME), lambda request: SUMMARY)
    for number in range(12):
        talking.turn(number)
    before = talking.state.segments
    assert before
    calm = CompactionPolicy(trigger=WaterMark(high_tokens=10**6))
    talking.made.policy, talking.model = calm, dict(GPT)
    spent = talking.state.account.spent_nanos
    turn = talking.turn(12)
    now = turn.state.segments[: len(before)]
    assert [(one.id, one.text, one.end) for one in now] == [
        (one.id, one.text, one.end) for one in before
    ]
    count = TokenCounter()
    bare = count.text_counter(**GPT)
    framed = count.count_request(RequestFacts(messages=(user(before[0].text),)), **GPT).tokens
    frame = framed - count.count_request(RequestFacts(), **GPT).tokens - bare(before[0].text)
    assert [one.tokens for one in now] == [bare(one.text) + frame for one in before]
    assert [one.tokens for one in now] != [one.tokens for one in before]
    if turn.plan is None:  # all of it is paid anew: 2.50 dollars for a million tokens (2026-11)
        paid = turn.state.account.spent_nanos - spent
        assert paid == pytest.approx(turn.state.account.sent_tokens * 2_500, rel=0.01)


def test_a_model_whose_name_begins_another_is_another() -> None:
    class Twice(TokenCounter):
        """The small one's tokenizer makes twice as many."""

        def count_request(self, facts: RequestFacts, **who: Any) -> TokenCount:
            counted = super().count_request(facts, **who)
            times = 1 if who["model"] == "big:8b" else 2
            return replace(counted, tokens=counted.tokens * times)

    talking = Talk(compactor(counter=Twice()))
    talking.model = {"model": "big:8b", "provider": "acme"}
    for number in range(12):  # of a model that is not known the largest minimum is taken
        talking.turn(number, 500)
    before = talking.state.segments
    assert before
    talking.model = {"model": "big", "provider": "acme"}
    talking.made.policy = CompactionPolicy(trigger=WaterMark(high_tokens=10**6))
    now = talking.turn(12).state.segments
    assert [one.tokens for one in now] == [2 * one.tokens for one in before]


def test_five_megabytes_take_less_than_a_second() -> None:
    huge = "Seven bridges, and 4711 of them are painted. " * 110_000
    messages = [user(huge), assistant("I see."), user("So?")]
    made = compactor(policy=CompactionPolicy(limit_tokens=100_000), recall_tokens=4_000)
    turns: list[Any] = []

    def work() -> None:
        turns.append(drive(made.turn(history_of(messages), MemoryState())))

    assert own_seconds(work) < 4
    sent = texts(messages, turns[0])
    assert sum(map(len, sent)) < 600_000
    assert sent[-1] == "So?"


@pytest.mark.parametrize(
    "messages",
    [
        [user(""), assistant(""), MessageFacts(role="user")],
        [*tool_round(1)[1:], *tool_round(1)[:1], user("So?")],
        [user("a"), *tool_round(1), *tool_round(1), user("b")],
        [user("a"), *tool_round(1)[:2], user("b")],
        [user("\ud800\x00\u202e"), assistant("ok"), user("So?")],
    ],
    ids=["empty", "results before calls", "ids twice", "a result is missing", "no text at all"],
)
def test_strange_messages_are_never_lost(messages: list[MessageFacts]) -> None:
    made, state = compactor(policy=EAGER, recall_tokens=200), MemoryState()
    history: list[MessageFacts] = []
    for _ in range(12):
        history += [*messages, assistant("Fine. " + "parcel " * 150), user("Well?")]
        turn = drive(made.turn(history_of(history), state))
        state = MemoryState.from_json(json.loads(json.dumps(turn.state.to_json())))
        assert turn.reason != "off"
        assert sent_tokens(texts(history, turn), SONNET) <= LIMIT
    assert state.segments


# -- a summariser that fails half the time, over a long time ---------------------------------------


@pytest.mark.parametrize("policy", [MARK, EAGER, CompactionPolicy(keep_tokens=300)],
                         ids=["mark", "limit", "rent"])  # fmt: skip
def test_a_summariser_that_fails_half_the_time_loses_nothing_in_200_turns(
    policy: CompactionPolicy,
) -> None:
    rng = random.Random(7)

    def ask(request: SummaryRequest) -> str | BaseException:
        if rng.random() < 0.5:
            return rng.choice([fails(request), "", "I'm sorry, I can't help with that."])
        return f"Facts:\nUp to here there were {len(talking.messages)} messages."

    talking = Talk(compactor(policy=policy, summarizer=SAME), ask)
    for number in range(200):
        if number % 3 == 2:
            talking.say(user(said(number, 20)))
            talking.say(*tool_round(number, 30))  # each view is checked: see `Talk.say`
            talking.messages.append(assistant("So."))
        else:
            talking.turn(number)
    made = [turn for turn in talking.turns if turn.plan is not None]
    assert len(made) > 3
    assert any(turn.reason == "failed" for turn in talking.turns) or policy is EAGER
    assert len({turn.event.id for turn in made if turn.event is not None}) == len(made)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("turn", "turn", "tools", "undo", "edit", "remove", "switch", "json")),
        st.integers(0, 200),
        st.sampled_from((5.0, 400.0, -1e7)),
    ),
    max_size=20,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    steps=STEPS,
    answers=st.lists(st.sampled_from((SUMMARY, "", "boom")), min_size=1, max_size=5),
    archive=st.sampled_from((None, frozenset[int](), frozenset({0, 2}), frozenset(range(99)))),
    policy=st.sampled_from((MARK, EAGER, CompactionPolicy(trigger=RentEqualsBuy(first=0.01)))),
    summarizer=st.sampled_from((None, SAME, OTHER)),
    recall=st.sampled_from((0, 200)),
)
def test_no_message_is_lost_and_no_result_orphaned(
    steps: list[tuple[str, int, float]], answers: list[str], archive: frozenset[int] | None,
    policy: CompactionPolicy, summarizer: Summarizer | None, recall: int,
) -> None:  # fmt: skip
    said_next, clock = itertools.cycle(answers), ManualClock(START_S)

    def ask(request: SummaryRequest) -> str | BaseException:
        answer = next(said_next)
        return fails(request) if answer == "boom" else answer

    made = compactor(
        clock, policy=policy, summarizer=summarizer, recall_tokens=recall,
        archive=None if archive is None else Full(archive),
    )  # fmt: skip
    talking = Talk(made, ask)
    for number, (kind, size, seconds) in enumerate(steps):
        clock.advance(seconds)
        plain = [at for at, m in enumerate(talking.messages) if m.role != "tool" and m.text]
        if kind == "undo" and talking.state.segments:
            talking.state = talking.state.without(talking.state.segments[-1].id)
        if kind == "edit" and plain:
            talking.messages[plain[size % len(plain)]] = assistant(said(number, size))
        if kind == "remove" and plain:
            del talking.messages[plain[size % len(plain)]]
        if kind == "switch":
            talking.model = dict(GPT if talking.model == SONNET else SONNET)
        if kind == "json":
            talking.state = MemoryState.from_json(json.loads(json.dumps(talking.state.to_json())))
        if kind == "tools":
            talking.say(user(said(number, size)))
            turn = talking.say(*tool_round(number, size))
            talking.messages.append(assistant("So."))
        else:
            turn = talking.turn(number, size)
        assert turn.reason != "off"
        if policy.limit_tokens is not None:
            sent = [*texts(talking.messages, turn), turn.recalled]
            assert sent_tokens(sent, talking.model) <= LIMIT


# -- turns at the same time ------------------------------------------------------------------------


def test_turns_at_the_same_time_pay_for_one_summary_and_lose_no_call() -> None:
    made, states = compactor(summarizer=SAME), MemoryStates()
    history = history_of(talk(12))
    paid: list[int] = []
    start = threading.Barrier(8)

    def ask(request: SummaryRequest) -> str:
        paid.append(1)
        return SUMMARY

    def work() -> None:
        start.wait()
        with states.turn("one") as free:
            before = states.get("one")
            if not free:
                made.shown(history, before)
                return
            turn = drive(made.turn(history, before), ask)
            states.settle("one", before, turn.state)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paid) == 1
    assert len(states.get("one").segments) == 1


def test_of_two_turns_that_compact_one_wins_and_both_are_counted() -> None:
    made, states = compactor(), MemoryStates()
    before = states.get("one")
    one = drive(made.turn(history_of(talk(12)), before))
    other = drive(made.turn(history_of(talk(14)), before))
    assert one.plan is not None
    assert other.plan is not None
    assert states.settle("one", before, one.state)
    assert not states.settle("one", before, other.state)
    now = states.get("one")
    assert now.segments == one.state.segments
    assert now.account.calls == 2
    both = one.state.account.spent_nanos + other.state.account.spent_nanos
    assert now.account.spent_nanos == pytest.approx(both)
    assert not states.put("one", before, other.state)
    assert states.get("one") == now


def test_a_turn_that_is_given_up_leaves_no_lock_and_no_change() -> None:
    made, states = compactor(summarizer=SAME), MemoryStates()

    def given_up() -> None:
        with states.turn("one") as free:
            assert free
            flow = made.turn(history_of(talk(12)), states.get("one"))
            next(flow)
            flow.close()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        given_up()
    assert states.get("one") == MemoryState()
    with states.turn("one") as free:
        assert free


# -- idle, lengths, prices -------------------------------------------------------------------------


def test_an_idle_conversation_is_due_before_its_cache_expires() -> None:
    clock = ManualClock(START_S)
    calm = CompactionPolicy(trigger=WaterMark(high_tokens=10**6), keep_tokens=300)
    made = compactor(clock, policy=calm, summarizer=SAME)
    messages = [*talk(12, words=400), assistant("Yes.")]
    turn = drive(made.turn(history_of(messages[:-1]), MemoryState()))
    at_s = made.idle_at_s(history_of(messages), turn.state)
    assert at_s == pytest.approx(START_S + 270)  # 5 minutes, less 30 seconds
    clock.now_s = at_s or 0.0
    flow = made.idle(history_of(messages), turn.state, return_share=1.0)
    after = drive(flow, lambda request: SUMMARY)
    assert after.reason == "idle"
    assert after.event is not None
    assert after.state.account.calls == turn.state.account.calls  # it was no call
    flow = made.idle(history_of(messages), turn.state, return_share=1.0)
    failed = drive(flow, fails)
    assert (failed.reason, failed.plan, failed.changed) == ("failed", None, False)


def test_short_conversations_of_the_past_hold_it_back() -> None:
    """20 conversations of 5 calls: at the 12th nobody expects that it will be paid back."""
    eager = CompactionPolicy(trigger=RentEqualsBuy(first=0.01, regret=100.0), keep_tokens=300)
    past = Lengths((5,) * 20 + (13,) * 20)

    def compacts(lengths: Lengths | None) -> bool:
        talking = Talk(compactor(policy=eager, summarizer=SAME, lengths=lengths), lambda r: SUMMARY)
        return any(talking.turn(number, words=300).plan is not None for number in range(13))

    assert compacts(None)
    assert not compacts(past)
