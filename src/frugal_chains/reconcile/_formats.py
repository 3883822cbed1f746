"""What the consoles of OpenAI and Anthropic export: which columns hold what.

Neither provider documents its CSV. The columns are those of real exports as programs that read
them have written them down; all read 2026-11-22.

- OpenAI, Usage page, `completions_usage_<from>_<to>.csv`: one row for each bucket (minute, hour or
  day) and group. `input_tokens` includes `input_cached_tokens`; `start_time` is in seconds since
  1970. The same names are in the Usage API (developers.openai.com/api/docs/api-reference/usage). A
  bucket without usage has the four columns of time alone, and an export without any usage has no
  others. `input_cache_write_tokens` is in the API since GPT-5.6; that the CSV has it is not
  verified. Embeddings are in `embeddings_usage_*.csv`, whose columns are taken from the API.
- OpenAI, `cost_<from>_<to>.csv`: `amount_value` in `amount_currency` by day, and by `line_item`
  where it was grouped: `gpt-4o-mini-2024-07-18, cached input`, `priority | gpt-5.6-sol, output,
  long context`, `web search tool calls`. Credits as negative amounts are not verified.
- Anthropic, Usage page, `claude_api_tokens_<date>.csv`: four buckets of input apart from each
  other, by day (`2026-03-22`), hour or minute (`2026-03-31 02:00`), UTC. No count of requests.
  Exports of 2025 have one `usage_input_tokens_cache_write` for both times to live.
- Anthropic, Cost page, `claude_api_cost_<dates>.csv`: `cost_usd` to the cent, by day, model and
  type of token. Models are written as people read them: `Claude Haiku 4.5`,
  `Claude 3.5 Sonnet 2024-10-22`. `list_price_usd` is before discounts and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Spellings = tuple[str, ...]
"""Names of one column as `column_name` writes them; the first that a file has counts."""

_NOT_A_NAME: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind of file. Columns that are not named here are not read."""

    title: str
    provider: str
    holds: Literal["tokens", "embeddings", "cost"]
    """`tokens` are of all calls but embeddings, where those have a file of their own."""
    start: Spellings
    """The first moment of a bucket."""
    end: Spellings = ()
    model: Spellings = ()
    item: Spellings = ()
    """What a row without a model is for."""
    amounts: Mapping[str, Spellings] = field(default_factory=dict)
    """By measure; `uncached_tokens` are input outside the cache, `usd` an amount of money."""
    needed: tuple[str, ...] = ()
    """Measures without which a file is not of this kind."""
    currency: Spellings = ()

    def column(self, spellings: Spellings, columns: Sequence[str]) -> int | None:
        """Where a column stands; None where it does not."""
        return next((columns.index(name) for name in spellings if name in columns), None)

    def known(self, columns: Sequence[str]) -> int:
        """How many of the columns this format knows."""
        every = (self.start, self.end, self.model, self.item, self.currency, *self.amounts.values())
        return sum(self.column(spellings, columns) is not None for spellings in every)

    def missing(self, columns: Sequence[str]) -> list[str]:
        """What a file needs to be of this kind and does not have, in its usual spelling."""
        asked = (self.start, *(self.amounts[measure] for measure in self.needed))
        return [names[0] for names in asked if self.column(names, columns) is None]


_OPENAI_TIMES: Final = {
    "start": ("start_time", "start_time_iso"),
    "end": ("end_time", "end_time_iso"),
}

FORMATS: Final = (
    Format(
        title="OpenAI's usage export (completions_usage_*.csv)",
        provider="openai",
        holds="tokens",
        start=_OPENAI_TIMES["start"],
        end=_OPENAI_TIMES["end"],
        model=("model", "snapshot_id"),
        amounts={
            "input_tokens": ("input_tokens",),
            "cache_read_tokens": ("input_cached_tokens",),
            "cache_write_tokens": ("input_cache_write_tokens",),
            "output_tokens": ("output_tokens",),
            "requests": ("num_model_requests",),
        },
        needed=("input_tokens", "output_tokens"),
    ),
    Format(
        title="OpenAI's embeddings export (embeddings_usage_*.csv)",
        provider="openai",
        holds="embeddings",
        start=_OPENAI_TIMES["start"],
        end=_OPENAI_TIMES["end"],
        model=("model", "snapshot_id"),
        amounts={"input_tokens": ("input_tokens",), "requests": ("num_model_requests",)},
        needed=("input_tokens", "requests"),
    ),
    Format(
        title="OpenAI's cost export (cost_*.csv)",
        provider="openai",
        holds="cost",
        start=_OPENAI_TIMES["start"],
        end=_OPENAI_TIMES["end"],
        model=("line_item",),
        amounts={"usd": ("amount_value",)},
        needed=("usd",),
        currency=("amount_currency",),
    ),
    Format(
        title="Anthropic's usage export (claude_api_tokens_*.csv)",
        provider="anthropic",
        holds="tokens",
        start=("usage_date_utc", "usage_date", "date_utc"),
        model=("model_version", "model"),
        amounts={
            "uncached_tokens": ("usage_input_tokens_no_cache",),
            "cache_read_tokens": ("usage_input_tokens_cache_read",),
            "cache_write_5m_tokens": ("usage_input_tokens_cache_write_5m",),
            "cache_write_1h_tokens": ("usage_input_tokens_cache_write_1h",),
            "cache_write_tokens": ("usage_input_tokens_cache_write",),
            "output_tokens": ("usage_output_tokens",),
            "web_searches": ("web_search_count",),
        },
        needed=("uncached_tokens", "output_tokens"),
    ),
    Format(
        title="Anthropic's cost export (claude_api_cost_*.csv)",
        provider="anthropic",
        holds="cost",
        start=("usage_date_utc", "usage_date", "date_utc"),
        model=("model", "model_version"),
        item=("cost_type", "token_type"),
        amounts={"usd": ("cost_usd",)},
        needed=("usd",),
    ),
)
"""Every kind of file that can be read."""

ONLY_TIMES: Final = frozenset(_OPENAI_TIMES["start"] + _OPENAI_TIMES["end"])
"""All columns of an OpenAI export, of either kind, in which nothing was used."""


def column_name(text: str) -> str:
    """A column's name in one spelling: `Usage Date (UTC)` is `usage_date_utc`."""
    return _NOT_A_NAME.sub("_", text.strip().lower()).strip("_")
