"""Times as a user types them: `7d`, `2026-11-01`, `2026-11-01T12:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def moment_of(text: str, *, now: datetime) -> datetime:
    """The aware UTC time that `text` names. A date is its first moment; no zone means UTC.

    Raises:
        ValueError: `text` is neither an age (`30m`, `24h`, `7d`, `2w`) nor an ISO 8601 time.
    """
    age = _AGO.fullmatch(text)
    try:
        if age is not None:
            return now - int(age[1]) * _UNITS[age[2]]
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time: give an age such as 7d, 24h or 30m, or a date such as 2026-11-01"
        ) from error
