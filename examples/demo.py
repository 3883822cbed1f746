"""The main job, end to end: a LangChain RAG chain and a LlamaIndex query engine, and their bill.

    make demo

Both answer questions about a small set of documents, several turns each. They compress what they
have retrieved, and ask a cheap model wherever that will do. Then comes what the ledger holds:
attempts, tokens, how much came from the prompt cache, what the same tokens would cost on three
hosted models; a budget that refuses a call before it is sent; and what the levers saved, step by
step from baseline to bill. The same as a page is in build/demo, or the folder given as argument.

Without a key a small real model answers on this machine. With OPENAI_API_KEY in the environment
OpenAI's gpt-4o-mini and gpt-4o do (DEMO_MODELS=cheap,dear names others): real calls, which OpenAI
bills.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index.llms.openai_like import OpenAILike
from rich.console import Console
from rich.table import Table

import langchain_frugal
import llama_index_frugal
from frugal_chains import Budget, BudgetExceeded, Ledger, PriceBook
from frugal_chains.ledger import Attempt
from frugal_chains.local import LocalModel
from frugal_chains.money import usd_text
from frugal_chains.report import savings_view
from frugal_chains.report.html import html_page, page_facts, waterfall_of, write_page
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from frugal_chains.savings import ledger_waterfall
from frugal_chains.usage import Usage
from langchain_frugal import DocumentCompressor, RoutingChatModel
from llama_index_frugal import NodeCompressor, RoutingLLM

DOCUMENTS = Path(__file__).parent / "data"
CHAIN_QUESTIONS = (
    "How many members does the cooperative have?",
    "And when do the members meet?",
    "When can I visit the shop?",
    "I want to complain: there was a stone in my bag. What do I get?",
)
ENGINE_QUESTIONS = ("How do I become a member?", "What does a parcel inside the country cost?")
HOSTED = (("openai", "gpt-5.1"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-flash"))
MODELS = "gpt-4o-mini,gpt-4o"
"""A cheap one and a dear one. The local model answers by these names, and is priced by them."""
POLICY = RoutingPolicy(
    default_tier="gatekeeper",
    rules=(Rule(name="complaints", when=Keywords("complain", "complaint"), to="specialist"),),
)
"""The cheap model answers, but complaints are for the dear one."""
NOTES_TOKENS = 160
"""Of what is retrieved for a question: two documents, about 900 tokens."""
CACHED_FROM_TOKENS = 1024
"""Hosted providers cache no shorter prompt: OpenAI and Claude Sonnet 4.5 from 1,024 tokens on, the
latter only where asked to, Gemini 2.5 Flash from 2,048 (the providers' pages on prompt caching,
read 2026-11-21). The local server caches from the first token."""
PRICES = """
# The demo embeds texts by counting words: no model, no bill.
[[free]]
provider = "*"
model = "hashed-words"

[alias] # LlamaIndex's OpenAILike does not say whose models it calls.
"openai-like:*" = "openai:*"
"""
MAX_ANSWER_TOKENS = 40
SYSTEM = (
    "You answer questions about Larkrow Coffee Cooperative in one short sentence, from the notes "
    "that come with a question and from nothing else. If the notes do not say, you say that you do "
    "not know."
)


@dataclass(frozen=True)
class Provider:
    """Where the questions go."""

    description: str
    base_url: str | None
    api_key: str
    cheap: str
    dear: str

    def chat_model(self, name: str) -> ChatOpenAI:
        return ChatOpenAI(
            model=name, base_url=self.base_url, api_key=self.api_key,
            max_tokens=MAX_ANSWER_TOKENS, temperature=0,
        )  # fmt: skip

    def llm(self, name: str) -> OpenAILike:
        return OpenAILike(
            model=name, api_base=self.base_url, api_key=self.api_key,
            max_tokens=MAX_ANSWER_TOKENS, temperature=0, is_chat_model=True,
        )  # fmt: skip


@contextmanager
def provider() -> Iterator[Provider]:
    """The user's own provider when there is a key, else the local model."""
    if key := os.environ.get("OPENAI_API_KEY"):
        cheap, _, dear = os.environ.get("DEMO_MODELS", MODELS).partition(",")
        base_url = os.environ.get("OPENAI_BASE_URL")
        who = f"{cheap} and {dear or cheap} at {base_url or 'OpenAI'}: a real bill"
        yield Provider(who, base_url, key, cheap, dear or cheap)
        return
    cheap, dear = MODELS.split(",")
    with LocalModel.start() as local:
        who = (
            f"{local.model_name}, a small real model on this machine, in two roles. Its answers "
            f"are often wrong; its token counts and cache hits are real.\nIt costs nothing: the "
            f"bill below applies the list prices of {cheap} and {dear} to its tokens, those from "
            f"its cache at the cached price. OpenAI itself caches no prompt below "
            f"{CACHED_FROM_TOKENS:,} tokens"
        )
        yield Provider(who, local.openai_base_url, "not needed", cheap, dear)


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


