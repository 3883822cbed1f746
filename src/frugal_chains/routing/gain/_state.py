"""A gain model as bytes and back: arrays in one compressed `.npz`, everything else as JSON in it.

Nothing is pickled: loading a stored model runs no code of it.
"""

from __future__ import annotations

import json
from dataclasses import fields
from io import BytesIO
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from frugal_chains.errors import GainStateError
from frugal_chains.routing.gain._blend import BlendedGain
from frugal_chains.routing.gain._encode import Encoder
from frugal_chains.routing.gain._logistic import Logistic
from frugal_chains.routing.gain._neighbours import Neighbours
from frugal_chains.routing.gain._tasks import Discriminant, Tasks
from frugal_chains.routing.gain._weigh import Weights

VERSION: Final = 1
"""Of the format; a change of how text is hashed or of what is stored raises it."""
_KINDS: Final = {
    kind.__name__: kind
    for kind in (BlendedGain, Discriminant, Encoder, Logistic, Neighbours, Tasks, Weights)
}


def to_bytes(model: BlendedGain) -> bytes:
    """Store a model."""
    arrays: dict[str, Any] = {}
    facts = {"version": VERSION, "model": _flat(model, "model", arrays)}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def from_bytes(stored: bytes) -> BlendedGain:
    """Load a model.

    Raises:
        GainStateError: it is none, or of another version.
    """
    try:
        with np.load(BytesIO(stored), allow_pickle=False) as file:
            facts = json.loads(file["facts"].tobytes())
            if facts["version"] != VERSION:
                raise GainStateError(
                    f"the stored gain model has version {facts['version']}, this library reads "
                    f"{VERSION}: run the calibration again"
                )
            model = _built(facts["model"], file)
    except (BadZipFile, KeyError, OSError, TypeError, ValueError, EOFError) as error:
        if isinstance(error, GainStateError):
            raise
        raise GainStateError(
            f"these {len(stored)} bytes are no stored gain model ({error}): run the calibration "
            "again"
        ) from error
    if not isinstance(model, BlendedGain):
        raise GainStateError("what is stored is no gain model: run the calibration again")
    return model


def _flat(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if type(value).__name__ in _KINDS:
        parts = {
            field.name: _flat(getattr(value, field.name), f"{name}.{field.name}", arrays)
            for field in fields(value)
        }
        return {"kind": type(value).__name__, "fields": parts}
    return {"plain": list(value) if isinstance(value, tuple) else value}


def _built(flat: Any, arrays: Any) -> Any:
    if "array" in flat:
        return arrays[flat["array"]]
    if "kind" in flat:
        parts = {name: _built(part, arrays) for name, part in flat["fields"].items()}
        return _KINDS[flat["kind"]](**parts)
    plain = flat["plain"]
    return tuple(plain) if isinstance(plain, list) else plain
