"""A RAG chain that reads a third of what it finds, and still says where its answers come from.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL. What compression saved is
in the ledger, beside the bill: `frugal report`.

The compressor works inside LangChain's `ContextualCompressionRetriever` as well (package
langchain-classic); nothing but langchain-core is needed to use it as it is here.
"""

from operator import itemgetter

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_openai import ChatOpenAI

from langchain_frugal import DocumentCompressor, track_cost

MODEL = "gpt-4.1-mini"

MANUAL = {
    "Cleaning": "Empty the tray every week. Wipe the case with a damp cloth. Never use solvents. "
    "The brew group comes out after the door is opened. Rinse it under warm water without soap, "
    "and let it dry for an hour. A grey film on the tray is no fault: it is fine coffee dust.",
    "Descaling": "Hard water leaves lime in the boiler. The machine asks for descaling after 200 "
    "litres, or after 90 litres where the water is harder than 14 degrees. Use 100 ml of the "
    "descaler on 500 ml of water. The programme takes 25 minutes. Do not stop it half-way. Rinse "
    "the tank twice before you make coffee again.",
    "Error codes": "E1 means that the tank is empty or not in its place. E4 means that the brew "
    "group is missing. E7 means that the boiler is too hot: switch the machine off and wait for "
    "30 minutes. If E7 comes back, call the service and have the number on the plate ready. E9 is "
    "shown while the software is updated.",
    "Warranty": "The warranty is 24 months from the day of purchase. It does not cover seals and "
    "filters. Keep the receipt. Repairs by others than our service end the warranty. Damage by "
    "lime is covered only if the machine was descaled when it asked for it.",
    "Milk": "The milk system takes fresh milk from the fridge. Oat drink foams better when it is "
    "cold. Clean the hose every day: the programme takes 2 minutes. The foam is set in three "
    "steps. In the coffee menu, a long press keeps your choice.",
}


def find(question: str) -> list[Document]:
    """Where your own retriever stands: a vector store, a search engine."""
    return [
        Document(text, id=title, metadata={"title": title, "page": 10 * number})
        for number, (title, text) in enumerate(MANUAL.items(), 1)
    ]


# Labels count in the budget, and so does what stands between documents.
compressor = DocumentCompressor(
    budget_tokens=120, model=MODEL, label="[{n}] {title}, page {page}\n"
)


def compress(asked: dict) -> list[Document]:
    return compressor.compress_documents(asked["found"], asked["question"])


async def acompress(asked: dict) -> list[Document]:
    return await compressor.acompress_documents(asked["found"], asked["question"])


prompt = ChatPromptTemplate(
    [
        ("system", "Answer from these sources alone, and cite them like [1].\n\n{context}"),
        ("user", "{question}"),
    ]
)
chain = (
    {"question": RunnablePassthrough(), "found": RunnableLambda(find)}
    | RunnablePassthrough.assign(sources=RunnableLambda(compress, afunc=acompress))
    | RunnablePassthrough.assign(context=itemgetter("sources") | RunnableLambda(compressor.text_of))
    | RunnablePassthrough.assign(
        answer=prompt | ChatOpenAI(model=MODEL, max_tokens=300) | StrOutputParser()
    )
)

QUESTIONS = ("What do I do when the machine shows E7?", "How long does descaling take?")

if __name__ == "__main__":
    with track_cost(feature="compressed rag") as spent:
        for question in QUESTIONS:
            done = chain.invoke(question)
            print(question, "->", done["answer"])
            for number, source in enumerate(done["sources"], 1):
                print(f"  [{number}] {source.id}, page {source.metadata['page']}")
    print(spent)
