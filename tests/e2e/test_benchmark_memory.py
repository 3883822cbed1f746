"""What the memory benchmark claims: bills by the providers' documents, and peers played faithfully.

Sources of the cases, read 2026-11: platform.claude.com/docs/en/build-with-claude/prompt-caching,
developers.openai.com/api/docs/guides/prompt-caching, api-docs.deepseek.com/guides/kv_cache.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = (
    "baselines", "caches", "hindsight", "lengths", "measure", "pairs", "peers_agent",
    "peers_langchain", "prices", "protocol", "recall", "recall_always", "recorder", "sets",
    "traffic",
)  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    yield SimpleNamespace(**{name: import_module(f"memory.{name}") for name in MODULES})
    sys.path[:] = path
    for added in set(sys.modules) - before:
        if added.partition(".")[0] in ("memory", "_figures"):
            sys.modules.pop(added)


def _block(bench: SimpleNamespace, tokens: int, text: str, **more: Any) -> Any:
    return bench.protocol.Block(role=more.pop("role", "user"), text=text, tokens=tokens, **more)


def _request(
    bench: SimpleNamespace, sizes: Sequence[int], *, at_s: float = 0.0, begin: str = "", **more: Any
) -> Any:
    """Blocks of these sizes; requests with the same `begin` share them."""
    blocks = tuple(_block(bench, size, f"{begin}{at}") for at, size in enumerate(sizes))
    return bench.protocol.Request(blocks=blocks, turn=1, at_s=at_s, **more)


def _split(bench: SimpleNamespace, model: str, *requests: Any) -> list[tuple[int, int, int]]:
    charges = bench.caches.bill(requests, bench.prices.PRICE_MODELS[model])
    return [(each.split.fresh, each.split.read, each.split.written) for each in charges]


@pytest.mark.parametrize(
    ("shared", "rest", "read"),
    [
        (1023, 0, 0),  # shorter than 1,024: nothing is cached
        (1024, 0, 1024),
        (1920, 86, 1920),  # the guide's usage example: 2,006 prompt tokens, 1,920 cached
        (2006, 0, 1920),
        (1151, 500, 1024),
        (1000, 500, 0),  # a prompt that is long enough, a shared beginning that is not
    ],
)
def test_openai_reads_the_longest_beginning_in_steps_of_128(
    bench: SimpleNamespace, shared: int, rest: int, read: int
) -> None:
    blocks = [_block(bench, shared, "shared")]
    first, second = (
        bench.protocol.Request(
            blocks=(*blocks, *([_block(bench, rest, end)] if rest else ())), turn=1, at_s=0.0
        )
        for end in ("one", "two")
    )
    assert _split(bench, "GPT-5.x", first, second)[1] == (shared + rest - read, read, 0)


def test_what_two_rewritten_texts_begin_with_is_shared_too(bench: SimpleNamespace) -> None:
    one, two = "a" * 8000, "a" * 4000 + "b" * 4000
    requests = [
        bench.protocol.Request(blocks=(_block(bench, 4000, text),), turn=1, at_s=0.0)
        for text in (one, two)
    ]
    assert _split(bench, "GPT-4o", *requests)[1] == (4000 - 1920, 1920, 0)


def test_deepseek_reads_the_last_round_of_a_conversation(bench: SimpleNamespace) -> None:
    first = _request(bench, [60, 40])
    second = _request(bench, [60, 40, 200, 50])
    assert _split(bench, "DeepSeek", first, second) == [(100, 0, 0), (286, 64, 0)]


def test_anthropic_writes_what_is_new_up_to_the_last_breakpoint(bench: SimpleNamespace) -> None:
    """The guide's table of a growing conversation: each round reads what the one before wrote."""
    rounds = [_request(bench, [2000] + [100] * more) for more in (1, 3, 5)]
    assert _split(bench, "Sonnet", *rounds) == [(0, 0, 2100), (0, 2100, 200), (0, 2300, 200)]


