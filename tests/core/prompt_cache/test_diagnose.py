"""Why a cache was missed, since when, and what it cost: on requests that a simulated provider has
billed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from frugal_chains.prompt_cache import (
    BlockText,
    CachePlanError,
    Diagnosis,
    SentRequest,
    diagnose,
    fingerprints,
    from_json,
    read_reason,
    to_json,
)
from frugal_chains.providers import CacheControls, cache_controls
from frugal_chains.usage import Usage
from tests.core.prompt_cache.bodies import SONNET, Body, parts, terms, text_block, tool
from tests.servers import AnthropicPromptCache, ManualClock, OpenAIPromptCache
from tests.servers.reply import Tokens

CLAUDE = cache_controls("anthropic", "claude-sonnet-4-6")
GPT_4O = cache_controls("openai", "gpt-4o")
GPT_5_6 = cache_controls("openai", "gpt-5.6-sol")
KEY = b"0123456789abcdef"
FOUR_O = {"": terms(2500, read=1250, fresh=2500, step=128)}
SOL = {"30m": terms(5000, read=400, fresh=4000)}


def usage(got: Tokens) -> Usage:
    return Usage(
        input_tokens=got.input,
        cache_read_tokens=got.cache_read,
        cache_write_5m_tokens=got.cache_write_5m,
        cache_write_1h_tokens=got.cache_write_1h,
    )


def nanos(got: Tokens) -> float:
    """By hand: 3,000 fresh, 300 read, 3,750 and 6,000 written."""
    return (
        got.fresh * 3000
        + got.cache_read * 300
        + got.cache_write_5m * 3750
        + got.cache_write_1h * 6000
    )


class Provider:
    """Sends requests marked at the end of instructions and of the conversation; remembers them."""

    def __init__(self, least: int = 1024) -> None:
        self.clock = ManualClock()
        self.cache = AnthropicPromptCache(clock=self.clock, min_tokens=least)

    def send(
        self, body: Body, *, ttl: str = "5m", mark: bool = True, **setting: str
    ) -> SentRequest:
        control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if mark else {}
        system = [*body["system"][:-1], body["system"][-1] | control]
        last = body["messages"][-1]
        content = [*last["content"][:-1], last["content"][-1] | control]
        messages = [*body["messages"][:-1], {**last, "content": content}]
        got = self.cache.look_up({**body, "system": system, "messages": messages})
        blocks = parts(body)
        marks = [len(body["tools"]) + len(body["system"]), len(blocks)]
        return SentRequest(
            print=prints(body, **setting),
            usage=usage(got),
            at_s=self.clock.now_s,
            marked=tuple(marks) if mark else (),
            ttl=ttl,
        )


def prints(body: Body, **setting: str) -> Any:
    blocks = [
        BlockText(
            kind=group if group in ("tools", "system") else "message",  # type: ignore[arg-type]
            text=json.dumps(block),
            tokens=-(-len(json.dumps(block)) // 4),
            name=block.get("name", ""),
        )
        for group, block in parts(body)
    ]
    settings = {"tool_choice": "auto", **setting}
    return fingerprints(blocks, key=KEY, model=body["model"], settings=settings)


def chat(turns: int = 1) -> Body:
    body: Body = {
        "model": "claude-sonnet-4-6",
        "tools": [tool("weigh", 500), tool("roast", 500)],
        "system": [text_block("rules ", 800), text_block("house ", 800)],
        "messages": [{"role": "user", "content": [text_block("q0 ", 300)]}],
    }
    for turn in range(1, turns):
        body["messages"] += [
            {"role": "assistant", "content": [text_block(f"a{turn} ", 200)]},
            {"role": "user", "content": [text_block(f"q{turn} ", 300)]},
        ]
    return body


def claude(before: SentRequest | None, after: SentRequest, **more: Any) -> Diagnosis:
    return diagnose(before, after, controls=CLAUDE, terms=SONNET, **more)


def edited(change: Callable[[Body], None], turns: int = 3) -> Body:
    body = chat(turns)
    change(body)
    return body


def test_a_hit_costs_nothing() -> None:
    provider = Provider()
    before, after = provider.send(chat(2)), provider.send(chat(3))
    found = claude(before, after)
    assert (found.cause, found.missed_tokens, found.cost_nanos) == ("hit", 0, 0)
    assert found.read_tokens == found.reusable_tokens == before.usage.input_tokens
    assert (found.since_s, found.agrees) == (None, None)


def test_the_first_request_has_nothing_to_miss() -> None:
    assert claude(None, Provider().send(chat())).cause == "first"


CHANGES: list[tuple[str, Callable[[Body], None], str, int | None, str]] = [
    (
        "model",
        lambda b: b.update(model="claude-opus-4-8"),
        "model-changed",
        None,
        "claude-opus-4-8",
    ),
    ("tool added", lambda b: b["tools"].insert(0, tool("taste", 100)), "tool-added", 0, "taste"),
    ("tool removed", lambda b: b["tools"].pop(), "tool-removed", 1, "roast"),
    ("tools reordered", lambda b: b["tools"].reverse(), "tools-reordered", 0, "roast"),
    ("tool changed", lambda b: b["tools"][1].update(description="x"), "tool-changed", 1, "roast"),
    ("system", lambda b: b["system"][0].update(text="12:31"), "system-changed", 0, ""),
    (
        "message changed",
        lambda b: b["messages"][1]["content"][0].update(text="cut"),
        "message-changed",
        1,
        "",
    ),
    ("message removed", lambda b: b["messages"].pop(1), "message-removed", 1, ""),
]


@pytest.mark.parametrize(
    ("change", "cause", "index", "name"),
    [row[1:] for row in CHANGES],
    ids=[row[0] for row in CHANGES],
)
@pytest.mark.parametrize("from_ledger", [False, True], ids=["live", "stored"])
def test_what_changed_is_named_and_priced(
    change: Callable[[Body], None], cause: str, index: int | None, name: str, from_ledger: bool
) -> None:
    """The cost is the difference between the bill and that of the same request unchanged, of the
    tokens that were there to be read."""
    provider = Provider()
    before = provider.send(chat(3))
    body = edited(change)
    body["messages"] = [*body["messages"], *chat(4)["messages"][-2:]]
    after = provider.send(body)
    if from_ledger:
        before = replace(before, print=from_json(json.loads(json.dumps(to_json(before.print)))))
    found = claude(before, after)
    if from_ledger and cause == "message-removed":
        cause = "message-changed"  # as many messages as before: not told apart
    if from_ledger and cause == "tool-removed":
        name = ""
    assert found.difference is not None
    assert (found.cause, found.difference.index) == (cause, index)
    assert found.difference.name == name
    left = min(before.usage.input_tokens, after.usage.input_tokens)
    assert found.missed_tokens == left - after.usage.cache_read_tokens > 0
    assert found.cost_nanos == found.missed_tokens * (3750 - 300)


def test_a_setting_that_loses_the_messages_alone() -> None:
    """Of `tool_choice` the page says that tools and system stay: the marker of system is read."""
    provider = Provider()
    before = provider.send(chat(3))
    after = provider.send(chat(4), tool_choice="none")
    head = sum(len(json.dumps(b)) // 4 for b in chat()["tools"])
    lost = replace(
        after,
        usage=Usage(
            input_tokens=after.usage.input_tokens,
            cache_read_tokens=head,
            cache_write_5m_tokens=after.usage.input_tokens - head,
        ),
    )
    found = claude(before, lost)
    assert found.cause == "setting-changed"
    assert found.difference is not None
    assert (found.difference.name, found.difference.level) == ("tool_choice", "messages")


@pytest.mark.parametrize(("ttl", "minutes"), [("5m", 5), ("1h", 60)])
def test_an_entry_that_has_expired(ttl: str, minutes: int) -> None:
    provider = Provider()
    before = provider.send(chat(2), ttl=ttl)
    provider.clock.advance(minutes * 60)
    after = provider.send(chat(3), ttl=ttl)
    found = claude(before, after)
    assert (found.cause, found.difference) == ("expired", None)
    write = {"5m": 3750, "1h": 6000}[ttl]
    assert found.cost_nanos == before.usage.input_tokens * (write - 300)


def test_an_entry_for_an_hour_has_not_expired_after_ten_minutes() -> None:
    provider = Provider()
    before = provider.send(chat(2), ttl="1h")
    provider.clock.advance(600)
    provider.cache = AnthropicPromptCache(clock=provider.clock)
    assert claude(before, provider.send(chat(3), ttl="1h")).cause == "evicted"


def test_an_entry_that_has_gone_before_its_time() -> None:
    provider = Provider()
    before = provider.send(chat(2))
    provider.cache = AnthropicPromptCache(clock=provider.clock)
    assert claude(before, provider.send(chat(3))).cause == "evicted"


def test_a_request_in_parallel_finds_nothing_yet() -> None:
    provider = Provider()
    before = replace(provider.send(chat(2)), answered_s=4.0)
    provider.cache = AnthropicPromptCache(clock=provider.clock)
    provider.clock.advance(1)
    assert claude(before, provider.send(chat(2))).cause == "parallel"
    provider.clock.advance(9)
    provider.cache = AnthropicPromptCache(clock=provider.clock)
    assert claude(before, provider.send(chat(2))).cause == "evicted"


def test_an_entry_out_of_reach() -> None:
    """25 blocks more, one marker at the end: the page's third turn."""
    provider = Provider()
    before = provider.send(chat(2))
    body = chat(2)
    body["system"] = body["system"]
    many = [text_block(f"b{n} ", 50) for n in range(25)]
    body["messages"].append({"role": "assistant", "content": many})
    body["messages"].append({"role": "user", "content": [text_block("q", 50)]})
    after = provider.send(body)
    found = claude(before, after)
    assert found.cause == "look-back"
    # The marker behind the instructions is found, the conversation is written again.
    assert found.read_tokens > 0
    assert found.missed_tokens == before.usage.input_tokens - after.usage.cache_read_tokens


