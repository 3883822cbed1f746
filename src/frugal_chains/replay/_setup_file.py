"""A setup as a TOML file: what `frugal whatif` tries, and what the application loads."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frugal_chains.errors import FrugalError, ReplayError
from frugal_chains.memory import CompactionPolicy, RentEqualsBuy, WaterMark
from frugal_chains.replay._setup import (
    LEVERS,
    Batch,
    Compression,
    LeverName,
    Marks,
    Memory,
    Routing,
    Setup,
)

_Count = Annotated[int, Field(ge=0, le=10**9)]
_Model = Annotated[str, Field(pattern=r"^[^:\s]*:?\S+$", max_length=200)]
"""`provider:model`, or a model's name alone."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Memory(_Table):
    keep_tokens: _Count | None = None
    summary_tokens: _Count | None = None
    segments_tokens: _Count | None = None
    limit_tokens: _Count | None = None
    recall_tokens: _Count = 0
    high_tokens: _Count | None = None
    """A fixed water mark instead of the trigger by the bill."""


class _Compression(_Table):
    budget_tokens: _Count | None = None


class _Routing(_Table):
    by_task: dict[str, _Model]


class _PromptCache(_Table):
    ttl: str | None = None


class _Batch(_Table):
    tasks: list[str] | None = None


class _File(_Table):
    memory: _Memory | None = None
    compression: _Compression | None = None
    routing: _Routing | None = None
    prompt_cache: _PromptCache | None = None
    batch: _Batch | None = None


_POLICY: Final = ("keep_tokens", "summary_tokens", "segments_tokens", "limit_tokens")
SETUP_KEYS: Final[Mapping[str, type[int] | type[str]]] = MappingProxyType(
    {f"memory.{key}": int for key in _Memory.model_fields}
    | {f"compression.{key}": int for key in _Compression.model_fields}
    | {f"prompt_cache.{key}": str for key in _PromptCache.model_fields}
)
"""Keys of the file that have one number or one word, and which of the two; and beside them
`routing.by_task.` with the name of a task."""


def read_setup(path: str | Path) -> Setup:
    """The setup in a file; a table that is not there is a lever that is off.

    Raises:
        ReplayError: the file cannot be read, or says something that is not understood; all of it.
    """
    try:
        return parse_setup(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ReplayError(
            f"{path}: No such file; `frugal whatif ... --out {path}` writes one"
        ) from None
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ReplayError(f"{path} is no TOML: {error}") from None
    except ReplayError as error:
        raise ReplayError(f"{path}: {error}") from None


def parse_setup(tables: Mapping[str, object]) -> Setup:
    """The setup in the tables of such a file.

    Raises:
        ReplayError: something in them is not understood; all of it.
    """
    try:
        file = _File.model_validate(tables)
        return Setup(
            memory=None if file.memory is None else _memory(file.memory),
            compression=None
            if file.compression is None
            else Compression(budget_tokens=file.compression.budget_tokens),
            routing=None if file.routing is None else _routing(file.routing),
            prompt_cache=None if file.prompt_cache is None else Marks(ttl=file.prompt_cache.ttl),
            batch=None if file.batch is None else _batch(file.batch),
        )
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ReplayError(wrong) from None
    except FrugalError as error:
        raise ReplayError(str(error)) from None


def setup_text(setup: Setup) -> str:
    """The setup as such a file, without the policy of a router that it may have.

    `parse_setup` of it is the same setup again.
    """
    made: dict[LeverName, Callable[[Any], dict[str, str]]] = {
        "memory": _memory_lines,
        "compression": lambda lever: _given(budget_tokens=lever.budget_tokens),
        "routing": _routing_lines,
        "prompt_cache": lambda lever: _given(ttl=lever.ttl),
        "batch": lambda lever: _given(tasks=lever.tasks),
    }
    found = [(name, made[name](getattr(setup, name))) for name in LEVERS if name in setup.on]
    return "\n".join(
        _table("routing.by_task" if name == "routing" else name, lines) for name, lines in found
    )


def model_named(text: str) -> tuple[str, str]:
    """Provider and model of `provider:model`; the provider is empty where only a model is named."""
    provider, colon, model = text.partition(":")
    return (provider, model) if colon else ("", provider)


def _memory_lines(memory: Memory) -> dict[str, str]:
    policy, plain = memory.policy, CompactionPolicy()
    own = {name: getattr(policy, name) for name in _POLICY}
    given = _given(**{name: to for name, to in own.items() if to != getattr(plain, name)})
    if isinstance(policy.trigger, WaterMark):
        given |= _given(high_tokens=policy.trigger.high_tokens)
    return given | (_given(recall_tokens=memory.recall_tokens) if memory.recall_tokens else {})


def _routing_lines(routing: Routing) -> dict[str, str]:
    return {
        _quoted(task): _quoted(f"{provider}:{model}" if provider else model)
        for task, (provider, model) in sorted(routing.by_task.items())
    }


def _given(**values: int | str | frozenset[str] | None) -> dict[str, str]:
    """What is not left open, as TOML."""
    return {name: _value(value) for name, value in values.items() if value is not None}


def _value(value: int | str | frozenset[str]) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    return f"[{', '.join(map(_quoted, sorted(value)))}]"


def _memory(file: _Memory) -> Memory:
    given = {name: getattr(file, name) for name in _POLICY if getattr(file, name) is not None}
    trigger = (
        RentEqualsBuy() if file.high_tokens is None else WaterMark(high_tokens=file.high_tokens)
    )
    return Memory(
        policy=CompactionPolicy(trigger=trigger, **given), recall_tokens=file.recall_tokens
    )


def _routing(file: _Routing) -> Routing:
    return Routing(by_task={task: model_named(name) for task, name in file.by_task.items()})


def _batch(file: _Batch) -> Batch:
    return Batch(tasks=None if file.tasks is None else frozenset(file.tasks))


def _table(name: str, lines: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in lines.items()), ""])


def _quoted(text: str) -> str:
    """As a TOML basic string."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    return (
        '"'
        + "".join(escapes.get(c, c if c.isprintable() else f"\\U{ord(c):08x}") for c in text)
        + '"'
    )
