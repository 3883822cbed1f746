"""The names under which recordings keep what is read here.

Every row is a list of spellings, the first one that is there and not null wins. Beside the plain
`request` and `response` they are those of:

- Helicone's export: `request_body`, `response_body`, `request_created_at`, `request_properties`,
  `response_status` (docs.helicone.ai/tools/export, read 2026-11-22).
- LiteLLM's StandardLoggingPayload: `messages`, `model_parameters`, `startTime` (seconds),
  `response_cost`, `trace_id`, `request_tags`, `status`, `custom_llm_provider`, `error_str`,
  `cache_hit` (docs.litellm.ai/docs/proxy/logging_spec, read 2026-11-22).
- OpenAI's batch files: `body`, `response.body`, `response.status_code`, `custom_id`; Anthropic's:
  `params`, `result.message`, `result.type` (MessageBatchIndividualResponse of anthropic 0.125.0).
- OpenAI's stored completions and stored responses: the line is the response itself, with
  `metadata` (openai 2.54.0, chat_completion.py and responses/response.py).
- OpenPipe's report: `reqPayload`, `respPayload`, JSON as text or as such, `requestedAt` (ms)
  (docs.openpipe.ai/api-reference/post-report, read 2026-11-22).
- Loggers with `input` and `output`, and with names in camelCase.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

REQUEST: Final = (
    "request", "request_body", "requestBody", "body", "params", "reqPayload", "req_payload",
    "input",
)  # fmt: skip
RESPONSE: Final = (
    "response", "response_body", "responseBody", "result", "respPayload", "resp_payload",
    "output", "completion",
)  # fmt: skip
INNER: Final = ("body", "message", "params", "json")
"""What an HTTP or batch wrapper keeps the payload under."""
PARAMETERS: Final = ("model_parameters", "modelParameters", "optional_params")
"""Settings of a request whose messages stand beside them."""
MESSAGES: Final = ("messages", "input", "prompt")
"""A request's own messages: chat completions and Anthropic, responses, completions."""

AT: Final = (
    "timestamp", "at", "created", "created_at", "createdAt", "time", "ts", "request_created_at",
    "requested_at", "requestedAt", "start_time", "startTime",
)  # fmt: skip
CONVERSATION: Final = (
    "conversation", "conversation_id", "thread_id", "thread", "session", "session_id", "sessionId",
    "threadId", "conversationId",
)  # fmt: skip
OPERATION: Final = ("operation", "operation_id", "operationId", "trace_id", "traceId")
TASK: Final = ("task", "task_type", "feature", "use_case")
TAGS: Final = ("tags", "request_tags", "metadata", "request_properties", "properties")
"""Labels: `task` and its like are looked for in mappings; lists and texts are taken whole."""
WHOLE_TAGS: Final = frozenset({"tags", "request_tags"})
PROVIDER: Final = ("provider", "custom_llm_provider", "ls_provider", "vendor")
MODEL: Final = ("model", "model_name", "model_id")
PURPOSE: Final = ("purpose",)
STATUS: Final = ("status", "response_status", "status_code", "statusCode")
ERROR: Final = ("error", "error_str", "error_message", "errorMessage")
COST: Final = ("cost_usd", "costUSD", "cost", "response_cost", "total_cost", "totalCost")

STATUSES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ok", "success", "succeeded", "completed", "complete", "incomplete"), "ok"),
    **dict.fromkeys(("error", "errored", "failed", "failure", "expired"), "error"),
    **dict.fromkeys(("aborted", "cancelled", "canceled"), "aborted"),
    "cached": "cached",
}
"""Words to the status of an attempt in the ledger. An answer that ran into its cap is `incomplete`
at OpenAI, and is billed like any other."""
PURPOSES: Final = frozenset({"answer", "draft", "summary", "classify", "retry", "embed", "judge"})
TIERS_ASKED: Final[Mapping[str, str]] = {
    word: word for word in ("flex", "priority", "batch", "fast")
}
"""What a request asks for, where the response does not say what served it."""

LONGEST_LABEL: Final = 64
"""Characters. A longer task or provider is a text, not a label, and is left out."""
LONGEST_ID: Final = 256
"""Of models, conversations and operations: a model may be an ARN or a path."""


_ABOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "request": REQUEST,
    "response": RESPONSE,
    "at": AT,
    "conversation": CONVERSATION,
    "operation": OPERATION,
    "task": TASK,
    "provider": PROVIDER,
    "model": MODEL,
    "purpose": PURPOSE,
    "status": STATUS,
    "error": ERROR,
    "cost": COST,
}
_SPELLED: Final[Mapping[str, tuple[int, str]]] = {
    spelling: (rank, name)
    for name, spellings in _ABOUT.items()
    for rank, spelling in enumerate(spellings)
}


def about(line: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says, by the names of `_ABOUT`; of several spellings the first in its row.

    One look at each name in the line: asking for all spellings took a third of the reading.
    """
    found: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for spelling, value in line.items():
        spelled = _SPELLED.get(spelling)
        if spelled is None or value is None:
            continue
        rank, name = spelled
        if rank <= ranks.get(name, rank):
            found[name], ranks[name] = value, rank
    return found


def first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first value under `names` that is there and not null; None when none is."""
    for name in names:
        value = fields.get(name)
        if value is not None:
            return value
    return None


def label(value: object, longest: int = LONGEST_LABEL) -> str:
    """A name, number or `{"id": ...}` as text; "" for anything else and for what is too long."""
    if type(value) is str:
        return value if len(value) <= longest else ""
    if isinstance(value, dict):
        return label(value.get("id"), longest)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**LONGEST_LABEL:
        return str(value)
    return ""


def ident(value: object) -> str:
    """The same for a model, a conversation or an operation."""
    return label(value, LONGEST_ID)
