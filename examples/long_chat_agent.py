"""An agent whose long conversation costs hardly more per turn: its state keeps every message.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL. What the memory saved is
in the ledger, beside the bill: `frugal report`.
"""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from langchain_frugal import CompactionMiddleware, track_cost


@tool
def tide(port: str) -> str:
    """When the tide is high in a port today."""
    return {"Cork": "07:10 and 19:32", "Vigo": "04:55 and 17:20"}.get(port, "unknown")


memory = CompactionMiddleware()  # summarizer="same": the agent's own model writes the summaries
agent = create_agent(
    ChatOpenAI(model="gpt-4.1-mini", max_tokens=300),
    tools=[tide],
    system_prompt="You help a harbour master. " * 150,
    middleware=[memory],
    checkpointer=InMemorySaver(),
)
THREAD = {"configurable": {"thread_id": "harbour"}}
NOTE = "Berth {n} was inspected by Ms Okafor, who found {n} loose bolts and ordered new ones. "

if __name__ == "__main__":
    with track_cost(feature="long agent") as spent:
        for n in range(1, 31):
            said = f"Note this: {NOTE.format(n=n) * 12}When is the tide high in Cork?"
            agent.invoke({"messages": [("user", said)]}, THREAD)
        found = agent.invoke({"messages": [("user", "How many bolts at berth 3?")]}, THREAD)
    state = agent.get_state(THREAD).values
    print(len(state["messages"]), "messages kept")
    print(len(memory.compactions(state)), "summaries stand for the older ones")
    print(found["messages"][-1].text)
    print(spent)