def test_what_follows_the_last_breakpoint_is_fresh(bench: SimpleNamespace) -> None:
    """The guide's usage example: a cached document of 100,000 tokens and a question of 50."""
    asked = [
        bench.protocol.Request(
            blocks=(_block(bench, 100_000, "document"), _block(bench, 50, question)),
            turn=1,
            at_s=0.0,
            marks=(0,),
        )
        for question in ("one", "two")
    ]
    assert _split(bench, "Sonnet", *asked) == [(50, 0, 100_000), (50, 100_000, 0)]


@pytest.mark.parametrize(
    ("blocks", "read"),
    [(15, 10), (29, 10), (30, 0), (35, 0)],
)
def test_anthropic_looks_at_twenty_positions_from_a_breakpoint(
    bench: SimpleNamespace, blocks: int, read: int
) -> None:
    """An entry at block 10 is position 20 of a breakpoint at block 29, and is missed from 30 on."""
    first, second = _request(bench, [200] * 10), _request(bench, [200] * blocks)
    assert _split(bench, "Sonnet", first, second)[1] == (0, 200 * read, 200 * (blocks - read))


def test_a_second_breakpoint_finds_what_the_last_one_does_not(bench: SimpleNamespace) -> None:
    first = _request(bench, [200] * 10)
    second = _request(bench, [200] * 35, marks=(20, 34))
    assert _split(bench, "Sonnet", first, second)[1] == (0, 2000, 5000)


def test_calls_of_tools_are_blocks_of_their_own(bench: SimpleNamespace) -> None:
    calls = tuple(bench.protocol.Call(str(at), "tool", "{}") for at in range(19))
    asks = _block(bench, 400, "", role="assistant", calls=calls)
    start = _block(bench, 2000, "start")
    requests = [
        bench.protocol.Request(blocks=blocks, turn=1, at_s=0.0)
        for blocks in ((start,), (start, asks), (start, _block(bench, 1, "x"), asks))
    ]
    assert asks.parts == 19
    assert _split(bench, "Sonnet", *requests)[1:] == [(0, 2000, 400), (0, 0, 2401)]


@pytest.mark.parametrize(
    ("model", "least"), [("Sonnet", 1024), ("Haiku 4.5", 4096), ("gpt-6-sol", 1024)]
)
def test_a_prompt_below_the_least_length_is_all_fresh(
    bench: SimpleNamespace, model: str, least: int
) -> None:
    short, enough = _request(bench, [least - 1]), _request(bench, [least], begin="b")
    assert _split(bench, model, short, short, enough, enough) == [
        (least - 1, 0, 0),
        (least - 1, 0, 0),
        (0, 0, least),
        (0, least, 0),
    ]


@pytest.mark.parametrize("model", ["Sonnet", "GPT-4o"])
def test_entries_live_five_minutes_from_their_last_use(bench: SimpleNamespace, model: str) -> None:
    times = (0, 300, 600, 901)
    found = _split(bench, model, *(_request(bench, [2048], at_s=at) for at in times))
    assert [read for _, read, _ in found] == [0, 2048, 2048, 0]


def test_an_entry_lives_on_when_a_longer_prompt_reads_it(bench: SimpleNamespace) -> None:
    """Every use refreshes an entry, and the request that used it ended elsewhere."""
    first, longer = _request(bench, [200] * 10), _request(bench, [200] * 15, at_s=250)
    again = _request(bench, [200] * 10, at_s=500)
    assert _split(bench, "Sonnet", first, longer, again)[2] == (0, 2000, 0)


def test_more_than_four_breakpoints_are_refused(bench: SimpleNamespace) -> None:
    with pytest.raises(bench.caches.TooManyMarks):
        _split(bench, "Sonnet", _request(bench, [1024] * 6, marks=(0, 1, 2, 3, 4)))


def test_breakpoints_stand_after_system_summary_and_end(bench: SimpleNamespace) -> None:
    kinds = ("system", "summary", "summary", "message", "message")
    blocks = tuple(_block(bench, 1, kind + str(at), kind=kind) for at, kind in enumerate(kinds))
    request = bench.protocol.Request(blocks=blocks, turn=1, at_s=0.0)
    assert bench.caches.marks_of(request) == (0, 2, 4)


