"""Times as a user types them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from frugal_chains.report import moment_of

NOW = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _far_from_utc(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 11, 14, 12, 30, 15, tzinfo=UTC)),
        ("24h", datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)),
        ("30m", datetime(2026, 11, 21, 12, 0, 15, tzinfo=UTC)),
        ("2w", datetime(2026, 11, 7, 12, 30, 15, tzinfo=UTC)),
        ("0d", NOW),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T06:00", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("2026-11-01T06:00+02:00", datetime(2026, 11, 1, 4, tzinfo=UTC)),
        ("2026-11-01T06:00Z", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_utc(text, expected):
    found = moment_of(text, now=NOW)
    assert found == expected
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "7", "-7d", "7y", "1.5d", "2026-13-01", "999999w",
     "0001-01-01T00:00+05:00", "9999-12-31T23:59-05:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_a_way_out(text):
    with pytest.raises(ValueError, match="7d, 24h or 30m, or a date such as 2026-11-01"):
        moment_of(text, now=NOW)
