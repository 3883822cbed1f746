"""One request to a router, as its caller made it, and its plain facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from frugal_chains.errors import RoutingError
from frugal_chains.facts import RequestFacts
from langchain_frugal._facts import labels_of, output_cap, request_facts, thread_of
from langchain_frugal.routing._candidates import Member

ErrorTolerance = Literal["low", "normal", "high"]

_WHOSE: Final = ("lc_agent_name", "langgraph_node")
"""One thread may hold the conversations of several agents and nodes."""


class Asked(NamedTuple):
    """What a caller wants."""

    messages: Sequence[BaseMessage]
    kwargs: Mapping[str, Any]
    """For the model that answers; tools as they were given to `bind_tools`."""
    stop: list[str] | None
    config: RunnableConfig
    route: str = ""
    """A tier, a candidate or a model that this request names itself."""
    error_tolerance: ErrorTolerance = "normal"
    schema: Any = None
    """Of a structured answer, as it was given to `with_structured_output`."""
    warnings: tuple[str, ...] = ()

    def facts(self) -> RequestFacts:
        params = {**self.kwargs, "tools": [_shown(tool) for tool in self.kwargs.get("tools") or ()]}
        schema = self.schema if self.schema is not None else self.kwargs.get("response_format")
        return request_facts(self.messages, {**params, "response_format": _schema(schema)})

    @property
    def output_cap_tokens(self) -> int | None:
        return output_cap(self.kwargs)

    @property
    def labels(self) -> dict[str, str]:
        return labels_of(self.config.get("metadata") or {}, self.config.get("tags") or ())

    @property
    def conversation(self) -> str:
        """Its id; empty where the caller has given none."""
        metadata = self.config.get("metadata") or {}
        thread = thread_of(metadata) or _configured(self.config).get("thread_id")
        if not thread:
            return ""
        return ":".join([str(thread), *(str(metadata.get(name) or "") for name in _WHOSE)])


def read_request(
    messages: Sequence[BaseMessage],
    config: RunnableConfig,
    kwargs: Mapping[str, Any],
    members: Mapping[str, Member],
    *,
    stop: list[str] | None = None,
    schema: Any = None,
) -> Asked:
    """What is asked; `route` and `error_tolerance` stand in the keywords or under `configurable`.

    Raises:
        RoutingError: one of these two has a value that does not exist; of a route in the config
            the decision only warns.
    """
    rest, configured = dict(kwargs), _configured(config)
    tolerance = rest.pop("error_tolerance", None) or configured.get("error_tolerance") or "normal"
    if tolerance not in get_args(ErrorTolerance):
        raise RoutingError(
            f"error_tolerance={tolerance!r}; there are {', '.join(get_args(ErrorTolerance))}"
        )
    route, warnings = _route(rest.pop("route", None), configured.get("route"), members)
    return Asked(
        messages=messages,
        kwargs=rest,
        stop=stop,
        config=config,
        route=route,
        error_tolerance=cast(ErrorTolerance, tolerance),
        schema=schema,
        warnings=warnings,
    )


def _route(
    by_keyword: Any, by_config: Any, members: Mapping[str, Member]
) -> tuple[str, tuple[str, ...]]:
    """Who is asked for. A config holds for a whole graph, where another router may know the name
    that this one does not: there it is a warning."""
    try:
        return _existing(str(by_keyword or by_config or ""), members), ()
    except RoutingError as error:
        if by_keyword:
            raise
        return "", (str(error),)


def _configured(config: RunnableConfig) -> Mapping[str, Any]:
    return config.get("configurable") or {}


def _existing(route: str, members: Mapping[str, Member]) -> str:
    """The name by which decisions know it: a tier, or a candidate."""
    tiers = {member.candidate.tier for member in members.values()}
    if not route or route in members or route in tiers:
        return route
    models = {member.candidate.model: name for name, member in members.items()}
    if route in models:
        return models[route]
    there = dict.fromkeys([*tiers, *members, *filter(None, models)])
    raise RoutingError(f"route={route!r} names no model here; there are {', '.join(sorted(there))}")


def _shown(tool: Any) -> Any:
    """A tool as providers get it; one that only its own provider knows stays as it is."""
    try:
        return convert_to_openai_tool(tool)
    except Exception:  # a provider's own tool, or one whose model will say what is wrong with it
        return tool if isinstance(tool, Mapping) else {"name": getattr(tool, "name", str(tool))}


def _schema(given: Any) -> Mapping[str, Any] | None:
    if given is None:
        return None
    try:
        return convert_to_json_schema(given)
    except Exception:  # a provider's own way to say it, like {"type": "json_object"}
        return given if isinstance(given, Mapping) else {"title": str(given)}