def test_another_model_has_a_cache_of_its_own(bench: SimpleNamespace) -> None:
    main, cheap = _request(bench, [2048]), _request(bench, [2048], model="cheap", price=0.25)
    charges = bench.caches.bill([main, cheap, main], bench.prices.PRICE_MODELS["Sonnet"])
    assert [each.split.read for each in charges] == [0, 0, 2048]
    assert charges[1].nanos == charges[0].nanos / 4


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        # A million tokens of each kind, and a million of output, by the price lists.
        ("Sonnet", (3, 0.30, 3.75, 15)),
        ("Sonnet 5.5", (2, 0.10, 2.50, 10)),
        ("Haiku 4.5", (1, 0.10, 1.25, 5)),
        ("GPT-4o", (2.5, 1.25, 2.5, 10)),
        ("GPT-5.x", (1.25, 0.125, 1.25, 10)),
        ("gpt-6-sol", (2, 0.2, 2.5, 10)),
    ],
)
def test_prices_are_those_of_the_lists(
    bench: SimpleNamespace, model: str, usd: tuple[float, ...]
) -> None:
    caches, million = bench.caches, 10**6
    splits = [(million, 0, 0), (0, million, 0), (0, 0, million), (0, 0, 0)]
    found = [
        caches.nanos(
            caches.Split(*split), million if number == 3 else 0, bench.prices.PRICE_MODELS[model]
        )
        for number, split in enumerate(splits)
    ]
    assert [each / 1e9 for each in found] == pytest.approx(usd)


def test_a_hundred_turns_without_memory_cost_what_arithmetic_says(bench: SimpleNamespace) -> None:
    """2,300 tokens at first, 700 more each turn; what an earlier prompt had is read."""
    chat = bench.traffic.constant(100)
    sent = list(bench.baselines.NoMemory().requests(chat, None))
    whole = sum(2300 + 700 * turn for turn in range(100))
    new = 2300 + 700 * 99
    for model, expected in (
        ("Sonnet", (new * 3.75 + (whole - new) * 0.30) / 1e6),  # 1.356 USD
        ("uncached", whole * 3 / 1e6),
    ):
        charges = bench.caches.bill(sent, bench.prices.PRICE_MODELS[model])
        assert sum(each.nanos for each in charges) / 1e9 == pytest.approx(expected)


PAIR_CASES = {
    "a chat": ("u a u", []),
    "one call": ("u a1 t1 u", []),
    "two calls, answered the other way round": ("u a12 t2 t1", []),
    "an id that comes again": ("u a1 t1 u a1 t1", []),
    "a result at the beginning": ("t1 u", ["result without call", "first message"]),
    "a result whose call was cut off": ("u a t1 u", ["result without call"]),
    "a call whose result was cut off": ("u a1 u", ["call without result"]),
    "a call at the end": ("u a1", ["call without result"]),
    "a mixed orphan": ("u a12 t1 u", ["call without result"]),
    "a result twice": ("u a1 t1 t1 u", ["second result"]),
    "a result of an earlier call": (
        "u a1 t1 u a2 t1",
        ["result without call", "call without result"],
    ),
    "a result too late": ("u a1 u t1", ["call without result", "result without call"]),
    "the assistant first": ("a u", ["first message"]),
    "the system prompt does not count": ("s u s a u", []),
    "an empty question": ("e", ["empty"]),
    "nothing but the system prompt": ("s", ["no message"]),
}


@pytest.mark.parametrize("case", PAIR_CASES)
def test_requests_are_judged_by_the_providers_rules(bench: SimpleNamespace, case: str) -> None:
    written, expected = PAIR_CASES[case]
    roles = {"u": "user", "e": "user", "a": "assistant", "t": "tool", "s": "system"}
    blocks = []
    for each in written.split():
        asks = each[1:] if each[0] == "a" else ""
        blocks.append(
            _block(
                bench,
                1,
                "" if each[0] == "e" or asks else each,
                role=roles[each[0]],
                calls=tuple(bench.protocol.Call(number, "tool", "{}") for number in asks),
                answers=each[1:] if each[0] == "t" else "",
            )
        )
    assert [breach.rule for breach in bench.pairs.breaches(blocks)] == expected


