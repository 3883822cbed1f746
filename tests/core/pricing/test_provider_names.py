"""Provider spellings of both frameworks, against the SDKs installed here and genai-prices."""

from __future__ import annotations

import pytest

from frugal_chains.providers import LOCAL_PROVIDERS, PROVIDER_IDS, ROUTERS, provider_id


def test_every_id_is_one_of_genai_prices_or_local_or_a_router() -> None:
    from genai_prices.data import providers

    listed = {p.id for p in providers}
    assert set(PROVIDER_IDS.values()) <= listed | LOCAL_PROVIDERS | ROUTERS
    assert not listed & (LOCAL_PROVIDERS | ROUTERS)


def test_keys_are_written_as_they_are_looked_up() -> None:
    for name in PROVIDER_IDS:
        assert name == name.lower()
        assert provider_id(name) == PROVIDER_IDS[name]


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("Azure OpenAI", "azure"),
        ("azure-openai", "azure"),
        ("amazon_bedrock", "aws"),
        ("openai-mantle", "aws"),
        ("bedrock-mantle-anthropic", "aws"),
        ("google_anthropic_vertex", "google"),
        ("xai", "x-ai"),
        ("together", "together"),
        ("x-ai", "x-ai"),
        ("  OpenAI ", "openai"),
        ("Acme-Corp", "acme-corp"),
        ("openai-codex", "openai-codex"),
        ("huggingface_groq", "huggingface_groq"),
    ],
)
def test_spellings(spelling: str, expected: str) -> None:
    assert provider_id(spelling) == expected


@pytest.mark.parametrize(
    ("class_name", "expected"),
    [
        # `class_name()` of LlamaIndex's integrations
        ("AzureOpenAIEmbedding", "azure"),
        ("BedrockEmbedding", "aws"),
        ("CohereEmbedding", "cohere"),
        ("FastEmbedEmbedding", "fastembed"),
        ("FireworksEmbedding", "fireworks"),
        ("GeminiEmbedding", "google"),
        ("GoogleGenAIEmbedding", "google"),
        ("HuggingFaceEmbedding", "huggingface-local"),
        ("HuggingFace_LLM", "huggingface-local"),
        ("MistralAIEmbedding", "mistral"),
        ("OllamaEmbedding", "ollama"),
        ("OpenAILike", "openai-like"),
        ("TogetherEmbedding", "together"),
        ("VertexTextEmbedding", "google"),
        ("VoyageEmbedding", "voyageai"),
        ("litellm_llm", "litellm"),
        # Classes of LangChain's integrations
        ("AzureOpenAIEmbeddings", "azure"),
        ("BedrockEmbeddings", "aws"),
        ("CohereEmbeddings", "cohere"),
        ("FastEmbedEmbeddings", "fastembed"),
        ("FireworksEmbeddings", "fireworks"),
        ("GPT4AllEmbeddings", "gpt4all"),
        ("GoogleGenerativeAIEmbeddings", "google"),
        ("HuggingFaceEmbeddings", "huggingface-local"),
        ("HuggingFacePipeline", "huggingface-local"),
        ("LlamaCppEmbeddings", "llama.cpp"),
        ("MistralAIEmbeddings", "mistral"),
        ("OllamaEmbeddings", "ollama"),
        ("OpenAIEmbeddings", "openai"),
        ("TogetherEmbeddings", "together"),
        ("VertexAIEmbeddings", "google"),
        ("VoyageAIEmbeddings", "voyageai"),
    ],
)
def test_class_names_say_whose_they_are(class_name: str, expected: str) -> None:
    assert provider_id(class_name) == expected


@pytest.mark.parametrize(
    "name",
    ["huggingface", "HuggingFaceEndpointEmbeddings", "HuggingFaceInferenceAPI",
     "HuggingFaceInferenceAPIEmbeddings", "TextEmbeddingsInference", "OpenAILike", "Vllm"],
)  # fmt: skip
def test_what_may_bill_is_not_taken_for_local(name: str) -> None:
    assert provider_id(name) not in LOCAL_PROVIDERS


def test_what_langchain_calls_its_own_providers_is_known() -> None:
    base = pytest.importorskip("langchain.chat_models.base")
    without_a_price_list = {"huggingface", "ibm", "langsmith", "litellm", "nvidia", "upstage"}
    for name in base._BUILTIN_PROVIDERS.keys() - without_a_price_list:
        assert provider_id(name) in set(PROVIDER_IDS.values()), name


def test_what_the_installed_models_call_themselves_is_known() -> None:
    langchain_openai = pytest.importorskip("langchain_openai")
    langchain_anthropic = pytest.importorskip("langchain_anthropic")
    key = {"api_key": "sk-none"}
    models = {
        "openai": langchain_openai.ChatOpenAI(model="gpt-4o", **key),
        "azure": langchain_openai.AzureChatOpenAI(
            model="gpt-4o", azure_endpoint="http://127.0.0.1:9", api_version="1", **key
        ),
        "anthropic": langchain_anthropic.ChatAnthropic(model="claude-opus-5", **key),
    }
    for expected, model in models.items():
        assert provider_id(model._get_ls_params()["ls_provider"]) == expected


def test_what_the_installed_llama_index_classes_call_themselves_is_known() -> None:
    from llama_index.embeddings.openai import OpenAIEmbedding
    from llama_index.llms.anthropic import Anthropic
    from llama_index.llms.openai import OpenAI, OpenAIResponses

    for kind in (OpenAI, OpenAIResponses, OpenAIEmbedding):
        assert provider_id(kind.class_name()) == "openai"
    assert provider_id(Anthropic.class_name()) == "anthropic"


def test_a_server_that_speaks_openai_is_not_openai() -> None:
    from llama_index.llms.openai_like import OpenAILike

    assert provider_id(OpenAILike.class_name()) == provider_id("openai_like") == "openai-like"
