"""A LlamaIndex query engine whose LLM is chosen for each question.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL.
"""

from llama_index.core import Document, MockEmbedding, SummaryIndex
from llama_index.llms.openai import OpenAI

from frugal_chains.routing import InputTokens, RoutingPolicy, Rule
from llama_index_frugal import RoutingLLM, track_cost

DOCUMENTS = [
    Document(text="Pinto beans want an hour of boiling; soak them overnight."),
    Document(text="Lentils want twenty minutes and no soaking."),
]

llm = RoutingLLM(
    {
        "gatekeeper": OpenAI(model="gpt-4.1-nano", max_tokens=300),
        "specialist": OpenAI(model="gpt-4.1", max_tokens=300),
    },
    RoutingPolicy(
        default_tier="gatekeeper",
        rules=(Rule(name="long", when=InputTokens(at_least=4_000), to="specialist"),),
    ),
)
engine = SummaryIndex.from_documents(DOCUMENTS, embed_model=MockEmbedding(8)).as_query_engine(llm)

if __name__ == "__main__":
    with track_cost(feature="routed engine") as spent:
        print(engine.query("How long do lentils boil?"))
    print(spent)
