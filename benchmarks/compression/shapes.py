"""Tool outputs without loss: the form with the fewest tokens, beside JSON without blanks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _figures import Figure

from compression.data import taubench
from compression.protocol import Bootstrap, Count, figure
from frugal_chains.compression.shape import restore, shape

Write = Callable[[str], str]


def figures(data: Path, *, count: Count, draws: int, seed: int) -> dict[str, Figure]:
    """Tokens saved on tau-bench's JSON outputs, of all and of distinct ones, and round trips."""
    texts, tasks = [], []
    for case in taubench(data):
        text = case.passages[0].text
        if _is_json(text):
            texts.append(text)
            tasks.append(case.group)
    first = {text: at for at, text in reversed(list(enumerate(texts)))}
    found: dict[str, Figure] = {}
    for name, rows in (("", list(range(len(texts)))), (", distinct", sorted(first.values()))):
        bootstrap = Bootstrap([tasks[at] for at in rows], draws=draws, seed=seed)
        before = np.array([count(texts[at]) for at in rows], dtype=np.float64)
        for way, write in _ways(count).items():
            after = np.array([count(write(texts[at])) for at in rows], dtype=np.float64)
            saved = 1 - bootstrap.ratio(after, before)
            found[f"taubench lossless{name}, {way}: tokens saved"] = figure(
                saved, unit="%", scale=100, asked=36 if way == "ours" else None
            )
    kept = [json.loads(_there_and_back(text, count)) == json.loads(text) for text in first]
    found["taubench lossless, ours: round trips"] = Figure(
        value=100 * float(np.mean(kept)), asked=100, better="higher", unit="% of outputs"
    )
    return found


def _ways(count: Count) -> dict[str, Write]:
    return {
        "ours": lambda text: shape(text, count).text,
        "JSON without blanks": lambda text: json.dumps(
            json.loads(text), separators=(",", ":"), ensure_ascii=False
        ),
    }


def _there_and_back(text: str, count: Count) -> str:
    shaped = shape(text, count)
    return restore(shaped.text, shaped.form)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False
