"""`Usage`: what one attempt consumed, in buckets that are priced apart."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, Self

from frugal_chains.errors import UsageError

UsageSource = Literal["provider", "estimated", "mixed"]


class _Buckets(NamedTuple):
    """The fields of `Usage`. A tuple because one is made for every call: setting as many fields of
    a frozen dataclass takes three times as long."""

    input_tokens: int = 0
    """All input tokens, including those read from and written to the provider's prompt cache."""
    output_tokens: int = 0
    """All output tokens, including reasoning."""
    cache_read_tokens: int = 0
    """Input tokens served from the provider's prompt cache."""
    cache_write_5m_tokens: int = 0
    """Input tokens written to the cache at the provider's short time to live
    (Anthropic and Bedrock 5 minutes; OpenAI's 30 minutes)."""
    cache_write_1h_tokens: int = 0
    """Input tokens written at the provider's long time to live (Anthropic and Bedrock 1 hour;
    OpenAI's 12 hours)."""
    reasoning_tokens: int = 0
    """Output tokens spent on hidden reasoning."""
    input_audio_tokens: int = 0
    cache_read_audio_tokens: int = 0
    """Audio tokens from the cache: part of `cache_read_tokens` and of `input_audio_tokens`."""
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    web_searches: int = 0
    """Server-side searches as they are billed beside the tokens: by search, or by the request that
    searched (Gemini before 3)."""
    code_executions: int = 0
    """Runs of code on the provider's machines. OpenAI and Anthropic bill the container, not the
    run: a count above 0 then leaves the attempt unpriced, rather than priced too low."""
    file_searches: int = 0
    source: UsageSource = "provider"
    """`provider`: as returned; `estimated`: counted here; `mixed`: returned in part or repaired."""


_INT: Final = {int}


class Usage(_Buckets):
    """Tokens of one attempt. Parents include their parts.

    `input_tokens` includes every cache, audio and image input bucket; `output_tokens` includes
    reasoning and audio/image output.

    Raises:
        UsageError: a count is no integer or below 0, or a part exceeds its parent.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_5m_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
        reasoning_tokens: int = 0,
        input_audio_tokens: int = 0,
        cache_read_audio_tokens: int = 0,
        output_audio_tokens: int = 0,
        input_image_tokens: int = 0,
        output_image_tokens: int = 0,
        web_searches: int = 0,
        code_executions: int = 0,
        file_searches: int = 0,
        source: UsageSource = "provider",
    ) -> Self:
        made = tuple.__new__(cls, (
            input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
            cache_write_1h_tokens, reasoning_tokens, input_audio_tokens, cache_read_audio_tokens,
            output_audio_tokens, input_image_tokens, output_image_tokens, web_searches,
            code_executions, file_searches, source,
        ))  # fmt: skip
        # Every attempt makes one of these, so the good case is flat and short.
        counts = made[:-1]
        if (
            {*map(type, counts)} != _INT
            or min(counts) < 0
            or cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens > input_tokens
            or input_audio_tokens + input_image_tokens > input_tokens
            or reasoning_tokens > output_tokens
            or output_audio_tokens + output_image_tokens > output_tokens
            or cache_read_audio_tokens > input_audio_tokens
            or cache_read_audio_tokens > cache_read_tokens
        ):
            raise made._impossible()
        return made

    def _impossible(self) -> UsageError:
        """The error that names the first bucket that cannot be true, with its numbers."""
        for name in COUNT_FIELDS:
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                return UsageError(f"{name} must be an int >= 0, got {value!r}")
        for parent, parts in INCLUSIONS:
            total, limit = sum(getattr(self, part) for part in parts), getattr(self, parent)
            if total > limit:
                return UsageError(f"{' + '.join(parts)} = {total} exceeds {parent} = {limit}")
        raise AssertionError("called for a possible usage")

    def _replace(self, **changes: Any) -> Self:
        """A copy with other values, checked as a new one is."""
        return type(self)(**{**self._asdict(), **changes})

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        """For copies and pickles: the constructor takes names only."""
        return (), self._asdict()

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens written to the cache, at any time to live."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:  # type: ignore[override]  # not two tuples in a row
        counts: dict[str, Any] = {
            name: getattr(self, name) + getattr(other, name) for name in COUNT_FIELDS
        }
        source: UsageSource = self.source if self.source == other.source else "mixed"
        return Usage(**counts, source=source)


COUNT_FIELDS: tuple[str, ...] = _Buckets._fields[:-1]

INCLUSIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input_tokens", ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")),
    ("input_tokens", ("input_audio_tokens", "input_image_tokens")),
    ("input_audio_tokens", ("cache_read_audio_tokens",)),
    ("cache_read_tokens", ("cache_read_audio_tokens",)),
    ("output_tokens", ("reasoning_tokens",)),
    ("output_tokens", ("output_audio_tokens", "output_image_tokens")),
)