def test_no_marker_no_cache() -> None:
    provider = Provider()
    before, after = provider.send(chat(2)), provider.send(chat(3), mark=False)
    assert claude(before, after).cause == "unmarked"
    never = [provider.send(chat(n), mark=False) for n in (2, 3)]
    found = claude(*never)
    assert (found.cause, found.missed_tokens, found.cost_nanos) == ("unmarked", 0, 0)


def test_a_prompt_below_the_minimum() -> None:
    provider = Provider(least=4096)
    before, after = provider.send(chat(1)), provider.send(chat(1))
    haiku = {"5m": terms(1250, fresh=1000, read=100, least=4096)}
    found = diagnose(before, after, controls=CLAUDE, terms=haiku)
    assert (found.cause, found.missed_tokens) == ("below-minimum", 0)


def test_a_change_behind_what_was_kept_is_not_the_cause() -> None:
    """The last message of the request before was the time: it was not marked, and what was marked
    has expired."""
    provider = Provider()
    body = chat(2)
    before = provider.send(body)
    with_tail = {
        **body,
        "messages": [*body["messages"], {"role": "user", "content": [text_block("12:30", 400)]}],
    }
    before = replace(
        before,
        print=prints(with_tail),
        usage=Usage(
            input_tokens=before.usage.input_tokens + 400,
            cache_write_5m_tokens=before.usage.input_tokens,
        ),
    )
    provider.clock.advance(400)
    assert claude(before, provider.send(chat(3))).cause == "expired"