def test_synthetic_messages_have_exactly_the_sizes_asked_for(bench: SimpleNamespace) -> None:
    chat = bench.traffic.constant(5)
    assert [each.tokens for each in (*chat.head, *chat.messages)] == [2000, *[300, 400] * 5]
    assert len({each.text for each in chat.messages}) == 10
    assert chat == bench.traffic.constant(5)


@pytest.mark.parametrize("kind", ["constant", "log-normal", "bursty", "idle gaps"])
def test_traffic_is_of_about_one_size_whatever_its_kind(bench: SimpleNamespace, kind: str) -> None:
    chats = [bench.traffic.TRAFFIC[kind](150, seed=seed) for seed in range(3)]
    mean = sum(each.tokens for chat in chats for each in chat.messages) / 450
    assert 500 < mean < 1000
    gaps = [b - a for chat in chats for a, b in zip(chat.at_s, chat.at_s[1:], strict=False)]
    cold = sum(gap > 300 for gap in gaps) / len(gaps)
    assert 0.12 < cold < 0.28 if kind == "idle gaps" else cold == 0


def _peers(bench: SimpleNamespace) -> dict[str, Any]:
    """LangChain's memories with limits that nothing reaches."""
    langchain, limit = bench.peers_langchain, 10**9
    return {
        "trim_messages": langchain.trimmed(limit),
        "SummarizationMiddleware": bench.peers_agent.summarised_by_middleware(
            ("tokens", limit), ("tokens", 2000)
        ),
        "ConversationSummaryBufferMemory": langchain.summary_buffer(limit),
    }


@pytest.mark.parametrize(
    "peer", ["trim_messages", "SummarizationMiddleware", "ConversationSummaryBufferMemory"]
)
@pytest.mark.parametrize("kind", ["chat", "tools"])
def test_a_peer_with_room_for_everything_sends_what_no_memory_sends(
    bench: SimpleNamespace, peer: str, kind: str
) -> None:
    chat = bench.traffic.constant(4) if kind == "chat" else bench.traffic.tool_run(8)
    played = bench.recorder.Peer(peer, _peers(bench)[peer], 50).requests(chat, None)
    whole = bench.baselines.NoMemory().requests(chat, None)
    keys = [[[each.key for each in sent.blocks] for sent in system] for system in (played, whole)]
    assert keys[0] == keys[1]


def test_a_summarisers_whole_prompt_is_on_the_bill(bench: SimpleNamespace) -> None:
    chat = bench.traffic.constant(12)
    play = bench.peers_agent.summarised_by_middleware(("tokens", 4000), ("tokens", 2000))
    sent = list(bench.recorder.Peer("middleware", play, 100).requests(chat, None))
    summaries = [each for each in sent if each.purpose == "summary"]
    assert summaries
    assert len(sent) == 12 + len(summaries)
    for each in summaries:
        assert each.output_tokens == 100
        assert chat.messages[0].tokens < each.tokens
        assert each.marks == ()
    first = summaries[0]
    assert chat.messages[0].text in first.blocks[0].text
    answer = next(each for each in sent if each.turn == first.turn and each.purpose == "answer")
    assert [each.kind for each in answer.blocks[:2]] == ["system", "summary"]


@pytest.mark.parametrize("kind", ["constant", "tools"])
@pytest.mark.parametrize("appended", [False, True])
def test_plain_policies_send_valid_requests(
    bench: SimpleNamespace, kind: str, appended: bool
) -> None:
    chat = bench.traffic.constant(40) if kind == "constant" else bench.traffic.tool_run(60)
    for policy in (
        bench.baselines.WaterMark(high=5000, appended=appended),
        bench.baselines.RentOrBuy(appended=appended),
        bench.baselines.WaterMark(high=1000, kept=10, appended=appended),
    ):
        sent = list(policy.requests(chat, bench.prices.PRICE_MODELS["Sonnet"]))
        found = bench.pairs.validity(sent)
        assert found.requests > len(chat.at_s)
        assert found.valid == found.requests


