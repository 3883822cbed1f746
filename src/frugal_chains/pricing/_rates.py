"""`Rates`: a price list compiled to integers, so that pricing an attempt is integer arithmetic."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from frugal_chains.pricing._price import Priced, Unpriced
from frugal_chains.pricing._tables import Band, Bucket, Fee, PriceList
from frugal_chains.usage import Usage

_NO_RATE: Any = None
"""A bucket without a price. Typed as Any because only used buckets are multiplied: a count of zero
never meets its rate, and a used one raises the TypeError that `Rates.price` turns into a reason."""


class Rates:
    """Integer rates of one model, for requests up to a number of input tokens.

    A rate is in units of `1 / unit` nano-USD per token (or per call). `unit` is the smallest power
    of ten that makes every rate of the band whole, so nothing is lost; most bands have 1. Where a
    rate is None the bucket has no price, and tokens in it leave the attempt unpriced.
    """

    __slots__ = (
        "_audio_extra", "_cached_audio_extra", "_code", "_file", "_gaps", "_image_extra", "_input",
        "_output", "_output_audio_extra", "_output_image_extra", "_read", "_reasoning_extra",
        "_request", "_unit", "_web", "_write_1h", "_write_5m", "beyond", "price_id", "upto_tokens",
    )  # fmt: skip

    def __init__(
        self,
        band: Band,
        *,
        fees: Mapping[Fee, Decimal],
        gaps: Mapping[str, str],
        price_id: str,
        beyond: Rates | None = None,
        upto_tokens: int = sys.maxsize,
    ) -> None:
        self.price_id = price_id
        self.beyond = beyond
        self.upto_tokens = upto_tokens
        """Requests with more input tokens than this are priced by `beyond`."""
        self._gaps = gaps
        nanos: dict[str, Decimal] = {b: p.scaleb(3) for b, p in band.per_mtok.items()}
        nanos |= {fee: p.scaleb(6) for fee, p in fees.items()}
        places = max((_decimal_places(value) for value in nanos.values()), default=0)
        self._unit: int = 10**places
        rate = {name: int(value.scaleb(places)) for name, value in nanos.items()}
        self._input: int = rate.get("input", _NO_RATE)
        self._read: int = rate.get("cache_read", _NO_RATE)
        self._write_5m: int = rate.get("cache_write_5m", _NO_RATE)
        self._write_1h: int = rate.get("cache_write_1h", _NO_RATE)
        self._output: int = rate.get("output", _NO_RATE)
        self._reasoning_extra = _extra(rate, "reasoning", "output")
        self._audio_extra = _extra(rate, "input_audio", "input")
        self._cached_audio_extra = _extra(rate, "cache_read_audio", "cache_read")
        self._image_extra = _extra(rate, "input_image", "input")
        self._output_audio_extra = _extra(rate, "output_audio", "output")
        self._output_image_extra = _extra(rate, "output_image", "output")
        self._web: int = rate.get("web_search", _NO_RATE)
        self._code: int = rate.get("code_execution", _NO_RATE)
        self._file: int = rate.get("file_search", _NO_RATE)
        self._request = rate.get("request", 0)

    def price(self, usage: Usage) -> Priced | Unpriced:
        """The exact cost, rounded once; or why it cannot be known."""
        (
            input_tokens, output, read, write_5m, write_1h, reasoning, input_audio, cached_audio,
            output_audio, input_image, output_image, web, code, file, _,
        ) = usage  # fmt: skip
        if input_tokens > self.upto_tokens and self.beyond is not None:
            return self.beyond.price(usage)
        text = input_tokens - read - write_5m - write_1h
        try:
            input_ = text * self._input if text else 0
            cached = read * self._read if read else 0
            written = write_5m * self._write_5m if write_5m else 0
            if write_1h:
                written += write_1h * self._write_1h
            produced = output * self._output if output else 0
            if reasoning and self._reasoning_extra:
                produced += reasoning * self._reasoning_extra
            if input_audio or input_image or output_audio or output_image:
                input_ += self._media_input(usage, text)
                if cached_audio:
                    cached += cached_audio * self._cached_audio_extra
                produced += self._media_output(usage)
            fee = self._request
            if web or code or file:
                fee += self._tool_fees(usage)
        except TypeError:
            return self._missing(usage, text)
        except _Ambiguous as ambiguous:
            return Unpriced(reason=str(ambiguous))
        if self._unit == 1:
            return Priced(
                input_ + cached + written + produced + fee,
                input_, cached, written, produced, fee, self.price_id,
            )  # fmt: skip
        return self._rounded(input_, cached, written, produced, fee)

    def _media_input(self, usage: Usage, text: int) -> int:
        """What uncached audio and image tokens cost more (or less) than text."""
        audio = usage.input_audio_tokens - usage.cache_read_audio_tokens
        images = usage.input_image_tokens
        extra = (audio * self._audio_extra if audio else 0) + (
            images * self._image_extra if images else 0
        )
        apart = (audio if self._audio_extra else 0) + (images if self._image_extra else 0)
        if apart > text or (images and self._image_extra and usage.cache_read_tokens):
            raise _Ambiguous(
                f"{audio:,} audio and {images:,} image tokens are billed apart from text, and the "
                f"usage does not say how many of them are among the "
                f"{usage.input_tokens - text:,} cached ones"
            )
        return extra

    def _media_output(self, usage: Usage) -> int:
        audio, images = usage.output_audio_tokens, usage.output_image_tokens
        return (audio * self._output_audio_extra if audio else 0) + (
            images * self._output_image_extra if images else 0
        )

    def _tool_fees(self, usage: Usage) -> int:
        web, code, file = usage.web_searches, usage.code_executions, usage.file_searches
        return (
            (web * self._web if web else 0)
            + (code * self._code if code else 0)
            + (file * self._file if file else 0)
        )

    def _missing(self, usage: Usage, text: int) -> Unpriced:
        """Name the first bucket that was used and has no price."""
        for bucket, used, rate in (
            ("input", text, self._input),
            ("cache_read", usage.cache_read_tokens, self._read),
            ("cache_write_5m", usage.cache_write_5m_tokens, self._write_5m),
            ("cache_write_1h", usage.cache_write_1h_tokens, self._write_1h),
            ("output", usage.output_tokens, self._output),
            ("input_audio", usage.input_audio_tokens, self._audio_extra),
            ("cache_read_audio", usage.cache_read_audio_tokens, self._cached_audio_extra),
            ("input_image", usage.input_image_tokens, self._image_extra),
            ("output_audio", usage.output_audio_tokens, self._output_audio_extra),
            ("output_image", usage.output_image_tokens, self._output_image_extra),
            ("web_search", usage.web_searches, self._web),
            ("code_execution", usage.code_executions, self._code),
            ("file_search", usage.file_searches, self._file),
        ):
            if used and rate is None:
                why = self._gaps.get(bucket, "the price list has no price for it")
                return Unpriced(
                    reason=f"{used:,} {bucket}: {why}; give one in prices.toml ({self.price_id})"
                )
        raise AssertionError("called for a usage whose buckets all have a price")

    def _rounded(self, input_: int, cached: int, written: int, produced: int, fee: int) -> Priced:
        """Round the total half to even. The parts are what each adds to the rounded running sum:
        they sum to the total exactly, and a part of zero stays zero."""
        unit = self._unit
        first = _half_even(input_, unit) if input_ else 0
        second = _half_even(input_ + cached, unit) if cached else first
        written += input_ + cached
        third = _half_even(written, unit) if written != input_ + cached else second
        produced += written
        fourth = _half_even(produced, unit) if produced != written else third
        total = _half_even(produced + fee, unit) if fee else fourth
        return Priced(
            total, first, second - first, third - second, fourth - third, total - fourth,
            self.price_id,
        )  # fmt: skip


class _Ambiguous(Exception):
    """The usage fits two bills."""


def _half_even(amount: int, unit: int) -> int:
    nanos, rest = divmod(amount, unit)
    twice = rest + rest
    return nanos + 1 if twice > unit or (twice == unit and nanos & 1) else nanos


def _decimal_places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "prices are finite"
    return max(0, -exponent)


def _extra(rate: Mapping[str, int], bucket: Bucket, parent: Bucket) -> Any:
    """How much more a part costs than its parent, which it is counted in."""
    if bucket not in rate or parent not in rate:
        return _NO_RATE
    return rate[bucket] - rate[parent]


def compile_rates(prices: PriceList, *, price_id: str) -> Rates:
    """Compile a price list, the highest band first."""
    rates: Rates | None = None
    upto_tokens = sys.maxsize
    for band in reversed(prices.bands):
        gaps = prices.gaps
        rates = Rates(
            band, fees=prices.per_thousand, gaps=gaps, price_id=price_id, beyond=rates,
            upto_tokens=upto_tokens,
        )  # fmt: skip
        upto_tokens = band.above_tokens
    assert rates is not None, "a price list has at least one band"
    return rates
