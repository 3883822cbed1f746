"""Which tokenizer counts for a model, and what a request adds to its text.

OpenAI publishes its encodings; nobody else has a tokenizer that tiktoken can load, so their text is
counted in `o200k_base` and multiplied by a factor. All tables read 2026-11-21; sources:

- encodings: `tiktoken/model.py` of tiktoken 0.14.0. Names it does not list (`gpt-6`, `codex-`,
  `gpt-audio-`, ...) are counted in `o200k_base` too, but never called exact.
- chat frame of OpenAI models: the OpenAI cookbook, "How to count tokens with tiktoken" (3 per
  message and 1 for its role, 1 more for a name, 3 for the reply), checked there against the API for
  gpt-3.5-turbo, gpt-4, gpt-4o and gpt-4o-mini. gpt-5 reports one token less (pydantic-ai#3447).
- factors: measured on the 80 texts of `tests/core/tokens/samples.json` against o200k_base. Claude
  by ctok 1.3.0 (a reconstruction of Anthropic's two tokenizers), Llama 3 and Qwen 3 by the
  vocabularies in quicktok-v1 0.4.0, Mistral by `tekken_240911.json` in mistral-common 1.13.1,
  DeepSeek by the tokenizer in litellm 1.109.1. `ascii_factor` is the median over English, code and
  JSON (rounded up for Qwen and Mistral, which cut numbers into single digits), `other_factor` the
  geometric mean over the 19 other languages. Gemini is a prior, from Google's "a token is about 4
  characters"; so is the default.
- Claude's tool prompt: docs "Tool use", table for `tool_choice` auto. Claude's message frame: ctok.
- images: OpenAI docs "Images and vision" (tiles, or 32-pixel patches times a multiplier),
  Anthropic docs "Vision" (28-pixel patches), Google docs "Media resolution".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from frugal_chains.providers._model_names import bare_model_name, longest_prefix
from frugal_chains.providers._names import provider_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """How the input of one model is counted."""

    encoding: str = "o200k_base"
    """The tiktoken encoding its text is counted in."""
    own_encoding: bool = False
    """Whether the provider says that this encoding is the model's own: plain text is exact."""
    ascii_factor: float = 1.0
    """Tokens of the model per token of `encoding`, in ASCII text."""
    other_factor: float = 1.0
    """The same in text of other alphabets, and of languages that use accents."""
    exact_frame: bool = False
    """Whether `message_tokens`, `name_tokens` and `request_tokens` are the provider's own."""
    message_tokens: int = 4
    """Added by each message, its role included."""
    name_tokens: int = 1
    """Added by a message's name, beside the name's own tokens."""
    request_tokens: int = 4
    """Added once: the priming of the reply, and any hidden prompt."""
    tool_prompt_tokens: int = 0
    """Added once when at least one tool is offered."""
    function_tokens: int | None = None
    """Start of each tool where tools are rendered as OpenAI does; None: they are sent as JSON."""
    image_tokens: int = 1_100
    """One image of 1024 x 1024 pixels at the default detail."""
    max_image_tokens: int = 5_000
    """The most one image can cost at the default detail."""

    @property
    def is_proxy(self) -> bool:
        """Whether `encoding` stands in for a tokenizer of another vocabulary."""
        return (self.ascii_factor, self.other_factor) != (1.0, 1.0)


_DEFAULT = TokenizerFacts(ascii_factor=1.15, other_factor=1.35)

_O200K_CHAT = TokenizerFacts(
    own_encoding=True,
    request_tokens=3,
    function_tokens=7,
    tool_prompt_tokens=12,
    image_tokens=765,
    max_image_tokens=1_445,
)
_CL100K_CHAT = replace(_O200K_CHAT, encoding="cl100k_base", function_tokens=10)
_REASONING = replace(_O200K_CHAT, request_tokens=2, image_tokens=675, max_image_tokens=1_275)
_GPT_5 = replace(_REASONING, image_tokens=630, max_image_tokens=1_190)
# tiktoken 0.14 does not name these: most likely o200k_base, but unproven.
_UNLISTED = replace(_GPT_5, own_encoding=False, image_tokens=1_024, max_image_tokens=10_000)
_PLAIN_TEXT = TokenizerFacts(
    encoding="cl100k_base",
    own_encoding=True,
    exact_frame=True,
    message_tokens=0,
    name_tokens=0,
    request_tokens=0,
)