@pytest.mark.parametrize(
    ("ratios", "worst_length", "cheaper_from"),
    [
        ([1.0, 1.0, 1.2, 1.1, 0.9, 0.8], 3, 5),
        ([1.0, 0.9, 1.1, 1.0, 0.9, 0.8], 3, 5),
        ([1.0, 1.0, 0.9], 1, 3),
        ([1.0, 1.2, 1.3], 3, 4),  # never: one more than there are
        ([1.0, 1.0, 1.0], 1, 4),
    ],
)
def test_the_length_from_which_a_memory_pays(
    bench: SimpleNamespace, ratios: list[float], worst_length: int, cheaper_from: int
) -> None:
    import numpy as np

    against = bench.measure.AgainstNone(np.array(ratios))
    assert (against.worst_length, against.below_from) == (worst_length, cheaper_from)


def test_planted_facts_are_said_once_and_asked_fifty_turns_later(bench: SimpleNamespace) -> None:
    chat = bench.recall.planted(0, facts=6)
    users = [each.text for each in chat.messages if each.role == "user"]
    assert len(chat.wanted) == 6
    for turn, value in chat.wanted.items():
        assert value in users[turn - 51]
        assert sum(value in each.text for each in chat.messages) == 1
        assert users[turn - 1].endswith("?")


def test_recalling_on_every_turn_finds_what_was_dropped(bench: SimpleNamespace) -> None:
    """What is recalled stands behind the question, and is written to no cache."""
    chat = bench.recall.planted(0, facts=6)
    model = bench.prices.PRICE_MODELS["Sonnet"]
    sent = bench.recall_always.RecallAlways(summary_tokens=50).requests(chat, model)
    prompts = {each.turn: each for each in sent if each.purpose == "answer"}
    for turn, value in chat.wanted.items():
        *before, recalled = prompts[turn].blocks
        assert (before[-1].kind, recalled.kind) == ("message", "recall")
        assert value in recalled.text
        assert recalled.tokens <= 4100
        assert max(bench.caches.marks_of(prompts[turn])) == len(before) - 1


def test_every_number_asked_for_is_a_figure(bench: SimpleNamespace, tmp_path: Path) -> None:
    """With stand-ins under the library's names: a misspelt figure would never be judged."""
    ours = [bench.baselines.RentOrBuy(name=name) for name in bench.lengths.EITHER]
    rows = [
        {"task_id": 1, "name": "run", "messages": [
            {"role": "system", "content": "You book flights."},
            {"role": "user", "content": "Book one."},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "1", "function": {"name": "book", "arguments": "{\"flight\": 7}"}}]},
            {"role": "tool", "content": "booked", "tool_call_id": "1"},
            {"role": "assistant", "content": "Done."},
        ]},
    ]  # fmt: skip
    for name in bench.traffic.SETS:
        folder = tmp_path / "memory" / name
        folder.mkdir(parents=True)
        with gzip.open(folder / "data.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    runs = bench.measure.Runs()
    buffer = bench.recorder.Peer(
        "ConversationSummaryBufferMemory 4k", bench.peers_langchain.summary_buffer(4000), 50
    )
    found = {
        **bench.lengths.figures([*ours, buffer], runs, turns=25, plot=None),
        **bench.hindsight.figures(ours, runs, summary_tokens=50, turns=8, seeds=(0,)),
        **bench.sets.figures(ours, runs, data=tmp_path),
        **bench.recall.figures(ours, runs, seeds=(0,)),
    }
    asked: set[str] = set()
    for part in (bench.lengths, bench.hindsight, bench.sets, bench.recall):
        asked |= set(part.asked())
    assert asked <= set(found)


def test_sets_that_are_absent_are_named(bench: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(bench.traffic.DataAbsent, match="--data"):
        bench.traffic.public("tau_bench", tmp_path)


def test_a_memory_that_does_not_exist_yet_is_not_run(bench: SimpleNamespace) -> None:
    class Missing:
        name, priced = "missing", False

        def requests(self, conversation: Any, model: Any) -> Iterator[Any]:
            raise NotImplementedError("not yet")

    runs = bench.measure.Runs()
    model = bench.prices.PRICE_MODELS["Sonnet"]
    assert runs.requests(Missing(), bench.traffic.constant(1), model) is None
    assert runs.absent == {"missing": "not yet"}
