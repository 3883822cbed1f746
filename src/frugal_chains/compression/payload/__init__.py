"""Payloads: tools' outputs in a denser form, and to a budget with few fields."""

from frugal_chains.compression.payload._arguments import argument_words
from frugal_chains.compression.payload._fit import LEAST_TOKENS, Payload, Step, fit_payload

__all__ = ["LEAST_TOKENS", "Payload", "Step", "argument_words", "fit_payload"]
