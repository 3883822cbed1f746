"""What a provider error means for the books: its kind, and whether the call may be billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """One failed call."""

    kind: str
    """`rate_limit`, `timeout`, `auth`, `invalid_request`, `not_found`, `overloaded`, `server`,
    `connection`, `cancelled`, `closed`, `interrupted`, `budget`, `refused`, or `other`."""
    abandoned: bool = False
    """The caller gave up (cancel, close, interrupt): the provider may go on and bill."""
    sent: bool = True
    """False when the provider answered with an error status or was never reached: OpenAI and
    Anthropic bill for tokens processed, not for requests answered with an error status."""


_BY_STATUS: Mapping[int, str] = {
    400: "invalid_request",
    401: "auth",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",  # Anthropic's own (platform.claude.com/docs/en/api/errors)
}

_BY_NAME: tuple[tuple[str, ErrorFacts], ...] = (
    ("BudgetExceeded", ErrorFacts(kind="budget", sent=False)),
    ("RequestRefused", ErrorFacts(kind="refused", sent=False)),
    ("Timeout", ErrorFacts(kind="timeout")),
    ("ConnectError", ErrorFacts(kind="connection", sent=False)),
    ("ContextOverflow", ErrorFacts(kind="invalid_request", sent=False)),
    # A connection that broke may have carried the whole request: count it as sent.
    ("Connection", ErrorFacts(kind="connection")),
    ("Protocol", ErrorFacts(kind="connection")),
    ("ReadError", ErrorFacts(kind="connection")),
)


@cache
def _abandoned() -> tuple[tuple[type[BaseException], str], ...]:
    # asyncio takes as long to import as a fifth of this library.
    from asyncio import CancelledError

    return (
        (CancelledError, "cancelled"),
        (GeneratorExit, "closed"),
        (KeyboardInterrupt, "interrupted"),
        (SystemExit, "interrupted"),
    )


def classify_error(error: BaseException) -> ErrorFacts:
    """Read an error by its HTTP status where it has one, else by its type and causes.

    SDK errors are told apart by duck typing (`status_code`), so no SDK is imported.
    """
    for kind, word in _abandoned():
        if isinstance(error, kind):
            return ErrorFacts(kind=word, abandoned=True)
    if _lacks_a_key(error):
        return ErrorFacts(kind="auth", sent=False)
    status = _status_of(error)
    if status is not None:
        return ErrorFacts(kind=_BY_STATUS.get(status, "server" if status >= 500 else "other"),
                          sent=False)  # fmt: skip
    return _in_stream(error) or _by_name(error)


_NO_KEY = (
    # OpenAI's SDK 2.54 and earlier ones; Anthropic's 0.125. They raise when a client is made or
    # used without a key, as `OpenAIError` and as `TypeError`.
    "missing credentials", "the api_key client option must be set",
    "could not resolve authentication method",
)  # fmt: skip


def _lacks_a_key(error: BaseException) -> bool:
    """Whether an SDK had no key to send a request with."""
    text = str(error)[:200].lower()
    return any(phrase in text for phrase in _NO_KEY)


def _status_of(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int) and 400 <= status < 600:
            return status
    return None


_IN_STREAM: tuple[tuple[str, str], ...] = (
    ("rate_limit", "rate_limit"),
    ("insufficient_quota", "rate_limit"),
    ("overloaded", "overloaded"),
    ("timeout", "timeout"),
    ("server_error", "server"),
    ("api_error", "server"),
)


def _in_stream(error: BaseException) -> ErrorFacts | None:
    """Read an error that came as an event of a stream: its status was 200, its word tells.

    OpenAI's SDK raises `APIError` with `type` and `code` (openai 2.x, `_streaming.py`), Anthropic's
    an `APIStatusError` with the whole event as `body` (platform.claude.com/docs/en/api/errors).
    The request was worked on: unlike one answered with an error status it may be billed.
    """
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else {}
    words = [getattr(error, "type", None), getattr(error, "code", None)]
    words += [inner.get("type"), inner.get("code")] if isinstance(inner, Mapping) else []
    for part, kind in _IN_STREAM:
        if any(isinstance(word, str) and part in word for word in words):
            return ErrorFacts(kind=kind)
    return None


def _by_name(error: BaseException) -> ErrorFacts:
    """Look for a known name in the error's classes, then in those of what caused it."""
    seen: BaseException | None = error
    best = ErrorFacts(kind="other")
    for _ in range(5):  # causes nest a few deep in the SDKs; never walk a cycle
        if seen is None:
            break
        names = [cls.__name__ for cls in type(seen).__mro__]
        for part, facts in _BY_NAME:
            if any(part in name for name in names):
                if not facts.sent:
                    return facts  # the innermost word: it never left this machine
                best = facts if best.kind == "other" else best
                break
        seen = seen.__cause__ or seen.__context__
    return best
