"""Whole requests: what is counted, what is exact, and what is reserved."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts, ToolFacts
from frugal_chains.tokens import TokenCount, TokenCounter, worst_case_tokens

# OpenAI cookbook, "How to count tokens with tiktoken", section 6: messages and the counts that the
# API returned for them.
JARGON = RequestFacts(
    messages=tuple(
        MessageFacts(role="user" if role == "user" else "system", name=name, text=text)
        for role, name, text in (
            (
                "system",
                "",
                "You are a helpful, pattern-following assistant that translates corporate jargon "
                "into plain English.",
            ),
            ("system", "example_user", "New synergies will help drive top-line growth."),
            (
                "system",
                "example_assistant",
                "Things working well together will increase revenue.",
            ),
            (
                "system",
                "example_user",
                "Let's circle back when we have more bandwidth to touch base on opportunities for "
                "increased leverage.",
            ),
            (
                "system",
                "example_assistant",
                "Let's talk later when we're less busy about how to do better.",
            ),
            (
                "user",
                "",
                "This late pivot means we don't have time to boil the ocean for the client "
                "deliverable.",
            ),
        )
    )
)
API_COUNTS = [
    ("gpt-3.5-turbo", 129),
    ("gpt-4-0613", 129),
    ("gpt-4", 129),
    ("gpt-4o", 124),
    ("gpt-4o-mini", 124),
]

# Section 7: the same for a request with a tool.
WEATHER_TOOL = ToolFacts(
    name="get_current_weather",
    description="Get the current weather in a given location",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        }
    ),
)
WEATHER = RequestFacts(
    messages=(
        MessageFacts(
            role="system",
            text="You are a helpful assistant that can answer to questions about the weather.",
        ),
        MessageFacts(role="user", text="What's the weather like in San Francisco?"),
    ),
    tools=(WEATHER_TOOL,),
)
API_TOOL_COUNTS = [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]

HELLO = RequestFacts(messages=(MessageFacts(role="user", text="hello, world"),))


@pytest.mark.parametrize(("model", "tokens"), API_COUNTS)
def test_chat_requests_count_as_the_api_counted_them(
    counter: TokenCounter, model: str, tokens: int
) -> None:
    count = counter.count_request(JARGON, model=model, provider="openai")
    assert (count.tokens, count.exact) == (tokens, True)


@pytest.mark.parametrize(("model", "tokens"), API_TOOL_COUNTS)
def test_a_flat_tool_counts_as_the_api_counted_it_but_is_no_proof(
    counter: TokenCounter, model: str, tokens: int
) -> None:
    count = counter.count_request(WEATHER, model=model)
    assert (count.tokens, count.exact, count.method) == (tokens, False, "frame")


@pytest.mark.parametrize(
    ("model", "tokens"),
    # ctok 1.3.0, README: what Anthropic's count_tokens gives for this one message.
    [("claude-sonnet-4-5", 10), ("claude-opus-4-7", 15), ("claude-opus-4-8", 10)],
)
def test_claude_frames_a_message_as_count_tokens_says(
    counter: TokenCounter, model: str, tokens: int
) -> None:
    count = counter.count_request(HELLO, model=model, provider="anthropic")
    assert (count.tokens, count.exact, count.method) == (tokens, False, "proxy")


@pytest.mark.parametrize(
    ("model", "provider", "exact"),
    [
        ("gpt-4o", None, True),
        ("gpt-4o", "openai", True),
        ("gpt-4o-2024-08-06", "azure_openai", True),
        ("ft:gpt-4o-mini-2024-07-18:acme::9x", "openai", True),
        ("openai/gpt-4o", "openrouter", False),  # another host may frame it otherwise
        ("gpt-5", "openai", False),  # its frame is inferred, not published
        ("o3-mini", "openai", False),
        ("claude-sonnet-4-5", "anthropic", False),
        ("my-deployment", "azure_openai", False),
        ("text-embedding-3-small", "openai", True),
    ],
)
def test_only_published_frames_are_exact(
    counter: TokenCounter, model: str, provider: str | None, exact: bool
) -> None:
    assert counter.count_request(HELLO, model=model, provider=provider).exact is exact


def test_embeddings_have_no_frame(counter: TokenCounter) -> None:
    alone = counter.count_text("hello, world", model="text-embedding-3-small")
    asked = counter.count_request(HELLO, model="text-embedding-3-small")
    assert asked.tokens == alone.tokens == 3


USER = HELLO.messages[0]
PARTS: dict[str, RequestFacts] = {
    "a tool": replace(HELLO, tools=(WEATHER_TOOL,)),
    "an answer schema": replace(HELLO, output_schema=WEATHER_TOOL.parameters),
    "an image": RequestFacts(messages=(replace(USER, images=1),)),
    "a tool call": RequestFacts(
        messages=(
            USER,
            MessageFacts(
                role="assistant",
                tool_calls=(ToolCallFacts(name="find", arguments='{"q": "boats"}'),),
            ),
        )
    ),
    "a tool result": RequestFacts(
        messages=(USER, MessageFacts(role="tool", text="3 boats", tool_call_id="c1"))
    ),
}


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-5", "gemini-3-pro", "llama-3.3-70b"])
@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_request_counts_and_makes_it_an_estimate(
    counter: TokenCounter, part: str, model: str
) -> None:
    plain = counter.count_request(HELLO, model=model)
    more = counter.count_request(PARTS[part], model=model)
    assert more.tokens >= plain.tokens + 3
    assert not more.exact


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "claude-opus-5", "mistral-large-latest"])
def test_a_tool_call_of_5000_words_counts_as_much(counter: TokenCounter, model: str) -> None:
    """llama_index#21950: its memory counts such a message as 0 tokens."""
    arguments = json.dumps({"text": "word " * 5_000})
    call = MessageFacts(
        role="assistant", tool_calls=(ToolCallFacts(name="write", arguments=arguments),)
    )
    before = counter.count_request(HELLO, model=model).tokens
    after = counter.count_request(RequestFacts(messages=(USER, call)), model=model).tokens
    assert after - before >= 5_000


