"""A chain with a chat history: one step between prompt and model keeps the bill flat.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL.
"""

from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_openai import ChatOpenAI

from frugal_chains.dispatch import Compaction
from langchain_frugal import compact_messages, track_cost


def told(event: Compaction) -> None:
    print(f"{event.reason}: {event.before_tokens:,} -> {event.after_tokens:,} tokens")


prompt = ChatPromptTemplate.from_messages(
    [("system", "You keep a ship's log. " * 300), MessagesPlaceholder("history")]
)
model = ChatOpenAI(model="gpt-4.1-mini", max_tokens=300)
chain = prompt | compact_messages(model, on_compaction=told) | model
CONFIG = {"configurable": {"session_id": "log"}}

if __name__ == "__main__":
    history = []
    with track_cost(feature="long chain") as spent:
        for day in range(1, 31):
            said = (
                f"Day {day}: wind force {day % 9}, {40 + day} miles. " + "The sea was rough. " * 60
            )
            history.append(HumanMessage(said))
            history.append(chain.invoke({"history": history}, CONFIG))
    print(len(history), "messages in the log")
    print(spent)
