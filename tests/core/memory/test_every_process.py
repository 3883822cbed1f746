"""What is decided is the same in every process: hashes of texts are not, and sets go by them."""

from __future__ import annotations

import os
import subprocess
import sys

from frugal_chains.facts import MessageFacts
from frugal_chains.memory._digest import digest
from frugal_chains.memory._recall import recall
from frugal_chains.memory._recall_index import RecallIndex
from tests.core.memory.planted import conversation

ASKED = "Which code opens the red door in Lisbon?", "And our new office?"


def digests() -> str:
    return "\n".join(
        digest(conversation(seed, "known").messages, budget_tokens=900, count=len).text()
        for seed in range(3)
    )


def scores() -> str:
    index = RecallIndex()
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join(words[::step]) for step in range(1, 31)]  # some in many, some in few
    index.add(MessageFacts(role="user", text=text) for text in texts)
    return index.scores(set(words)).tobytes().hex()


def plans() -> str:
    said = [
        MessageFacts(role="user", text=f"The {word} door code of the {word} office in Lisbon is 4.")
        for word in ("red", "blue", "green", "old", "new", "big")
    ]
    index = RecallIndex()
    index.add(said)
    return "\n".join(str(recall(index, ask, messages=said, kept=[5], count=len)) for ask in ASKED)


CODE = """
from tests.core.memory import test_every_process as here
print(here.digests(), here.scores(), here.plans(), sep="\\0")
"""


def test_the_same_in_every_process() -> None:
    path = os.pathsep.join(sys.path)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (run.communicate()[0].rstrip("\n").split("\0") for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert one == other
    assert "is 4." in one[2]
    assert one == [digests(), scores(), plans()]