def test_nested_schemas_count_at_every_level(counter: TokenCounter) -> None:
    def tokens(schema: dict[str, object]) -> int:
        tool = ToolFacts(name="t", description="d", parameters=json.dumps(schema))
        return counter.count_request(replace(HELLO, tools=(tool,)), model="gpt-4o").tokens

    leaf = {"type": "string", "description": "The name of the harbour that the boat sails from"}
    flat = tokens({"type": "object", "properties": {"origin": {"type": "object"}}})
    shapes: list[dict[str, object]] = [
        {"properties": {"origin": {"type": "object", "properties": {"name": leaf}}}},
        {"properties": {"origin": {"items": {"items": {"properties": {"name": leaf}}}}}},
        {
            "properties": {"origin": {"$ref": "#/$defs/Origin"}},
            "$defs": {"Origin": {"properties": {"name": leaf}}},
        },
        {"properties": {"origin": {"anyOf": [leaf, {"type": "null"}]}}},
    ]
    for shape in shapes:
        assert tokens(shape) >= flat + 10, shape  # the description alone is 10 tokens


@pytest.mark.parametrize(
    "parameters", ["", "not json", "[1, 2]", '{"properties": 3}', '{"properties": {"a": true}}']
)
def test_a_strange_schema_is_counted_not_refused(counter: TokenCounter, parameters: str) -> None:
    tool = ToolFacts(name="t", description="d", parameters=parameters)
    bare = counter.count_request(replace(HELLO, tools=(replace(tool, parameters=""),)), model="o3")
    count = counter.count_request(replace(HELLO, tools=(tool,)), model="o3")
    assert count.tokens >= bare.tokens
    assert count.tokens > bare.tokens or not parameters or parameters == '{"properties": 3}'