_CLAUDE_3 = TokenizerFacts(
    ascii_factor=1.15,
    other_factor=1.6,
    request_tokens=3,
    tool_prompt_tokens=346,
    image_tokens=1_369,
    max_image_tokens=1_568,
)
_CLAUDE_4 = replace(_CLAUDE_3, tool_prompt_tokens=313)
_CLAUDE_4_5 = replace(_CLAUDE_3, tool_prompt_tokens=497)
# From Opus 4.7 on: another vocabulary, and images of up to 2576 pixels.
_CLAUDE_5 = replace(
    _CLAUDE_3,
    ascii_factor=1.45,
    other_factor=1.8,
    request_tokens=2,
    tool_prompt_tokens=354,
    max_image_tokens=4_784,
)

_GEMINI = TokenizerFacts(
    ascii_factor=1.1,
    other_factor=1.1,
    message_tokens=1,
    request_tokens=1,
    image_tokens=1_120,
    max_image_tokens=1_120,
)
_LLAMA = TokenizerFacts(ascii_factor=1.0, other_factor=1.3, message_tokens=5, request_tokens=5)
_QWEN = TokenizerFacts(ascii_factor=1.1, other_factor=1.3, message_tokens=5, request_tokens=3)
_MISTRAL = TokenizerFacts(ascii_factor=1.1, other_factor=1.1, image_tokens=4_096)
_DEEPSEEK = TokenizerFacts(ascii_factor=1.05, other_factor=1.2)

