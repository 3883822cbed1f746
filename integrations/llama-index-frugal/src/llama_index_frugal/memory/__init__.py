"""Memory for LlamaIndex: what is sent of a conversation, so that the bill stays flat."""

from llama_index_frugal.memory._block import SummaryMemoryBlock
from llama_index_frugal.memory._llm import compacting_llm
from llama_index_frugal.memory._memory import SummarizingMemory
from llama_index_frugal.memory._messages import pinned

__all__ = ["SummarizingMemory", "SummaryMemoryBlock", "compacting_llm", "pinned"]
