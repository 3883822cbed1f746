"""A query engine that cites its sources, and reads the sentences it needs of them.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL. What compression saved is
in the ledger, beside the bill: `frugal report`.
"""

from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.llms.openai import OpenAI

from llama_index_frugal import NodeCompressor, track_cost

MODEL = "gpt-4.1-mini"

PAGES = {
    "Pinto beans": "Pinto beans are pale with brown spots, which are gone when they are cooked. "
    "Soak them overnight, and throw the water away. They want an hour of boiling. Salt goes in at "
    "the end. What is left keeps in the fridge for four days.",
    "Lentils": "Lentils come in green, brown, red and black. They need no soaking. Green lentils "
    "want twenty minutes of boiling, red ones ten. Look for small stones before you wash them. In "
    "many families they are eaten on New Year's Eve.",
    "Chickpeas": "Chickpeas want a night in cold water, and ninety minutes of boiling after it. "
    "The water they were boiled in can be whipped like the white of an egg. Tinned ones are ready "
    "to eat. Roasted they are sold in paper bags.",
    "Rice": "Rice is no pulse, but is eaten with most of them. Wash it until the water is clear. "
    "Basmati takes twelve minutes, brown rice thirty. Let it stand for ten minutes with the lid "
    "closed.",
}
DOCUMENTS = [
    Document(text=text, id_=title, metadata={"title": title, "page": 10 * number})
    for number, (title, text) in enumerate(PAGES.items(), 1)
]

# The engine numbers its sources: that counts in the budget, as titles and page numbers do.
compressor = NodeCompressor(budget_tokens=120, model=MODEL, label="Source {n}:\n")
engine = CitationQueryEngine.from_args(
    VectorStoreIndex.from_documents(DOCUMENTS, embed_model=MockEmbedding(8)),
    llm=OpenAI(model=MODEL, max_tokens=300),
    similarity_top_k=4,
    node_postprocessors=[compressor],
)

QUESTIONS = ("How long do green lentils boil?", "Which pulses are soaked?")

if __name__ == "__main__":
    with track_cost(feature="compressed engine") as spent:
        for question in QUESTIONS:
            response = engine.query(question)
            print(question, "->", response)
            for number, source in enumerate(response.source_nodes, 1):
                title, page = source.metadata["title"], source.metadata["page"]
                print(f"  [{number}] {title}, page {page}")
    print(spent)
