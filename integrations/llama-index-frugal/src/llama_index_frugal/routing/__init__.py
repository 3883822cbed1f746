"""Routing for LlamaIndex: `RoutingLLM`, and what it needs."""

from llama_index_frugal.routing._by_task import TaskLLM
from llama_index_frugal.routing._embedder import text_embedder
from llama_index_frugal.routing._event import RoutingEvent
from llama_index_frugal.routing._llm import RoutingLLM

__all__ = ["RoutingEvent", "RoutingLLM", "TaskLLM", "text_embedder"]
