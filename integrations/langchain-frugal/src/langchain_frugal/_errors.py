"""`BudgetExceeded` and `RequestRefused`, as LangChain's own machinery understands them."""

from __future__ import annotations

from langchain_core.exceptions import ModelError

from frugal_chains import errors


class BudgetExceeded(errors.BudgetExceeded, ModelError):
    """A budget refused a call before it was sent.

    A `ModelError` that is not retryable, so that retry middleware raises it at once instead of
    trying again or turning it into an answer. Fallbacks may still try a cheaper model: each try
    asks the budgets anew.
    """

    is_retryable = False

    @classmethod
    def of(cls, error: errors.BudgetExceeded) -> BudgetExceeded:
        """The core's refusal, with all its numbers."""
        return cls(
            scope=error.scope,
            spent_usd=error.spent_usd,
            limit_usd=error.limit_usd,
            needed_usd=error.needed_usd,
            reserved_usd=error.reserved_usd,
            reason=error.reason,
        )


class RequestRefused(errors.RequestRefused, ModelError):
    """A guardrail refused a request before any model saw it.

    Not retryable: the same request is refused again.
    """

    is_retryable = False
