"""The main job, end to end: a LangChain RAG chain and a LlamaIndex query engine, and their bill.

    make demo

Asks questions about a small set of documents, several turns each, and prints what the ledger
holds: attempts, tokens, how much came from the prompt cache, what the same tokens would cost on
three hosted models, and a budget refusing a call before it is sent.

Without a key a small real model answers on this machine. With OPENAI_API_KEY in the environment
OpenAI's gpt-4o-mini does (DEMO_MODEL names another one): real calls, which OpenAI bills.
"""

from __future__ import annotations

import logging
import math
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.llms.openai_like import OpenAILike
from rich.console import Console
from rich.table import Table

import langchain_frugal
import llama_index_frugal
from frugal_chains import Budget, BudgetExceeded, Ledger, PriceBook
from frugal_chains.ledger import Attempt
from frugal_chains.local import LocalModel
from frugal_chains.money import usd_text
from frugal_chains.usage import Usage

DOCUMENTS = Path(__file__).parent / "data"
CHAIN_QUESTIONS = (
    "How many members does the cooperative have?",
    "And who chairs its board?",
    "When can I visit the shop?",
)
ENGINE_QUESTIONS = ("What happens if my coffee arrives late?", "How do I become a member?")
HOSTED = (("openai", "gpt-5.1"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-flash"))
PRICED_LIKE = "gpt-4o-mini"
"""Whose list price the local model's tokens are shown at."""
CACHED_FROM_TOKENS = 1024
"""Hosted providers cache no shorter prompt: OpenAI and Claude Sonnet 4.5 from 1,024 tokens on, the
latter only where asked to, Gemini 2.5 Flash from 2,048 (the providers' pages on prompt caching,
read 2026-11-21). The local server caches from the first token."""
FREE = '[[free]]\nprovider = "*"\nmodel = "hashed-words"\n'
"""The demo embeds texts by counting words: no model, no bill."""
MAX_ANSWER_TOKENS = 40
SYSTEM = (
    "You answer questions about Larkrow Coffee Cooperative in one short sentence, from the notes "
    "below and from nothing else. If the notes do not say, you say that you do not know."
)


@dataclass(frozen=True)
class Provider:
    """Where the questions go."""

    description: str
    base_url: str | None
    api_key: str
    model: str
    is_local: bool = False


@contextmanager
def provider() -> Iterator[Provider]:
    """The user's own provider when there is a key, else the local model."""
    if key := os.environ.get("OPENAI_API_KEY"):
        model = os.environ.get("DEMO_MODEL", PRICED_LIKE)
        base_url = os.environ.get("OPENAI_BASE_URL")
        yield Provider(f"{model} at {base_url or 'OpenAI'}: a real bill", base_url, key, model)
        return
    with LocalModel.start() as local:
        yield Provider(
            f"{local.model_name}, a small real model on this machine. Its answers are often wrong; "
            f"its token counts and cache hits are real.\nIt costs nothing: the bill below applies "
            f"the list price of {PRICED_LIKE} to its tokens, those from its cache at the cached "
            f"price. OpenAI itself caches no prompt below {CACHED_FROM_TOKENS:,} tokens",
            local.openai_base_url,
            "not needed",
            local.model_name,
            is_local=True,
        )


def write_prices(folder: Path, local_model: str) -> None:
    """A prices.toml: the local model at the list price of a hosted one, the embedding free."""
    alias = f'[alias]\n"{local_model}" = "openai:{PRICED_LIKE}"\n' if local_model else ""
    file = folder / "prices.toml"
    file.write_text(alias + FREE, encoding="utf-8")
    os.environ["FRUGAL_PRICES"] = str(file)


# -- retrieval without any model ---------------------------------------------------------------


def hashed_words(text: str, *, size: int = 512) -> list[float]:
    """A unit vector that counts the words of a text, each at a place given by its hash."""
    vector = [0.0] * size
    for word in re.findall(r"[a-z]{3,}", text.lower()):
        vector[zlib.crc32(word.removesuffix("s").encode()) % size] += 1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


class HashedWords(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [hashed_words(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return hashed_words(text)


class HashedWordsEmbedding(BaseEmbedding):
    def _get_text_embedding(self, text: str) -> list[float]:
        return hashed_words(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return hashed_words(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return hashed_words(query)


# -- the two applications ----------------------------------------------------------------------


def chat_with_chain(model: BaseChatModel, console: Console) -> None:
    """A LangChain RAG chain with history: every turn carries the earlier ones."""
    store = InMemoryVectorStore(HashedWords())
    store.add_documents([Document(p.read_text("utf-8")) for p in sorted(DOCUMENTS.glob("*.md"))])
    prompt = ChatPromptTemplate.from_messages(
        [("system", SYSTEM + "\n\nNotes:\n{notes}"), MessagesPlaceholder("history")]
    )
    chain = prompt | model
    # One set of notes for the conversation keeps the prompt's beginning as it is, turn by turn.
    notes = "\n\n".join(d.page_content for d in store.similarity_search(CHAIN_QUESTIONS[0], k=1))
    history: list[BaseMessage] = []
    for question in CHAIN_QUESTIONS:
        history.append(HumanMessage(question))
        answer = chain.invoke({"notes": notes, "history": history})
        history.append(AIMessage(answer.text))
        _show(console, question, answer.text)


def query_engine(llm: OpenAILike, console: Console) -> None:
    """A LlamaIndex query engine over the same documents."""
    documents = SimpleDirectoryReader(DOCUMENTS).load_data()
    index = VectorStoreIndex.from_documents(
        documents, embed_model=HashedWordsEmbedding(model_name="hashed-words")
    )
    engine = index.as_query_engine(llm=llm, similarity_top_k=1)
    for question in ENGINE_QUESTIONS:
        _show(console, question, str(engine.query(question)))


def _show(console: Console, question: str, answer: str) -> None:
    console.print(f"  [bold]Q[/bold] {question}\n  [dim]A {' '.join(answer.split())}[/dim]")


# -- the bill ----------------------------------------------------------------------------------


def show_attempts(console: Console, attempts: list[Attempt]) -> None:
    table = Table("framework", "purpose", "input", "cached", "output", "seconds", "cost")
    for row in attempts:
        table.add_row(
            row.framework,
            row.purpose,
            f"{row.usage.input_tokens:,}",
            f"{row.usage.cache_read_tokens:,}",
            f"{row.usage.output_tokens:,}",
            f"{row.latency_s:.2f}" if row.latency_s is not None else "-",
            usd_text(row.cost_usd) if row.cost_usd is not None else "unpriced",
        )
    console.print(table)


def show_totals(console: Console, ledger: Ledger) -> None:
    for line in ledger.totals(by=["framework"]):
        whole = line.usage.input_tokens
        cached = line.usage.cache_read_tokens / max(whole, 1)
        console.print(
            f"  {line.key['framework']}: {line.attempts} attempts, {line.operations} operations "
            f"started, {whole:,} input tokens ({cached:.0%} from the prompt cache), "
            f"{line.usage.output_tokens:,} output tokens, "
            f"{cost_text(line.cost_usd, line.unpriced, line.attempts)}"
        )


def show_elsewhere(console: Console, attempts: list[Attempt]) -> None:
    """Without cache reads: another provider's cache would not have granted those of this one."""
    longest = max(a.usage.input_tokens for a in attempts)
    console.print(
        f"  The same token counts, none of them cached: the longest prompt has {longest:,} tokens, "
        f"hosted caches begin at {CACHED_FROM_TOKENS:,}."
    )
    prices = PriceBook.load()
    for name, model in HOSTED:
        costs = [
            prices.price(uncached(a.usage), model=model, provider=name).cost_usd for a in attempts
        ]
        known = [cost for cost in costs if cost is not None]
        total = cost_text(sum(known, Decimal(0)), len(costs) - len(known), len(costs))
        console.print(f"  {model} ({name}): {total}")


def uncached(usage: Usage) -> Usage:
    return usage._replace(
        cache_read_tokens=0,
        cache_read_audio_tokens=0,
        cache_write_5m_tokens=0,
        cache_write_1h_tokens=0,
    )


def cost_text(known_usd: Decimal, unpriced: int, calls: int) -> str:
    """A sum never without what it leaves out."""
    if not unpriced:
        return usd_text(known_usd)
    return "unpriced" if unpriced == calls else f"{usd_text(known_usd)} + {unpriced} unpriced"


def show_refusal(console: Console, model: BaseChatModel, ledger: Ledger) -> None:
    """A budget too small for one more answer: the call is refused before it is sent."""
    budget = Budget.usd("0.00002", per="run")
    try:
        with langchain_frugal.track_cost(ledger, budgets=[budget]):
            model.invoke("Write a long poem about coffee. " * 20)
    except BudgetExceeded as refusal:
        console.print(f"  {refusal}", markup=False)
    else:
        raise SystemExit("the budget should have refused this call")


def main() -> None:
    console = Console(highlight=False)
    # LangChain logs what handlers raise; the refusal is shown below, where it belongs.
    logging.getLogger("langchain_core.callbacks.manager").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name, provider() as where:
        folder = Path(name)
        console.print(f"[bold]Who answers:[/bold] {where.description}.\n")
        write_prices(folder, where.model if where.is_local else "")
        with Ledger.open(f"sqlite:///{folder}/demo.db") as ledger:
            model = ChatOpenAI(
                model=where.model, base_url=where.base_url, api_key=where.api_key,
                max_tokens=MAX_ANSWER_TOKENS, temperature=0,
            )  # fmt: skip
            llm = OpenAILike(
                model=where.model, api_base=where.base_url, api_key=where.api_key,
                max_tokens=MAX_ANSWER_TOKENS, temperature=0, is_chat_model=True,
            )  # fmt: skip
            console.print("[bold]LangChain: a RAG chain with history[/bold]")
            with langchain_frugal.track_cost(ledger, feature="chat"):
                chat_with_chain(model, console)
            console.print("\n[bold]LlamaIndex: a query engine[/bold]")
            with llama_index_frugal.track_cost(ledger, feature="search"):
                query_engine(llm, console)
            console.print("\n[bold]The ledger[/bold]")
            show_attempts(console, list(ledger.attempts()))
            show_totals(console, ledger)
            console.print("\n[bold]The same answers at list prices elsewhere[/bold]")
            show_elsewhere(console, list(ledger.attempts(purpose="answer")))
            console.print("\n[bold]A budget of $0.00002 and a call that may cost more[/bold]")
            show_refusal(console, model, ledger)


if __name__ == "__main__":
    main()
