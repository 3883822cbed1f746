"""A chain whose model is chosen for each question: rules, a cascade, and the reason in words.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_BASE_URL. The bill is in the ledger:
`frugal report --by model --by purpose`.
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from frugal_chains.routing import CannedAnswer, Cascade, Keywords, RoutingPolicy, Rule, SimilarTo
from langchain_frugal import RoutingChatModel, track_cost

policy = RoutingPolicy(
    default_tier="gatekeeper",
    rules=(
        Rule(name="contracts", when=Keywords("contract", "liability"), to="specialist"),
        Rule(name="code", when=Keywords("python", "stack trace"), to="workhorse"),
    ),
    canned_answers=(
        CannedAnswer(
            name="hours",
            when=SimilarTo(("What are your opening hours?", "When are you open?"), at_least=0.7),
            answer="We are open from 9 to 5.",
        ),
    ),
    cascade=Cascade(),  # look at cheap answers, and go up a tier where one does not hold
)
model = RoutingChatModel(
    tiers={
        "gatekeeper": ChatOpenAI(model="gpt-4.1-nano", max_tokens=300),
        "workhorse": ChatOpenAI(model="gpt-4.1-mini", max_tokens=300),
        "specialist": ChatOpenAI(model="gpt-4.1", max_tokens=300),
    },
    policy=policy,
)
prompt = ChatPromptTemplate([("system", "Answer in one sentence."), ("user", "{question}")])
chain = prompt | model | StrOutputParser()

QUESTIONS = (
    "When are you open?",
    "Why is the sky blue?",
    "What does this stack trace mean: KeyError: 'id'?",
    "Who bears the liability in this contract?",
)

if __name__ == "__main__":
    for question in QUESTIONS:
        print(model.explain(prompt.invoke({"question": question})))
        with track_cost(feature="routed chain") as spent:
            print("->", chain.invoke({"question": question}))
        print(spent, end="\n\n")
