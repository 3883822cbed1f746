"""`TokenCounter`: how many input tokens a text or a request is, and whether that is exact."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.providers import TokenizerFacts, tokenizer_facts
from frugal_chains.tokens._calibration import Calibration
from frugal_chains.tokens._chunks import CHUNK_CHARS, split_for_encoding
from frugal_chains.tokens._count import Method, TokenCount
from frugal_chains.tokens._encodings import Encodings, RankSource, shared_encodings
from frugal_chains.tokens._heuristic import estimate_tokens
from frugal_chains.tokens._tools import function_tokens, tool_as_json

# Marks around a tool call in the history (a recipient and a type), and the heading of an answer
# schema. Unpublished; chosen to be near what chat templates of open models spend on them.
_TOOL_CALL_TOKENS = 6
_OUTPUT_SCHEMA_TOKENS = 12

# Letters beyond ASCII; typographic marks and emoji, which English uses too, are not among them.
_OTHER_LETTER = re.compile("[À-ɏ\u0300-\u1fff\u2c00-\u2dff\u3040-\ud7ff\uf900-\ufdff]")
# From one such letter in 100 on, the text counts as one of another language.
_OTHER_LETTERS_PER_CHAR = 0.01


@dataclass(slots=True)
class _Tally:
    """A count under way for one model: sums tokens and remembers what made them inexact."""

    facts: TokenizerFacts
    encodings: Encodings
    tokens: float = 0.0
    headroom_tokens: int = 0
    whole: bool = True
    """No text was cut in the middle of a run."""
    ranked: bool = True
    """The encoding's ranks are on this machine."""

    def text(self, text: str) -> float:
        """Tokens of `text` for the model: of its encoding, times the factor of its script."""
        if not text:
            return 0.0
        return self._encoded(text) * _script_factor(self.facts, text)

    def add(self, *texts: str, extra_tokens: float = 0.0) -> None:
        self.tokens += extra_tokens + sum(map(self.text, texts))

    def _encoded(self, text: str) -> float:
        encoding = self.encodings.get(self.facts.encoding)
        if encoding is None:
            self.ranked = False
            return estimate_tokens(text, self.facts.encoding)
        if len(text) <= CHUNK_CHARS:
            return len(encoding.encode_ordinary(text))
        total = 0
        for piece, safe in split_for_encoding(text):
            total += len(encoding.encode_ordinary(piece))
            self.whole &= safe
        return total

    def result(self, *, framed: bool, factor: float) -> TokenCount:
        """The count; `framed`: what surrounds the text is the provider's own or absent."""
        own = self.ranked and self.facts.own_encoding
        exact = own and framed and self.whole
        return TokenCount(
            tokens=round(self.tokens if exact else self.tokens * factor),
            exact=exact,
            method="encoding" if exact else self._estimate(),
            headroom_tokens=self.headroom_tokens,
            factor=1.0 if exact else factor,
        )

    def _estimate(self) -> Method:
        if not self.ranked:
            return "heuristic"
        return "proxy" if self.facts.is_proxy else "frame"


def _script_factor(facts: TokenizerFacts, text: str) -> float:
    low, high = facts.ascii_factor, facts.other_factor
    if low == high or text.isascii():
        return low
    letters = len(_OTHER_LETTER.findall(text))
    return low + (high - low) * min(1.0, letters / (_OTHER_LETTERS_PER_CHAR * len(text)))


