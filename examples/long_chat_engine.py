"""A LlamaIndex chat engine with another memory: everything is kept, less is sent.

Needs OPENAI_API_KEY, or an OpenAI-compatible server at $OPENAI_API_BASE.
"""

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

from llama_index_frugal import SummarizingMemory, track_cost

SYSTEM = "You keep the books of a small bakery. " * 200
llm = OpenAI(model="gpt-4.1-mini", max_tokens=300)
memory = SummarizingMemory.from_defaults(llm=llm, system_prompt=SYSTEM)
engine = SimpleChatEngine.from_defaults(
    llm=llm, memory=memory, prefix_messages=[ChatMessage(role="system", content=SYSTEM)]
)

if __name__ == "__main__":
    with track_cost(feature="long engine") as spent:
        for day in range(1, 31):
            sold = f"On day {day} we sold {100 + day} loaves and {20 + day} rolls. "
            engine.chat(sold + "The oven was hot all day. " * 60)
    print(len(memory.get_all()), "messages kept,", len(memory.get()), "sent")
    for event in memory.compactions[-3:]:
        print(f"{event.reason}: {event.before_tokens:,} -> {event.after_tokens:,} tokens")
    print(spent)
