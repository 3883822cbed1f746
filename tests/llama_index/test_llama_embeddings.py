"""Embeddings: by their events, and by `TrackedEmbedding`; never by both."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.storage.kvstore import SimpleKVStore

from frugal_chains import Budget, BudgetExceeded, Ledger
from frugal_chains.errors import LedgerCorrupt
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import Tracker
from llama_index_frugal import BudgetRateLimiter, TrackedEmbedding, track_cost
from tests.llama_index.asking import TEXTS, embed, only, rows
from tests.servers import Reply, Request, ScriptedServer

Make = Callable[..., Any]
WAYS = ("query", "text", "batch", "aquery", "atext", "abatch")


def billed_tokens(requests: list[Request]) -> int:
    """What OpenAI bills: the tokens of every text as it was sent, in cl100k_base."""
    encoding = tiktoken.get_encoding("cl100k_base")
    return sum(len(encoding.encode(text)) for r in requests for text in r.body["input"])


@pytest.fixture(autouse=True)
def _ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken, as an independent counter, needs the ranks that llama-index-core brings."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("llama_index.core")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "_static" / "tiktoken_cache"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folder))


def plain(embedding: Any) -> Any:
    return embedding


WRAPPINGS = [plain, TrackedEmbedding]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrap", WRAPPINGS)
async def test_every_way_is_one_attempt_with_the_billed_tokens(
    wrap: Any, way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    with track_cost(ledger, feature="index") as spent:
        await embed(wrap(openai_embedding()), way)
    row = only(ledger)
    tokens = billed_tokens(scripted.requests)
    assert (row.purpose, row.provider, row.model) == ("embed", "openai", "text-embedding-3-small")
    assert (row.usage.input_tokens, row.usage.output_tokens) == (tokens, 0)
    assert row.usage.source == "estimated"  # llama-index drops what the provider said
    assert row.cost_usd == Decimal("0.02") * tokens / 10**6  # OpenAI's price page
    assert row.tags == {"feature": "index"}
    assert spent.attempts == 1


@pytest.mark.parametrize("way", ["batch", "abatch"])
@pytest.mark.parametrize("wrap", WRAPPINGS)
async def test_every_batch_is_one_attempt(
    wrap: Any, way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    with track_cost(ledger):
        await embed(wrap(openai_embedding(embed_batch_size=2)), way)
    assert len(scripted.requests) == len(rows(ledger)) == 2
    total = sum(row.usage.input_tokens for row in rows(ledger))
    assert total == billed_tokens(scripted.requests)
    assert len({row.operation_id for row in rows(ledger)}) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrap", WRAPPINGS)
async def test_failed_embedding_is_an_error_row(
    wrap: Any, way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(status=400))
    with track_cost(ledger), pytest.raises(Exception, match="400"):
        await embed(wrap(openai_embedding()), way)
    row = only(ledger)
    assert (row.status, row.error_kind, row.cost_usd) == ("error", "invalid_request", 0)


@pytest.mark.parametrize("way", ["aquery", "abatch"])
@pytest.mark.parametrize("wrap", WRAPPINGS)
async def test_cancelled_embedding_is_estimated(
    wrap: Any, way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(delay_s=10))
    with track_cost(ledger), pytest.raises(TimeoutError):
        await asyncio.wait_for(embed(wrap(openai_embedding()), way), 0.1)
    row = only(ledger)
    assert (row.status, row.error_kind) == ("aborted", "cancelled")
    assert row.usage.input_tokens == billed_tokens(scripted.requests)


async def test_batches_beside_a_failed_one_may_have_been_billed(
    openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(
        lambda request: Reply(status=400) if request.body["input"] == ["bad"] else Reply(delay_s=1)
    )
    texts = ["bad", "beans", "beans and rice"]  # 1, 1 and 3 tokens of cl100k_base
    with track_cost(ledger), pytest.raises(Exception, match="400"):
        await openai_embedding(embed_batch_size=1).aget_text_embedding_batch(texts)
    seen = sorted((row.status, row.error_kind, row.usage.input_tokens) for row in rows(ledger))
    assert seen == [("aborted", "lost", 1), ("aborted", "lost", 3), ("error", "invalid_request", 0)]


# -- caches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_cache_hits_are_free_and_say_so(
    way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """They send the same events as paid calls."""
    cache = SimpleKVStore()
    cache.put("warm", {"id": [0.0]}, collection="embeddings")
    embedding = openai_embedding(embeddings_cache=cache)
    with track_cost(ledger):
        await embed(embedding, way)
        await embed(embedding, way)
    paid, cached = sorted(rows(ledger), key=lambda row: row.status, reverse=True)
    assert (paid.status, cached.status) == ("ok", "cached")
    assert (cached.cost_usd, cached.usage.total_tokens) == (0, 0)
    assert len(scripted.requests) == 1


async def test_partly_cached_batch_counts_what_was_sent(
    openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    cache = SimpleKVStore()
    cache.put(TEXTS[1], {"id": [0.0]}, collection="embeddings")
    with track_cost(ledger):
        openai_embedding(embeddings_cache=cache).get_text_embedding_batch(TEXTS)
    row = only(ledger)
    assert row.usage.input_tokens == billed_tokens(scripted.requests)
    assert "1 of 3" in row.note


async def test_cache_that_cannot_be_asked_is_noted(openai_embedding: Make, ledger: Ledger) -> None:
    with track_cost(ledger):
        openai_embedding(embeddings_cache=_remote_cache()).get_query_embedding("how many?")
    assert "embedding cache" in only(ledger).note


def _remote_cache() -> Any:
    from llama_index.core.storage.kvstore.types import BaseKVStore

    class Remote(BaseKVStore):  # a database: asking it takes a network
        def put(self, key: str, val: Any, collection: str = "") -> None: ...
        async def aput(self, key: str, val: Any, collection: str = "") -> None: ...
        def get(self, key: str, collection: str = "") -> Any: ...
        async def aget(self, key: str, collection: str = "") -> Any: ...
        def get_all(self, collection: str = "") -> Any: ...
        async def aget_all(self, collection: str = "") -> Any: ...
        def delete(self, key: str, collection: str = "") -> bool: ...
        async def adelete(self, key: str, collection: str = "") -> bool: ...

    return Remote()


async def test_call_that_passes_by_its_limiter_is_noted(
    openai_embedding: Make, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """With a cache, llama-index-core 0.14.25 sends async batches without asking the limiter."""
    embedding = openai_embedding(embeddings_cache=SimpleKVStore())
    embedding.embeddings_cache.put("warm", {"id": [0.0]}, collection="embeddings")
    with track_cost(ledger, budgets=[Budget.usd(1)]):
        await embedding.aget_text_embedding_batch(TEXTS)
        await embedding.aget_text_embedding_batch([text * 2 for text in TEXTS])
    assert all("budget not held" in row.note for row in rows(ledger))
    assert caplog.text.count("budget not held") == 1


@pytest.mark.parametrize("way", WAYS)
async def test_tracked_embedding_books_no_cache_hits(
    way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    cache = SimpleKVStore()
    cache.put(TEXTS[0], {"id": [0.0]}, collection="embeddings")
    tracked = TrackedEmbedding(openai_embedding(embeddings_cache=cache), ledger=ledger)
    await embed(tracked, way)
    assert sum(row.usage.input_tokens for row in rows(ledger)) == billed_tokens(scripted.requests)
    assert len(rows(ledger)) == len(scripted.requests) == ("batch" in way)


# -- TrackedEmbedding --------------------------------------------------------------------------


async def test_tracked_embedding_needs_no_block(
    openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    tracked = TrackedEmbedding(openai_embedding(), ledger=ledger, tags={"job": "index"})
    index = VectorStoreIndex.from_documents([Document(text=TEXTS[0])], embed_model=tracked)
    await index.as_retriever().aretrieve("how many?")
    assert [row.tags for row in rows(ledger)] == [{"job": "index"}] * 2
    with track_cost(Ledger.open("memory://")) as spent:
        tracked.get_query_embedding("how many?")
    assert spent.attempts == 0  # its own ledger has it
    assert len(rows(ledger)) == 3


async def test_tracked_embedding_belongs_to_the_query_it_serves(
    openai_embedding: Make, openai_llm: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = TrackedEmbedding(openai_embedding())
    monkeypatch.setenv("FRUGAL_LEDGER", "memory://")
    index = VectorStoreIndex.from_documents([Document(text=TEXTS[0])], embed_model=tracked)
    with track_cost(ledger):
        index.as_query_engine(llm=openai_llm()).query("how many?")
    embedded, answered = rows(ledger)
    assert (embedded.purpose, answered.purpose) == ("embed", "answer")
    assert embedded.operation_id == answered.operation_id
    assert embedded.parent_id


@pytest.mark.parametrize("way", WAYS)
async def test_budget_of_a_tracked_embedding_holds(
    way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    tracked = TrackedEmbedding(openai_embedding(), ledger=ledger, budgets=[Budget.usd(0)])
    with pytest.raises(BudgetExceeded):
        await embed(tracked, way)
    assert (scripted.requests, rows(ledger)) == ([], [])


async def test_limiter_inside_a_tracked_embedding_holds(
    openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    inner = openai_embedding()
    inner.rate_limiter = BudgetRateLimiter(budgets=[Budget.usd(0)], ledger=ledger)
    with pytest.raises(BudgetExceeded):
        TrackedEmbedding(inner).get_query_embedding("how many?")
    assert (scripted.requests, rows(ledger)) == ([], [])


async def test_call_refused_in_one_ledger_holds_nothing_in_another(
    openai_embedding: Make, ledger: Ledger
) -> None:
    roomy = Budget.usd(1, per="lifetime")
    inner = openai_embedding()
    with Ledger.open("memory://") as other:
        inner.rate_limiter = BudgetRateLimiter(budgets=[Budget.usd(0)], ledger=other)
        tracked = TrackedEmbedding(inner, ledger=ledger, budgets=[roomy])
        with pytest.raises(BudgetExceeded):
            tracked.get_query_embedding("how many?")
    (state,) = Tracker(ledger, budgets=[roomy]).pressure()
    assert (state.reserved_nanos, rows(ledger)) == (0, [])


def test_tracked_embedding_can_be_copied_and_sent_to_a_process(ledger: Ledger) -> None:
    tracked = TrackedEmbedding(MockEmbedding(embed_dim=3), ledger=ledger)
    copied = copy.deepcopy(tracked)
    copied.get_query_embedding("hi")
    assert only(ledger).model == "MockEmbedding"
    sent = pickle.loads(pickle.dumps(TrackedEmbedding(MockEmbedding(embed_dim=3))))
    assert sent.embedding.embed_dim == 3


@pytest.mark.parametrize("setting", ["ledger", "budgets", "tags", "prices"])
def test_tracked_embedding_with_settings_of_its_own_stays_in_its_process(
    setting: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy without them would spend without a limit, into other books."""
    monkeypatch.setenv("FRUGAL_LEDGER", "memory://")
    options: dict[str, Any] = {
        "ledger": ledger, "budgets": [Budget.usd(0)], "tags": {"job": "index"},
        "prices": PriceBook.load(),
    }  # fmt: skip
    tracked = TrackedEmbedding(MockEmbedding(embed_dim=3), **{setting: options[setting]})
    with pytest.raises(TypeError, match="FRUGAL_LEDGER"):
        pickle.dumps(tracked)