_BY_MODEL: Mapping[str, TokenizerFacts] = {
    # Listed by tiktoken, chat frame published with a check against the API
    "gpt-3.5-": replace(_CL100K_CHAT, exact_frame=True),
    "gpt-35-turbo-": replace(_CL100K_CHAT, exact_frame=True),
    "gpt-4-": replace(_CL100K_CHAT, exact_frame=True),
    "gpt-4o-": replace(_O200K_CHAT, exact_frame=True),
    "gpt-4o-mini-": replace(
        _O200K_CHAT, exact_frame=True, image_tokens=25_501, max_image_tokens=48_169
    ),
    # Listed by tiktoken; completions and embeddings have no frame
    "gpt-3.5-turbo-instruct-": _PLAIN_TEXT,
    "davinci-002-": _PLAIN_TEXT,
    "babbage-002-": _PLAIN_TEXT,
    "text-embedding-3-": _PLAIN_TEXT,
    "text-embedding-ada-002-": _PLAIN_TEXT,
    # Listed by tiktoken, chat frame inferred
    "chatgpt-4o-": _O200K_CHAT,
    "gpt-4.1-": _O200K_CHAT,
    "gpt-4.1-mini-": replace(_O200K_CHAT, image_tokens=1_659, max_image_tokens=2_489),
    "gpt-4.1-nano-": replace(_O200K_CHAT, image_tokens=2_520, max_image_tokens=3_779),
    "gpt-4.5-": _O200K_CHAT,
    "gpt-5": _GPT_5,
    "gpt-5-mini-": replace(_GPT_5, image_tokens=1_659, max_image_tokens=2_489),
    "gpt-5-nano-": replace(_GPT_5, image_tokens=2_520, max_image_tokens=3_779),
    "gpt-5.2-": replace(_GPT_5, image_tokens=1_024, max_image_tokens=1_536),
    "gpt-5.3-": replace(_GPT_5, image_tokens=1_024, max_image_tokens=1_536),
    "gpt-5.4-": replace(_GPT_5, image_tokens=1_024, max_image_tokens=2_500),
    "gpt-5.4-mini-": replace(_GPT_5, image_tokens=1_659, max_image_tokens=2_489),
    "gpt-5.4-nano-": replace(_GPT_5, image_tokens=2_520, max_image_tokens=3_779),
    "gpt-5.5-": replace(_GPT_5, image_tokens=1_024, max_image_tokens=10_000),
    "gpt-5.6-": replace(_GPT_5, image_tokens=1_024, max_image_tokens=10_000),
    "o1-": _REASONING,
    "o3-": _REASONING,
    "o4-mini-": replace(_REASONING, image_tokens=1_762, max_image_tokens=2_642),
    # The harmony format opens with a system message of its own.
    "gpt-oss-": TokenizerFacts(
        encoding="o200k_harmony", own_encoding=True, request_tokens=70, function_tokens=7
    ),
    # Other OpenAI names
    "chat-latest-": _UNLISTED,
    "codex-": _UNLISTED,
    "computer-use-preview-": _UNLISTED,
    "gpt-": _UNLISTED,
    "o4-": _UNLISTED,
    # Anthropic
    "claude-": _CLAUDE_5,
    "claude-2": _CLAUDE_3,
    "claude-3-": _CLAUDE_3,
    "claude-3-5-haiku-": replace(_CLAUDE_3, tool_prompt_tokens=264),
    "claude-3-haiku-": replace(_CLAUDE_3, tool_prompt_tokens=264),
    "claude-3-opus-": replace(_CLAUDE_3, tool_prompt_tokens=530),
    "claude-3-sonnet-": replace(_CLAUDE_3, tool_prompt_tokens=159),
    "claude-haiku-4": _CLAUDE_4_5,
    "claude-instant-": _CLAUDE_3,
    "claude-opus-4": _CLAUDE_4,
    "claude-opus-4-5-": _CLAUDE_4_5,
    "claude-opus-4-6-": _CLAUDE_4_5,
    "claude-opus-4-7-": replace(_CLAUDE_5, request_tokens=7, tool_prompt_tokens=675),
    "claude-opus-4-8-": replace(_CLAUDE_5, tool_prompt_tokens=290),
    "claude-sonnet-4": _CLAUDE_4,
    "claude-sonnet-4-5-": _CLAUDE_4_5,
    "claude-sonnet-4-6-": _CLAUDE_4_5,
    "claude-v2": _CLAUDE_3,
    # Google
    "gemini-": _GEMINI,
    "gemini-1.": replace(_GEMINI, image_tokens=1_032, max_image_tokens=2_064),
    "gemini-2.": replace(_GEMINI, image_tokens=1_032, max_image_tokens=2_064),
    "gemma": _GEMINI,
    # Open weights
    "codestral-": _MISTRAL,
    "deepseek-": _DEEPSEEK,
    "devstral-": _MISTRAL,
    "llama": _LLAMA,
    "magistral-": _MISTRAL,
    "ministral-": _MISTRAL,
    "mistral": _MISTRAL,
    "mixtral-": _MISTRAL,
    "open-mi": _MISTRAL,
    "pixtral-": _MISTRAL,
    "qwen": _QWEN,
    "qwq": _QWEN,
}

# For a model that no prefix names: deployments, aliases, fine-tunes under their own name.
_BY_PROVIDER: Mapping[str, TokenizerFacts] = {
    "anthropic": _CLAUDE_5,
    "azure": _UNLISTED,
    "deepseek": _DEEPSEEK,
    "google": _GEMINI,
    "mistral": _MISTRAL,
    "openai": _UNLISTED,
}

# Hosts that bill an OpenAI model by OpenAI's own count; none named means OpenAI.
_OPENAI_HOSTS = frozenset({"", "azure", "openai"})


@lru_cache(maxsize=1024)
def tokenizer_facts(model: str, provider: str | None = None) -> TokenizerFacts:
    """What is known about counting the input of `model`; never fails, never guesses silently.

    The model's name decides; `provider` decides for names that no table knows. The frame of an
    OpenAI model is exact only where OpenAI or Azure serves it.
    """
    host = provider_id(provider or "")
    facts = longest_prefix(_BY_MODEL, bare_model_name(model)) or _BY_PROVIDER.get(host, _DEFAULT)
    return facts if host in _OPENAI_HOSTS else replace(facts, exact_frame=False)