def test_deeply_nested_json_is_counted_not_refused(counter: TokenCounter) -> None:
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    tool = ToolFacts(name="t", parameters=deep)
    assert counter.count_request(RequestFacts(tools=(tool,)), model="gpt-4o").tokens > 50_000


@pytest.mark.parametrize(
    ("model", "typical", "largest"),
    [
        # OpenAI "Images and vision": 85 + 4 x 170 for 1024 x 1024, 85 + 8 x 170 at most.
        ("gpt-4o", 765, 1_445),
        ("gpt-4o-mini", 25_501, 48_169),
        # 1024 patches x 1.62, 1536 x 1.62 at most
        ("gpt-5-mini", 1_659, 2_489),
        # Anthropic "Vision": 37 x 37 patches of 28 pixels; 1568 and 4784 at most
        ("claude-sonnet-4-5", 1_369, 1_568),
        ("claude-opus-5", 1_369, 4_784),
        # Google "Media resolution", Gemini 3: 1120
        ("gemini-3-flash-preview", 1_120, 1_120),
    ],
)
def test_images_count_as_the_provider_says_and_reserve_the_largest(
    counter: TokenCounter, model: str, typical: int, largest: int
) -> None:
    plain = counter.count_request(HELLO, model=model)
    seen = counter.count_request(RequestFacts(messages=(replace(USER, images=2),)), model=model)
    assert seen.tokens - plain.tokens == 2 * typical
    assert worst_case_tokens(seen) >= plain.tokens + 2 * largest


def test_exact_counts_reserve_themselves_and_estimates_more() -> None:
    assert worst_case_tokens(TokenCount(1_000, True, "encoding")) == 1_000
    reserved = [
        worst_case_tokens(TokenCount(1_000, False, method))
        for method in ("frame", "proxy", "heuristic")
    ]
    assert reserved == [1_166, 1_716, 2_266]


# Of any alphabet, so that adding a message can also change what the text before it costs.
MESSAGES = st.builds(
    MessageFacts,
    role=st.sampled_from(["system", "user", "assistant"]),
    text=st.text(alphabet=st.characters(), max_size=60),
    name=st.sampled_from(["", "ann"]),
    images=st.integers(0, 2),
    tool_calls=st.lists(
        st.builds(ToolCallFacts, name=st.just("f"), arguments=st.text(max_size=20)), max_size=2
    ).map(tuple),
)


@given(
    messages=st.lists(MESSAGES, max_size=5).map(tuple),
    extra=MESSAGES,
    model=st.sampled_from(["gpt-4o", "gpt-4", "gpt-6-sol", "claude-opus-5", "gemini-4", "other"]),
    ranked=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_another_message_never_makes_a_request_smaller(
    messages: tuple[MessageFacts, ...], extra: MessageFacts, model: str, ranked: bool
) -> None:
    counter = RANKED if ranked else RANKLESS
    before = counter.count_request(RequestFacts(messages=messages), model=model)
    after = counter.count_request(RequestFacts(messages=(*messages, extra)), model=model)
    assert after.tokens > before.tokens
    assert worst_case_tokens(after) >= after.tokens
    assert worst_case_tokens(after) >= worst_case_tokens(before)


RANKED, RANKLESS = TokenCounter(), TokenCounter(sources=())


def test_a_request_of_4000_tokens_takes_a_millisecond(
    counter: TokenCounter, samples: dict[str, str]
) -> None:
    text = "\n".join(
        samples[name] for name in ("english_prose/fit", "json_default/fit", "python_code/fit")
    )
    request = RequestFacts(messages=(MessageFacts(role="user", text=text),) * 8)
    times = []
    for _ in range(40):
        started = time.perf_counter()
        count = counter.count_request(request, model="gpt-4o")
        times.append(time.perf_counter() - started)
    assert count.tokens > 4_000
    assert min(times) < 0.003  # 0.7 ms alone on the machine; others may be at work