def test_since_when_and_what_it_cost_in_all() -> None:
    """Two calls that hit, then a time in the instructions on every call."""
    provider, sent, bills = Provider(), [], []
    for turn in range(1, 7):
        body = chat(turn)
        if turn > 2:
            body["system"][1] = text_block(f"It is 12:3{turn}. ", 800)
        sent.append(provider.send(body))
        bills.append(sent[-1].usage)
        provider.clock.advance(60)
    found = claude(sent[-2], sent[-1], earlier=sent[:-2])
    assert (found.cause, found.since_s, found.requests) == ("system-changed", 120.0, 4)
    left = [one.input_tokens for one in bills[:-1]]
    read = [one.cache_read_tokens for one in bills[1:]]
    missed = [a - b for a, b in zip(left, read, strict=True)][1:]
    assert found.total_nanos == sum(missed) * (3750 - 300)
    assert found.cost_nanos == missed[-1] * (3750 - 300)


def test_another_cause_in_between_ends_the_row() -> None:
    provider, sent = Provider(), []
    for turn, pause in [(1, 60), (2, 400), (3, 400), (4, 60)]:
        body = chat(turn)
        if turn >= 4:
            body["system"][1] = text_block("new ", 800)
        sent.append(provider.send(body))
        provider.clock.advance(pause)
    found = claude(sent[2], sent[3], earlier=sent[:2])
    assert (found.cause, found.requests, found.since_s) == ("system-changed", 1, 860.0)
    assert found.total_nanos == found.cost_nanos
    found = claude(sent[1], sent[2], earlier=sent[:1])
    assert (found.cause, found.requests) == ("expired", 1)


