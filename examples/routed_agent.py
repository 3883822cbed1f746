"""An agent that routes: the same decision for each of its model calls, tools and all.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL.
"""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from frugal_chains.routing import Depth, Keywords, RoutingPolicy, Rule
from langchain_frugal import RoutingChatModel, track_cost


@tool
def stock(item: str) -> int:
    """How many of an item are in stock."""
    return {"pen": 12, "pencil": 3}.get(item, 0)


model = RoutingChatModel(
    tiers={
        "gatekeeper": ChatOpenAI(model="gpt-4.1-nano", max_tokens=300),
        "specialist": ChatOpenAI(model="gpt-4.1", max_tokens=300),
    },
    policy=RoutingPolicy(
        default_tier="gatekeeper",
        rules=(Rule(name="hard", when=Keywords("forecast") | Depth(at_least=6), to="specialist"),),
    ),
)
agent = create_agent(model, tools=[stock])

if __name__ == "__main__":
    with track_cost(feature="routed agent") as spent:
        for question in ("How many pens are there?", "Make a forecast for pens."):
            answer = agent.invoke({"messages": [("user", question)]})["messages"][-1]
            print(answer.response_metadata["frugal"], answer.text)
    print(spent)
