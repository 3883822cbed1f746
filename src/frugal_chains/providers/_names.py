"""How frameworks spell providers, in genai-prices' spelling.

Keys are lower case with `_` between words. Sources, read 2026-11-21:

- LangChain `ls_provider` values and `init_chat_model` keys: langchain 1.5 `chat_models/base.py`
  (`_BUILTIN_PROVIDERS`), langchain-core 1.8 `BaseChatModel._get_ls_params` (the fallback is the
  class name without `Chat`), `AzureChatOpenAI._get_ls_params`, langchain 1.5
  `agents/middleware/summarization.py` (`amazon_bedrock`, the two `-mantle` names).
- Embeddings of LangChain have no such name, and go by their class: `OllamaEmbeddings`.
- LlamaIndex `class_name()`: llama-index integrations `llms/*/base.py`, `embeddings/*/base.py`.
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
    "openai_mantle": "aws",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "cohere": "cohere",
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
    "googlegenai": "google",
    "googlegenerativeai": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "vertextext": "google",
    "groq": "groq",
    "meta": "meta",
    "mistral": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "openai": "openai",
    "openai_responses": "openai",
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
    # Not one provider: see ROUTERS.
    "litellm": "litellm",
    "openai_like": "openai-like",
    "openailike": "openai-like",
    # On the user's own machine, in their own spelling: see LOCAL_PROVIDERS.
    "fastembed": "fastembed",
    "gpt4all": "gpt4all",
    "huggingface_llm": "huggingface-local",
    "huggingfaceembedding": "huggingface-local",
    "huggingfaceembeddings": "huggingface-local",
    "huggingfacellm": "huggingface-local",
    "huggingfacepipeline": "huggingface-local",
    "llama_cpp": "llama.cpp",
    "llama_cpp_python": "llama.cpp",
    "llama.cpp": "llama.cpp",
    "llamacpp": "llama.cpp",
    "lm_studio": "lmstudio",
    "lmstudio": "lmstudio",
    "local": "local",
    "mlx": "mlx",
    "ollama": "ollama",
    "xllamacpp": "llama.cpp",
}

ROUTERS: frozenset[str] = frozenset({"litellm", "openai-like"})
"""Not one provider: litellm names it before the model, a server that speaks OpenAI's language may
be anyone's. They have no price list of their own, and are never taken for OpenAI."""

LOCAL_PROVIDERS: frozenset[str] = frozenset(
    {"fastembed", "gpt4all", "huggingface-local", "llama.cpp", "lmstudio", "local", "mlx", "ollama"}
)
"""They run the model on the machine of the caller, and no one bills for it.

`huggingface-local` are the classes that load the weights themselves (transformers,
sentence-transformers). Plain `huggingface` is not here, as it may be an endpoint that bills. Nor
are vLLM and TGI: they serve, but mostly on rented machines, whose cost is not zero.
"""

_SUFFIXES = ("_llm", "llm", "_chat", "_embedding", "_embeddings", "embedding", "embeddings")
"""What class names add to the provider: `Cohere_LLM`, `TogetherLLM`, `OllamaEmbedding(s)`."""


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
