"""Tools at work: which of them each request of a conversation offers."""

from frugal_chains.dispatch.tools._choice import ToolChoice, ToolChooser
from frugal_chains.dispatch.tools._vectors import TextVectors

__all__ = ["TextVectors", "ToolChoice", "ToolChooser"]
