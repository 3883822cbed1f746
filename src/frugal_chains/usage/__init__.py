"""Usage: token buckets, and a reader for each provider's raw usage."""

from frugal_chains.usage._anthropic import merge_anthropic_stream
from frugal_chains.usage._langchain import read_langchain_usage
from frugal_chains.usage._read import read_usage
from frugal_chains.usage._reading import UsageReading
from frugal_chains.usage._usage import COUNT_FIELDS, Usage, UsageSource

__all__ = [
    "COUNT_FIELDS",
    "Usage",
    "UsageReading",
    "UsageSource",
    "merge_anthropic_stream",
    "read_langchain_usage",
    "read_usage",
]
