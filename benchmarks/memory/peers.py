"""Other libraries' memories, each in its usual setup.

Each is imported when it is first asked for; one that is not installed is named and left out. All
write summaries of the same number of tokens. Requests of their summarisers carry no breakpoints:
none of them sets any, and none shares a beginning with anything.
"""

from __future__ import annotations

import importlib
from typing import Final

from memory.recorder import Peer

PACKAGES: Final = (
    "langchain",
    "langchain-core",
    "langchain-classic",
    "langmem",
    "llama-index-core",
)
"""Whose versions belong to the figures."""
SUMMARY_BUFFER: Final = "ConversationSummaryBufferMemory 4k"
WINDOW: Final = "trim_messages 4k"


_GROUPS: Final = (
    ("LangChain's memories", "memory.peers_langchain", "langchain_peers"),
    ("langmem", "memory.peers_langchain", "langmem_peers"),
    ("LlamaIndex's memories", "memory.peers_llama_index", "llama_index_peers"),
)


def peers(summary_tokens: int) -> tuple[list[Peer], list[str]]:
    """Those that are installed, and a sentence for each group that is not."""
    found: list[Peer] = []
    absent: list[str] = []
    for what, module, make in _GROUPS:
        try:
            found += getattr(importlib.import_module(module), make)(summary_tokens)
        except ImportError as error:
            absent.append(
                f"{what}: left out ({error}): "
                "pip install -r requirements/bench-memory.txt brings what is missing"
            )
    return found, absent
