"""How frameworks spell providers, in genai-prices' spelling.

Keys are lower case with `_` between words. Sources, read 2026-11-21:

- LangChain `ls_provider` values and `init_chat_model` keys: langchain 1.5 `chat_models/base.py`
  (`_BUILTIN_PROVIDERS`), langchain-core 1.8 `BaseChatModel._get_ls_params` (the fallback is the
  class name without `Chat`), `AzureChatOpenAI._get_ls_params`, langchain 1.5
  `agents/middleware/summarization.py` (`amazon_bedrock`, the two `-mantle` names).
- LlamaIndex `class_name()`: llama-index integrations `llms/*/base.py`.
- litellm model prefixes: docs.litellm.ai/docs/providers.
- Values: the provider ids of genai-prices 0.2.3 `data.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

PROVIDER_IDS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "anthropicllm": "anthropic",
    # genai-prices itself reads any name with `openai` in it as OpenAI, Azure included.
    "azure": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azureaiopenaiapichatmodel": "azure",
    "azureopenai": "azure",
    "azureopenaiembedding": "azure",
    "amazon": "aws",
    "amazon_bedrock": "aws",
    "amazon_bedrock_converse": "aws",
    "anthropic_bedrock": "aws",
    "anthropic_mantle": "aws",
    "aws": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle_anthropic": "aws",
    "bedrock_mantle_openai": "aws",
    "bedrockconverse": "aws",
    "bedrockembedding": "aws",
    "openai_mantle": "aws",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "cohereembedding": "cohere",
    "databricks": "databricks",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "genai": "google",
    "google": "google",
    "google_anthropic_vertex": "google",
    "google_gemini": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "googlegenerativeai": "google",
    "googlegenaiembedding": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "groq": "groq",
    "meta": "meta",
    "mistral": "mistral",
    "mistralai": "mistral",
    "mistralaiembedding": "mistral",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "openai": "openai",
    "openai_responses": "openai",
    "openaiembedding": "openai",
    "openaiembeddings": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "together_ai": "together",
    "togetherai": "together",
    "voyage": "voyageai",
    "voyageai": "voyageai",
    "xai": "x-ai",
    "x_ai": "x-ai",
    "z_ai": "zai",
    "zai": "zai",
    # Servers on the user's own machine, in their own spelling: see LOCAL_PROVIDERS.
    "gpt4all": "gpt4all",
    "huggingfacellm": "huggingface-local",
    "llama_cpp": "llama.cpp",
    "llama.cpp": "llama.cpp",
    "llamacpp": "llama.cpp",
    "lm_studio": "lmstudio",
    "lmstudio": "lmstudio",
    "local": "local",
    "mlx": "mlx",
    "ollama": "ollama",
    "xllamacpp": "llama.cpp",
}

LOCAL_PROVIDERS: frozenset[str] = frozenset(
    {"gpt4all", "huggingface-local", "llama.cpp", "lmstudio", "local", "mlx", "ollama"}
)
"""They run the model on the machine of the caller, and no one bills for it.

vLLM and TGI are not here: they serve, but mostly on rented machines, whose cost is not zero.
"""

_SUFFIXES = ("_llm", "_chat", "_embedding", "_embeddings", "llm")


def provider_id(name: str) -> str:
    """The provider's id as genai-prices spells it; an unknown name comes back lower-cased."""
    lowered = name.strip().lower()
    key = lowered.replace("-", "_").replace(" ", "_")
    if key in PROVIDER_IDS:
        return PROVIDER_IDS[key]
    for suffix in _SUFFIXES:
        stem = key.removesuffix(suffix)
        if stem != key and stem in PROVIDER_IDS:
            return PROVIDER_IDS[stem]
    return lowered