def test_tracked_embedding_without_books_still_embeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    books = tmp_path / "books.db"
    books.write_text("no ledger, but a text that is long enough to be looked at " * 20)
    monkeypatch.setenv("FRUGAL_LEDGER", str(books))
    assert TrackedEmbedding(MockEmbedding(embed_dim=3)).get_query_embedding("hi")
    assert "not booked" in caplog.text
    with pytest.raises(LedgerCorrupt):  # budgets cannot be held without books
        TrackedEmbedding(MockEmbedding(embed_dim=3), budgets=[Budget.usd(0)])


class Named(TrackedEmbedding):
    @classmethod
    def class_name(cls) -> str:
        return "Named"


@pytest.mark.parametrize("way", WAYS)
async def test_subclass_of_tracked_embedding_books_once(
    way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    with track_cost(ledger):
        await embed(Named(openai_embedding()), way)
    assert only(ledger).provider == "openai"
    cache = SimpleKVStore()
    for text in TEXTS:
        cache.put(text, {"id": [0.0]}, collection="embeddings")
    with track_cost(ledger):  # no request: there is nothing inside that could be announced
        await embed(Named(MockEmbedding(embed_dim=1), embeddings_cache=cache), way)
    assert len(rows(ledger)) == len(scripted.requests) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_limiter_of_a_tracked_embedding_holds(
    way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    tracked = TrackedEmbedding(openai_embedding())
    tracked.rate_limiter = BudgetRateLimiter(budgets=[Budget.usd(0)], ledger=ledger)
    with pytest.raises(BudgetExceeded):
        await embed(tracked, way)
    assert (scripted.requests, rows(ledger)) == ([], [])


def test_tracked_embedding_is_a_transformation(ledger: Ledger) -> None:
    tracked = TrackedEmbedding(MockEmbedding(embed_dim=3), ledger=ledger)
    nodes = IngestionPipeline(transformations=[tracked]).run(documents=[Document(text="beans")])
    assert len(nodes[0].embedding or ()) == 3
    assert only(ledger).purpose == "embed"


@pytest.mark.parametrize("wrap", WRAPPINGS)
async def test_wrapper_of_the_user_s_own_is_no_attempt(
    wrap: Any, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    class Wrapping(BaseEmbedding):
        inner: Any

        def _get_query_embedding(self, query: str) -> Any:
            return self.inner.get_query_embedding(query)

        async def _aget_query_embedding(self, query: str) -> Any:
            return await self.inner.aget_query_embedding(query)

        def _get_text_embedding(self, text: str) -> Any:
            return self.inner.get_text_embedding(text)

    with track_cost(ledger, budgets=[Budget.usd(1)]):
        await embed(Wrapping(inner=wrap(openai_embedding())), "query")
        await embed(Wrapping(inner=wrap(openai_embedding())), "batch")
        await embed(Wrapping(inner=wrap(openai_embedding())), "abatch")
    assert {row.model for row in rows(ledger)} == {"text-embedding-3-small"}
    assert len(rows(ledger)) == len(scripted.requests) == 7