def behind_what_was_kept(
    at_s: float, *, system: tuple[str, str] = ("a ", "b "), read: int = 0
) -> SentRequest:
    """Marked behind the tools alone, some 1,000 tokens of 2,900."""
    body = chat()
    body["system"] = [text_block(text, 800) for text in system]
    usage = Usage(input_tokens=2_900, cache_read_tokens=read, cache_write_5m_tokens=1_000 - read)
    return SentRequest(print=prints(body), usage=usage, at_s=at_s, ttl="5m", marked=(2,))


def test_changes_behind_what_was_kept_do_not_end_a_row() -> None:
    first = behind_what_was_kept(0)
    second = behind_what_was_kept(400, system=("other ", "b "))
    third = behind_what_was_kept(800, system=("other ", "more "))
    found = claude(second, third, earlier=[first])
    assert found.difference is not None
    assert (found.cause, found.difference.change) == ("expired", "system-changed")
    assert (found.requests, found.since_s) == (2, 400)
    assert found.total_nanos == 2 * 1_000 * (3750 - 300)


@pytest.mark.parametrize(("read", "cause"), [(0, "expired"), (1_000, "hit")])
def test_of_a_change_behind_what_was_kept_a_provider_need_not_tell(read: int, cause: str) -> None:
    before = behind_what_was_kept(0)
    after = behind_what_was_kept(400, system=("a ", "other "), read=read)
    for theirs, agrees in (
        ({"diagnostics": None}, True),
        (reason("system_changed"), True),
        (reason("tools_changed"), False),
    ):
        found = claude(before, after, theirs=theirs)
        assert (found.cause, found.agrees) == (cause, agrees)


def test_what_was_written_for_an_hour_is_paid_as_that() -> None:
    before = behind_what_was_kept(0)
    for short, paid in ((900, 400 * 3750), (100, 100 * 3750 + 300 * 3000)):
        usage = Usage(input_tokens=2_900, cache_write_5m_tokens=short, cache_write_1h_tokens=600)
        found = claude(before, replace(before, at_s=9.0, usage=usage))
        assert found.cost_nanos == 600 * 6000 + paid - 1_000 * 300


def test_where_markers_are_not_known_none_is_missed() -> None:
    before, after = behind_what_was_kept(0), behind_what_was_kept(9)
    assert claude(before, replace(after, marked=None)).cause == "evicted"
    assert claude(before, replace(after, marked=())).cause == "unmarked"


@pytest.mark.parametrize(
    ("controls", "terms", "least"),
    [(CLAUDE, SONNET, 1), (GPT_4O, FOUR_O, 128)],
    ids=["claude", "gpt-4o"],
)
def test_a_whole_step_less_is_a_miss(
    controls: CacheControls, terms: dict[str, Any], least: int
) -> None:
    usage = Usage(input_tokens=2_560, cache_write_5m_tokens=2_560)
    before = replace(behind_what_was_kept(0), usage=usage)
    for missed, cause in ((least, "evicted"), (least - 1, "hit")):
        usage = Usage(input_tokens=2_900, cache_read_tokens=2_560 - missed)
        after = replace(before, at_s=9.0, usage=usage)
        found = diagnose(before, after, controls=controls, terms=terms)
        assert (found.cause, found.missed_tokens) == (cause, missed if cause == "evicted" else 0)


def test_an_entry_that_was_gone_before_its_time_ends_a_row_of_those_that_expired() -> None:
    sent = [behind_what_was_kept(at_s) for at_s in (0, 400, 410)]
    found = claude(*sent[1:], earlier=sent[:1])
    assert (found.cause, found.requests, found.since_s) == ("evicted", 1, 410)


def test_messages_that_change_one_after_the_other_are_one_row() -> None:
    """A tool result is cut on every call, each time another one."""
    provider, sent = Provider(), []
    for turn in range(4):
        body = chat(6)
        for cut in range(turn):
            body["messages"][2 * cut + 1]["content"][0].update(text="cut")
        sent.append(provider.send(body))
        provider.clock.advance(9)
    found = claude(*sent[-2:], earlier=sent[:-2])
    assert found.difference is not None
    assert (found.cause, found.difference.index) == ("message-changed", 5)
    assert (found.requests, found.since_s) == (3, sent[1].at_s)


# Providers that cache by themselves, and OpenAI's breakpoints.