def chat_with_chain(model: BaseChatModel, cheap: str, console: Console) -> None:
    """A LangChain RAG chain with history: every turn carries the earlier ones."""
    store = InMemoryVectorStore(HashedWords())
    store.add_documents([Document(p.read_text("utf-8")) for p in sorted(DOCUMENTS.glob("*.md"))])
    compressor = DocumentCompressor(budget_tokens=NOTES_TOKENS, model=cheap)

    def notes(asked: dict) -> str:
        found = store.similarity_search(asked["question"], k=2)
        return compressor.text_of(compressor.compress_documents(found, asked["question"]))

    # Notes change with every question: they stand last, so that what is in front stays the same.
    prompt = ChatPromptTemplate(
        [
            ("system", SYSTEM),
            MessagesPlaceholder("history"),
            ("system", "Notes:\n{notes}"),
            ("user", "{question}"),
        ]
    )
    chain = RunnablePassthrough.assign(notes=notes) | prompt | model
    history: list[BaseMessage] = []
    for question in CHAIN_QUESTIONS:
        answer = chain.invoke({"question": question, "history": history})
        history += [HumanMessage(question), AIMessage(answer.text)]
        _show(console, question, answer.text)


def query_engine(llm: LLM, cheap: str, console: Console) -> None:
    """A LlamaIndex query engine over the same documents."""
    documents = SimpleDirectoryReader(DOCUMENTS).load_data()
    index = VectorStoreIndex.from_documents(
        documents, embed_model=HashedWordsEmbedding(model_name="hashed-words")
    )
    compressor = NodeCompressor(budget_tokens=NOTES_TOKENS, model=cheap)
    engine = index.as_query_engine(llm=llm, similarity_top_k=2, node_postprocessors=[compressor])
    for question in ENGINE_QUESTIONS:
        _show(console, question, str(engine.query(question)))


def _show(console: Console, question: str, answer: str) -> None:
    console.print(f"  [bold]Q[/bold] {question}\n  [dim]A {' '.join(answer.split())}[/dim]")


# -- the bill ----------------------------------------------------------------------------------


def show_attempts(console: Console, attempts: list[Attempt]) -> None:
    table = Table("framework", "asked", "input", "cached", "output", "seconds", "cost")
    for row in attempts:
        table.add_row(
            row.framework,
            row.model_asked or row.model,
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


# -- the proof ---------------------------------------------------------------------------------


def show_savings(console: Console, ledger: Ledger, dear: str, page: Path) -> None:
    """From what the dear model alone would have cost to the bill, on the screen and as a page."""
    for line in ledger.effect_totals():
        console.print(
            f"  {line.key['lever']}: {line.tokens_saved:,} of {line.tokens_before:,} tokens kept "
            f"out of {line.effects} requests"
        )
    console.print(
        f"  Without routing {dear} would answer all: the same tokens at its list price.\n"
    )
    prices = PriceBook.load()
    saved = ledger_waterfall(ledger, book=prices, baseline_model=dear)
    console.print(savings_view(saved, width=console.width, encoding=console.encoding))
    facts = page_facts(ledger, now=datetime.now(UTC), book=prices, waterfall=waterfall_of(saved))
    write_page(page, html_page(facts))
    console.print(f"\nThe whole report as one page: {page}", markup=False, soft_wrap=True)


def start_afresh(folder: Path) -> None:
    """An empty ledger, and a prices.toml beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("demo.db*"):
        old.unlink()
    prices = folder / "prices.toml"
    prices.write_text(PRICES, encoding="utf-8")
    os.environ["FRUGAL_PRICES"] = str(prices)


def main(folder: Path) -> None:
    console = Console(highlight=False)
    # LangChain logs what handlers raise; the refusal is shown below, where it belongs.
    logging.getLogger("langchain_core.callbacks.manager").setLevel(logging.ERROR)
    start_afresh(folder)
    with provider() as where, Ledger.open(f"sqlite:///{folder}/demo.db") as ledger:
        console.print(f"[bold]Who answers:[/bold] {where.description}.\n")
        tiers = {"gatekeeper": where.cheap, "specialist": where.dear}
        model = RoutingChatModel({t: where.chat_model(n) for t, n in tiers.items()}, policy=POLICY)
        llm = RoutingLLM({t: where.llm(n) for t, n in tiers.items()}, POLICY)

        console.print("[bold]LangChain: a RAG chain with history[/bold]")
        with langchain_frugal.track_cost(ledger, feature="chat"):
            chat_with_chain(model, where.cheap, console)
        console.print("\n[bold]LlamaIndex: a query engine[/bold]")
        with llama_index_frugal.track_cost(ledger, feature="search"):
            query_engine(llm, where.cheap, console)

        console.print("\n[bold]The ledger[/bold]")
        show_attempts(console, list(ledger.attempts()))
        show_totals(console, ledger)
        console.print("\n[bold]The same answers at list prices elsewhere[/bold]")
        show_elsewhere(console, list(ledger.attempts(purpose="answer")))
        console.print("\n[bold]A budget of $0.00002 and a call that may cost more[/bold]")
        show_refusal(console, model, ledger)
        console.print("\n[bold]What routing and compression saved[/bold]")
        show_savings(console, ledger, where.dear, folder / "report.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo"))
