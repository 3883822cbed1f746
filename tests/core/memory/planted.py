"""Conversations of about 5,000 tokens with facts planted in them, from a seed.

Two sets of wordings: `known` were looked at while the scoring was made, `unseen` were not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from frugal_chains.facts import MessageFacts, Role, ToolCallFacts

Wording = Literal["known", "unseen"]


@dataclass(frozen=True)
class Planted:
    """A fact: what a later question asks for, and the word by which it asks."""

    kind: str
    value: str
    role: Role


@dataclass(frozen=True)
class Conversation:
    messages: tuple[MessageFacts, ...]
    facts: tuple[Planted, ...]


def several(names: str, mark: str = " ") -> list[str]:
    return names.split(mark)


FIRST = several(
    "Ada Brigitte Chidi Dmitri Esperanza Farouk Greta Haruto Ingrid Jamal Keiko Lorenzo"
)
LAST = several("Okafor Lindqvist Marchetti Novak Ferreira Yamamoto Dubois Hassan Kowalski Petrov")
PETS = several("Miso Biscuit Pepper Waffle Ziggy Mochi Truffle Pixel Olive Nacho")
CITIES = several("Lisbon Osaka Tallinn Valparaiso Ghent Aarhus Bilbao Trieste Nantes Oaxaca")
FOODS = several("peanuts shellfish gluten sesame lactose penicillin mustard celery soy walnuts")
TOOLS = several("Postgres Terraform Kafka Svelte Ansible Redis Grafana Django Elixir Nomad")
MONTHS = several("January March April May June July August September October November")
SEATS = several(
    "an aisle seat|a window seat|decaf coffee|metric units|dark mode|short answers", "|"
)


def code(rng: random.Random, prefix: str, digits: int) -> str:
    return prefix + "".join(rng.choice("0123456789") for _ in range(digits))


VALUES: dict[str, Callable[[random.Random], str]] = {
    "name": lambda r: f"{r.choice(FIRST)} {r.choice(LAST)}",
    "pet": lambda r: r.choice(PETS),
    "allergy": lambda r: r.choice(FOODS),
    "order": lambda r: code(r, "W", 7),
    "booking": lambda r: "".join(r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(6)),
    "deadline": lambda r: f"{r.choice(MONTHS)} {r.randint(1, 28)}",
    "budget": lambda r: f"${r.randint(2, 97) * 50}",
    "phone": lambda r: f"{r.randint(201, 989)}-555-{r.randint(1000, 9999)}",
    "email": lambda r: f"{r.choice(FIRST).lower()}.{r.choice(LAST).lower()}@example.org",
    "city": lambda r: r.choice(CITIES),
    "preference": lambda r: r.choice(SEATS),
    "decision": lambda r: r.choice(TOOLS),
    "path": lambda r: f"/srv/{r.choice(PETS).lower()}/conf/{r.choice(TOOLS).lower()}.yaml",
    "people": lambda r: f"{r.randint(3, 19)} people",
}

SAID: dict[Wording, dict[str, tuple[str, ...]]] = {
    "known": {
        "name": ("My name is {v}.", "I'm {v}, by the way.", "You can address me as {v}."),
        "pet": ("My dog is called {v}.", "We have a cat named {v}.", "Our parrot's name is {v}."),
        "allergy": ("I am allergic to {v}.", "Remember that my son can't have {v}."),
        "order": ("My order number is {v}.", "It is about order {v}.", "Please look at {v} first."),
        "booking": (
            "The booking reference is {v}.",
            "Our reservation code is {v}, if you need it.",
        ),
        "deadline": ("The deadline is {v}.", "We have to be finished by {v}.", "It is due on {v}."),
        "budget": (
            "My budget is {v}.",
            "We can't spend more than {v}.",
            "The limit is {v} in all.",
        ),
        "phone": ("My phone number is {v}.", "You can reach me at {v}.", "Call me on {v}."),
        "email": ("My email is {v}.", "Send it to {v} please.", "Please use {v} for the invoice."),
        "city": ("I live in {v}.", "We are moving to {v} next year.", "My office is in {v}."),
        "preference": ("I prefer {v}.", "I always want {v}.", "Keep in mind that I like {v}."),
        "decision": ("Let's go with {v}.", "We decided to use {v}.", "OK, {v} it is then."),
        "path": ("The config is in {v}.", "Everything lives under {v} on the server."),
        "people": ("We will be {v}.", "There are {v} in my team.", "Plan for {v} please."),
    },
    "unseen": {
        "name": ("It's {v} speaking, hello again.", "People know me as {v}.", "Sign it with {v}."),
        "pet": (
            "{v}, our puppy, chewed up the cable again.",
            "The vet has {v} on file as patient.",
        ),
        "allergy": (
            "Anything with {v} sends me to hospital.",
            "No {v} for me, ever, doctor's orders.",
        ),
        "order": ("The label on the parcel reads {v}.", "That purchase ran under {v}."),
        "booking": (
            "Under {v} you should find our flight.",
            "The airline wrote {v} on the receipt.",
        ),
        "deadline": ("The board meets on {v} and wants to see it.", "After {v} nobody will care."),
        "budget": ("Anything above {v} gets refused upstairs.", "My boss signed off {v} for this."),
        "phone": ("Text {v} when it is done.", "The landline here, {v}, works best."),
        "email": ("Copy {v} on everything.", "{v} is the inbox that gets read."),
        "city": ("Home is {v} these days.", "I grew up around {v} and never left."),
        "preference": ("Nothing beats {v} for me.", "Give me {v} over anything else."),
        "decision": ("The team voted for {v} this morning.", "{v} won, so that settles it."),
        "path": ("Look into {v} when it breaks.", "{v} holds the settings we talked about."),
        "people": ("Expect {v} at the table.", "The group has grown to {v} meanwhile."),
    },
}
CONFIRMED: dict[Wording, tuple[str, ...]] = {
    "known": ("I've booked it: the confirmation number is {v}.", "Done, your ticket id is {v}."),
    "unseen": ("All set on my side; quote {v} at the desk.", "That went through as {v}."),
}

OPENERS = ("", "", "", "By the way, ", "Oh, and ", "Just so you know: ", "For the record, ")
USER_TALK = (
    "Thanks, that was helpful.", "Hmm, I see what you mean.", "It has been raining here all week.",
    "I read something about that in a magazine once.", "That sounds about right to me.",
    "I was thinking about this on the train this morning.", "Interesting, tell me more about it.",
    "My head is spinning from all those options.", "I am not sure I follow the second part.",
    "OK, I think I get it now.", "Sorry for the late reply, it was a busy day.",
    "That is a lot longer than I expected.", "I tried it and it mostly worked.",
    "We talked about it over lunch and nobody really knew.", "It is a nice topic for sure.",
    "I will have a look at it later today.", "I like how you put that.", "Good point.",
    "My colleague says 3 out of 4 people get this wrong.", "I had 2 coffees already, so go ahead.",
    "In 2019 it used to be different, I believe.", "That is what my neighbour keeps saying too.",
    "I am still reading the part above.", "It took me 40 minutes to read that article.",
)  # fmt: skip
USER_ASKS = (
    "Can you explain how {t} works?", "What is the difference between {t} and {u}?",
    "How would you compare {t} with {u}?", "Why do people care about {t}?",
    "Could you give me an example of {t}?", "What should I read about {t}?",
    "Is {t} worth the effort?", "Can you go into more detail about {t}?",
    "How long does it take to learn {t}?", "What are the risks of {t}?",
)  # fmt: skip
TOPICS = (
    "composting", "solar panels", "index funds", "sourdough", "rate limiting", "heat pumps",
    "watercolours", "type checking", "marathon training", "tax brackets", "bird watching",
    "load balancing", "fermentation", "chess openings", "insulation", "double entry bookkeeping",
    "tide tables", "beekeeping", "colour theory", "git rebasing", "mortgages", "sleep cycles",
)  # fmt: skip
ANSWERS = (
    "{T} is usually explained by starting from the simplest case and adding detail step by step.",
    "Most guides put the share at about {n} percent, although the figures vary a lot by region.",
    "A common mistake is to look at {t} in isolation and to forget how it depends on {u}.",
    "Studies from {y} onwards show a clear trend, with {n} of {m} participants reporting a change.",
    "If you want to go deeper, look at how {u} developed alongside it over the last {n} years.",
    "In practice people spend between {n} and {m} hours on it before they feel comfortable.",
    "There are three parts to it: the preparation, the thing itself, and what comes afterwards.",
    "It helps to write down what you expect beforehand and to compare it with what you get.",
    "Compared with {u}, the upfront cost is higher, but the running costs tend to be much lower.",
    "The first rule of thumb says that doubling the input rarely doubles what comes out of it.",
    "Experts at the institute in Vienna disagree with this, and they have good reasons to do so.",
    "You could begin with a small experiment at home, which takes no more than {n} minutes.",
    "As a rough guide, prices range from ${n} to ${m}00 depending on quality and on the season.",
    "The history of {t} goes back to {y}, when the first written descriptions of it appeared.",
    "Another way to see it is as a trade between comfort now and flexibility later on.",
    "Some communities have their own customs around {t}, which are rarely written down anywhere.",
    "None of this is set in stone, and it is fine to adapt it to what suits your situation.",
    "Beginners tend to overestimate {t} and underestimate {u}, which evens out with experience.",
)  # fmt: skip


def _talk(rng: random.Random) -> str:
    topics = rng.sample(TOPICS, 2)
    ask = rng.choice(USER_ASKS).format(t=topics[0], u=topics[1])
    return " ".join([*rng.sample(USER_TALK, rng.randint(0, 3)), ask])


def _answer(rng: random.Random) -> str:
    t, u = rng.sample(TOPICS, 2)
    said = [
        line.format(
            t=t, T=t.capitalize(), u=u,
            n=rng.randint(3, 60), m=rng.randint(61, 99), y=rng.randint(1850, 2019),
        )
        for line in rng.sample(ANSWERS, rng.randint(5, 11))
    ]  # fmt: skip
    cut = rng.randint(1, len(said) - 1)
    return " ".join(said[:cut]) + "\n\n" + " ".join(said[cut:])


def _lookup(rng: random.Random, at: int, planted: str) -> list[MessageFacts]:
    """A search for things that nobody asks about later; with the fact where there is one."""
    rows = [
        {"sku": code(rng, "K", 5), "title": f"Book on {rng.choice(TOPICS)}", "pages": n}
        for n in rng.sample(range(90, 900), 6)
    ]
    name, asked = "search_catalogue", {"query": rng.choice(TOPICS), "limit": 6}
    found: object = {"results": rows, "took_ms": rng.randint(3, 90)}
    if planted:
        name, asked = "create_ticket", {"title": f"question about {rng.choice(TOPICS)}"}
        found = {"status": "created", "ticket_id": planted, "queue": "general", "took_ms": 12}
    call = ToolCallFacts(name=name, arguments=json.dumps(asked), id=f"call_{at}")
    return [
        MessageFacts(role="assistant", tool_calls=(call,)),
        MessageFacts(role="tool", text=json.dumps(found), tool_call_id=call.id, name=name),
    ]


def conversation(seed: int, wording: Wording, *, facts: int = 8, turns: int = 26) -> Conversation:
    """About 5,000 tokens: six facts the user says, one the assistant says, one of a tool."""
    rng = random.Random(f"{wording} {seed}")
    kinds = rng.sample(sorted(VALUES), facts - 2)
    where = dict(
        zip(rng.sample(range(turns - 1), facts), [*kinds, "ticket", "created"], strict=True)
    )
    messages: list[MessageFacts] = []
    planted: list[Planted] = []
    for turn in range(turns):
        kind = where.get(turn, "")
        user, assistant, tool = _talk(rng), _answer(rng), ""
        if kind in VALUES:
            value = VALUES[kind](rng)
            said = rng.choice(OPENERS) + rng.choice(SAID[wording][kind]).format(v=value)
            user = f"{said} {user}" if rng.random() < 0.5 else f"{user} {said}"
            planted.append(Planted(kind, value, "user"))
        elif kind == "ticket":
            value = code(rng, "C-", 6)
            assistant = f"{rng.choice(CONFIRMED[wording]).format(v=value)} {assistant}"
            planted.append(Planted(kind, value, "assistant"))
        elif kind == "created":
            tool = code(rng, "TCK-", 5)
            planted.append(Planted(kind, tool, "tool"))
        messages.append(MessageFacts(role="user", text=user))
        if tool or rng.random() < 0.15:
            messages.extend(_lookup(rng, turn, tool))
        messages.append(MessageFacts(role="assistant", text=assistant))
    return Conversation(tuple(messages), tuple(planted))


def held(facts: tuple[Planted, ...], text: str) -> list[Planted]:
    """The facts whose value stands in the text, to the character."""
    return [fact for fact in facts if fact.value in text]