def openai_sent(cache: OpenAIPromptCache, at_s: float, *texts: str) -> SentRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]}
    blocks = [BlockText(kind="message", text=text, tokens=len(text) // 4) for text in texts]
    made = fingerprints(blocks, key=KEY, model="m")
    return SentRequest(print=made, usage=usage(cache.look_up(body)), at_s=at_s)


def test_the_longest_prefix_in_steps_is_no_miss() -> None:
    """2,006 tokens, 1,920 of them read: what is left over is less than a step of 128."""
    clock = ManualClock()
    cache = OpenAIPromptCache(clock=clock)
    first = openai_sent(cache, 0, "a" * 8000)
    second = openai_sent(cache, 1, "a" * 8000)
    assert second.usage.cache_read_tokens % 128 == 0
    assert diagnose(first, second, controls=GPT_4O, terms=FOUR_O).cause == "hit"
    changed = openai_sent(cache, 2, "b" * 8000)
    found = diagnose(second, changed, controls=GPT_4O, terms=FOUR_O)
    assert found.cause == "message-changed"
    assert found.missed_tokens == second.usage.cache_read_tokens
    # Nothing was written: it was billed as fresh, for 2,500, and not for 1,250.
    assert found.cost_nanos == found.missed_tokens * 1250
    clock.advance(300)
    late = openai_sent(cache, 302, "b" * 8000)
    assert diagnose(changed, late, controls=GPT_4O, terms=FOUR_O).cause == "expired"


def test_gpt_5_5_reads_up_to_a_multiple_of_2048() -> None:
    """ "Spaced at regular 2,048-token intervals": 10,000 tokens, of which 8,192 are read."""
    one = SentRequest(print=prints(chat(2)), usage=Usage(input_tokens=10_000), at_s=0.0)
    two = replace(one, usage=Usage(input_tokens=10_500, cache_read_tokens=8192), at_s=9.0)
    found = diagnose(one, two, controls=cache_controls("openai", "gpt-5.5"), terms=FOUR_O)
    assert found.cause == "hit"
    assert diagnose(one, two, controls=GPT_4O, terms=FOUR_O).cause == "evicted"


def test_gpt_5_6_by_the_documents_example() -> None:
    """prompt_cache_diagnostics: another key, 1,280 of 1,280 reusable tokens were missed."""
    one, two = (
        SentRequest(
            print=fingerprints(
                [BlockText(kind="system", text="policy", tokens=1280)],
                key=KEY,
                model="gpt-5.6",
                settings={"cache_key": f"support-policy:request-{n}"},
            ),
            usage=Usage(input_tokens=1300, cache_write_5m_tokens=1280),
            at_s=float(n),
        )
        for n in (1, 2)
    )
    theirs = {
        "prompt_cache_diagnostics": {
            "type": "cache_miss",
            "reason": "prompt_cache_key_changed",
            "comparison_reusable_tokens": 1280,
            "cache_missed_tokens": 1280,
        }
    }
    found = diagnose(one, two, controls=GPT_5_6, terms=SOL, theirs=theirs)
    assert (found.cause, found.reusable_tokens, found.missed_tokens) == (
        "setting-changed",
        1280,
        1280,
    )
    assert found.agrees is True
    assert found.theirs is not None
    assert found.theirs.missed_tokens == 1280
    assert found.cost_nanos == 1280 * (5000 - 400)


# What providers say themselves.


def changed_system() -> tuple[SentRequest, SentRequest]:
    provider = Provider()
    before = provider.send(chat(3))
    after = provider.send(edited(lambda b: b["system"][0].update(text="12:31")))
    return before, after


def reason(kind: str, **more: int) -> dict[str, Any]:
    return {"diagnostics": {"cache_miss_reason": {"type": kind, **more}}}


@pytest.mark.parametrize(
    ("theirs", "agrees"),
    [
        (reason("system_changed", cache_missed_input_tokens=2600), True),
        (reason("tools_changed", cache_missed_input_tokens=2600), False),
        (reason("messages_changed", cache_missed_input_tokens=90), False),
        (reason("model_changed", cache_missed_input_tokens=90), False),
        (reason("previous_message_not_found"), None),
        (reason("unavailable"), None),
        (reason("something_new"), None),
        ({"diagnostics": {"cache_miss_reason": None}}, None),
        ({"diagnostics": None}, False),
        ({"cache_miss_reason": {"type": "system_changed"}}, True),
        ({}, None),
        ({"diagnostics": "?"}, None),
        ({"prompt_cache_diagnostics": {"type": "cache_miss", "reason": "input_changed"}}, True),
        ({"type": "cache_miss", "reason": "tools_changed"}, False),
        ({"type": "cache_hit"}, False),
        ({"type": "unavailable"}, None),
        ({"type": "comparison_response_not_found"}, None),
        ({"type": "message"}, None),
    ],
    ids=str,
)
def test_the_providers_word_is_compared(theirs: dict[str, Any], agrees: bool | None) -> None:
    before, after = changed_system()
    found = claude(before, after, theirs=theirs)
    assert found.cause == "system-changed"
    assert found.agrees is agrees


@pytest.mark.parametrize(
    ("change", "part"),
    [
        *((row[1], row[0].split()[0].removesuffix("s")) for row in CHANGES),
        (lambda b: b["system"].insert(0, text_block("new ", 50)), "system"),
        (lambda b: b["system"].pop(0), "system"),
        (lambda b: b["system"].reverse(), "system"),
        (lambda b: b["messages"].insert(1, b["messages"][0] | {"role": "assistant"}), "message"),
    ],
    ids=[*(row[0] for row in CHANGES), "system added", "system removed", "system reordered",
         "message added"],
)  # fmt: skip
def test_the_provider_blames_the_part_that_changed(
    change: Callable[[Body], None], part: str
) -> None:
    """By the four types of Anthropic's page."""
    provider = Provider()
    before, after = provider.send(chat(3)), provider.send(edited(change))
    for kind in ("model", "tool", "system", "message"):
        said = f"{kind}s_changed" if kind in ("tool", "message") else f"{kind}_changed"
        assert claude(before, after, theirs=reason(said)).agrees is (kind == part), kind


def test_nothing_changed_and_the_provider_says_so() -> None:
    """The page's matrix: `null` and low reads: the entry was no longer available."""
    provider = Provider()
    before = provider.send(chat(2))
    provider.clock.advance(300)
    after = provider.send(chat(3))
    assert claude(before, after, theirs={"diagnostics": None}).agrees is True
    assert claude(before, after, theirs=reason("messages_changed")).agrees is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (reason("tools_changed", cache_missed_input_tokens=2600), ("tools_changed", 2600)),
        (reason("tools_changed", cache_missed_input_tokens=-1), ("tools_changed", None)),
        (reason("tools_changed", cache_missed_input_tokens=True), ("tools_changed", None)),
        ({"diagnostics": {"cache_miss_reason": None}}, ("pending", None)),
        ({"diagnostics": {"cache_miss_reason": 3}}, None),
        ({"type": "cache_miss", "reason": "x" * 200, "cache_missed_tokens": 5}, ("x" * 64, 5)),
        ({"type": "cache_miss"}, ("", None)),
        ({"type": "cache_hit"}, ("cache_hit", None)),
        ({"type": "unavailable"}, ("unavailable", None)),
        ({"type": "comparison_response_not_found"}, ("comparison_response_not_found", None)),
        # A response of Anthropic's that was not asked for a reason.
        ({"type": "message", "content": []}, None),
        ({"prompt_cache_diagnostics": None}, None),
    ],
    ids=str,
)
def test_reasons_are_read_or_left(
    given: dict[str, Any], expected: tuple[str, int | None] | None
) -> None:
    found = read_reason(given)
    assert (None if found is None else (found.reason, found.missed_tokens)) == expected


def test_a_real_answer_of_the_sdk_is_read() -> None:
    """The types that come with the client."""
    from anthropic.types.beta import BetaCacheMissSystemChanged, BetaDiagnostics

    miss = BetaCacheMissSystemChanged(type="system_changed", cache_missed_input_tokens=7)
    found = read_reason({"diagnostics": BetaDiagnostics(cache_miss_reason=miss).model_dump()})
    assert found is not None
    assert (found.reason, found.missed_tokens, found.parts) == ("system_changed", 7, {"system"})


@pytest.mark.parametrize("controls", [CLAUDE, GPT_4O], ids=["claude", "gpt-4o"])
def test_terms_of_no_time_to_live_are_refused(controls: CacheControls) -> None:
    before, after = changed_system()
    with pytest.raises(CachePlanError, match="times to live"):
        diagnose(before, after, controls=controls, terms={"2w": SONNET["5m"]})