class TokenCounter:
    """Counts input tokens offline: exact where the provider's counting is known, else an estimate.

    Exact are plain text in an encoding that OpenAI publishes for the model, and chat requests of
    plain text to the models whose framing OpenAI publishes. Tools, tool calls, images and answer
    schemas always make an estimate, and so does a missing rank file. Estimates learn from returned
    usage through `observe`. Nothing here opens a connection or keeps the text. Thread-safe.

    Args:
        calibration: What earlier runs have learned.
        sources: Folders to look for rank files in; by default tiktoken's caches and the packages
            that carry them.
    """

    def __init__(
        self,
        calibration: Calibration | None = None,
        *,
        sources: Sequence[RankSource] | None = None,
    ) -> None:
        self._calibration = calibration or Calibration()
        self._lock = threading.RLock()  # a collected stream may end in here
        self._encodings = shared_encodings() if sources is None else Encodings(sources)

    @property
    def calibration(self) -> Calibration:
        """What was learned so far; store its `to_json` to keep it."""
        return self._calibration

    def count_text(self, text: str, *, model: str, provider: str | None = None) -> TokenCount:
        """Tokens of bare text, as input or as output, without any message around it."""
        tally = _Tally(tokenizer_facts(model, provider), self._encodings)
        tally.add(text)
        return tally.result(framed=True, factor=self._calibration.factor(provider, model))

    def text_counter(self, *, model: str, provider: str | None = None) -> Callable[[str], int]:
        """`count_text` of many texts for one model: a function of the text alone, and faster."""
        facts = tokenizer_facts(model, provider)
        encoding = self._encodings.get(facts.encoding)
        plain = facts.own_encoding and facts.ascii_factor == facts.other_factor == 1

        def count(text: str) -> int:
            if encoding is not None and plain and len(text) <= CHUNK_CHARS:
                return len(encoding.encode_ordinary(text))
            return self.count_text(text, model=model, provider=provider).tokens

        return count

    def count_request(
        self, facts: RequestFacts, *, model: str, provider: str | None = None
    ) -> TokenCount:
        """Input tokens of a whole request: messages, tool calls, tools, answer schema, images."""
        tally = _Tally(tokenizer_facts(model, provider), self._encodings)
        tally.add(extra_tokens=tally.facts.request_tokens)
        for message in facts.messages:
            _add_message(tally, message)
        _add_tools(tally, facts)
        framed = tally.facts.exact_frame and not _beyond_plain_text(facts)
        return tally.result(framed=framed, factor=self._calibration.factor(provider, model))

    def observe(
        self,
        count: TokenCount,
        *,
        returned_tokens: int,
        model: str,
        provider: str | None = None,
    ) -> None:
        """Learn from the input tokens that the provider returned for what `count` counted.

        Exact counts teach nothing; images neither, because their share is not about the text.
        """
        if count.exact or count.headroom_tokens:
            return
        counted = count.tokens / count.factor
        with self._lock:
            self._calibration = self._calibration.updated(provider, model, counted, returned_tokens)


def _add_message(tally: _Tally, message: MessageFacts) -> None:
    facts = tally.facts
    tally.add(message.text, extra_tokens=facts.message_tokens)
    if message.name:
        tally.add(message.name, extra_tokens=facts.name_tokens)
    for call in message.tool_calls:
        tally.add(call.name, call.arguments, extra_tokens=_TOOL_CALL_TOKENS)
    media = message.images + message.audio  # a recording's length is as unknown as a size
    if media:
        tally.tokens += media * facts.image_tokens
        tally.headroom_tokens += media * (facts.max_image_tokens - facts.image_tokens)


def _add_tools(tally: _Tally, request: RequestFacts) -> None:
    start = tally.facts.function_tokens
    if request.tools:
        tally.add(extra_tokens=tally.facts.tool_prompt_tokens)
    for tool in request.tools:
        if start is None:
            tally.add(tool_as_json(tool))
        else:
            tally.tokens += function_tokens(tool, tally.text, start_tokens=start)
    if request.output_schema:
        tally.add(request.output_schema, extra_tokens=_OUTPUT_SCHEMA_TOKENS)


def _beyond_plain_text(request: RequestFacts) -> bool:
    """Whether the request holds anything whose rendering OpenAI does not publish."""
    return bool(request.tools or request.output_schema) or any(
        message.tool_calls
        or message.tool_call_id
        or message.images
        or message.audio
        or message.role == "tool"
        for message in request.messages
    )
