"""Conversations with facts that are said once and asked many turns later, often in other words.

Everything comes of a seed. Most turns need nothing of the past: questions of general knowledge on
topics that come back, small tasks, small talk, and follow-ups on the last answer. Facts share
names, kinds of number and phrases with facts that are never asked.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from frugal_chains.text import content_terms, terms


def _words(text: str, *, sep: str | None = None) -> list[str]:
    return text.split(sep)


PEOPLE = _words(
    "Priya Tomas Ingrid Mateo Yuki Amara Declan Sofia Bashir Linnea Oskar Chidi Marguerite Anton "
    "Leila Hugo Wanda Rashid Beatriz Kofi Elsbeth Nikolai Farah Gustav Imani Jorge Petra Samir "
    "Thea Viktor Zanele Rowan Dalia Emeka Freya Haruto Ilse Kamal Lucia Marek"
)
PLACES = _words(
    "Lisbon Tromso Cordoba Hobart Ljubljana Nagoya Galway Tallinn Valparaiso Tbilisi Windhoek "
    "Bergen Oaxaca Ghent Dunedin Palermo Kaunas Sapporo Asheville Matera Cusco Izmir Halifax Graz"
)
PROJECTS = _words(
    "Falcon Larkspur Redwood Bluebird Mercury Granite Saffron Kestrel Halcyon Juniper Cobalt "
    "Marigold Obsidian Pelican Quartz Sequoia Tundra Umber Vesper Willow Zephyr Basalt Cinder Drift"
)
FIRMS = _words(
    "Northgate;Brightwell;Ostrava Systems;Helio Labs;Tern & Vale;Kite Foundry;Oakmoor;Sunder Bank;"
    "Pallas Foods;Greyline;Ember Clinic;Marlow Press;Vantor;Quillon Insurance;Drey Logistics",
    sep=";",
)
THINGS = _words(
    "kettle bicycle dishwasher camera violin tent laptop printer blender drill telescope keyboard "
    "scooter heater microscope projector treadmill amplifier lawnmower freezer"
)
FOODS = _words(
    "shellfish walnuts coriander mushrooms lactose sesame celery mustard aubergine mango lentils "
    "olives anchovies cinnamon rye buckwheat"
)
COLOURS = _words("teal ochre maroon indigo ivory charcoal turquoise burgundy olive lavender")
ANIMALS = _words("parrot tortoise greyhound ferret hamster rabbit terrier gecko cockatiel beagle")
PET_NAMES = _words("Biscuit Nimbus Pickle Rocket Sable Tofu Waffles Ziggy Bramble Mochi")
KIN = _words("sister brother uncle aunt nephew niece grandmother cousin father mother")
ROOMS = _words("kitchen hallway bathroom nursery bedroom attic pantry study")
STACKS = _words("Postgres MongoDB Cassandra Redis MySQL CockroachDB DynamoDB SQLite Elasticsearch")
DRUGS = _words("metoprolol sertraline cetirizine ramipril levothyroxine omeprazole warfarin")
HOTELS = _words(
    "Casa Alvorada;Hotel Meridian;Blue Anchor Inn;Villa Soler;Grand Fjord;Pension Anna",
    sep=";",
)
STORES = _words(
    "garage shelf 3;cellar box 12;the blue cabinet;locker 41;the shed;drawer 7", sep=";"
)
MONTHS = _words("January February March April May June July August September October November")

# What is said and how it is asked; {answer} is never in a question. A question has at least one
# word or name of what was said, and often no more.
FACTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("code", (
        "The door code of the {place} office is {answer}.",
        "They changed the keypad in {place}, it is {answer} now.",
    ), (
        "What do I type in at the door in {place}?",
        "Which code opens the {place} office?",
        "I'm standing in front of the {place} building, how do I get in?",
    )),
    ("time", (
        "{person} lands at {answer} on Thursday.",
        "By the way, {person}'s flight gets in at {answer}.",
    ), (
        "When should I be at the airport for {person}?",
        "What time does {person} arrive?",
        "When do I have to pick up {person}?",
    )),
    ("food", (
        "My {kin} cannot eat {answer}.",
        "We have to be careful with my {kin}, {answer} gives them a rash.",
    ), (
        "What is my {kin} allergic to?",
        "Which food do we have to leave out for my {kin}?",
        "My {kin} is coming to dinner, what should stay out of the pot?",
    )),
    ("money", (
        "For project {project} we agreed on a budget of {answer} euros.",
        "Finance gave {project} {answer} euros and not a cent more.",
    ), (
        "How much can we spend on {project}?",
        "What was the budget of {project} again?",
        "Is 90000 too much for {project}?",
    )),
    ("person", (
        "The contact at {firm} is called {answer}.",
        "{answer} is the one who handles our contract over at {firm}.",
    ), (
        "Who do I write to at {firm}?",
        "Who is our person at {firm}?",
        "Draft a short mail to our contact at {firm}.",
    )),
    ("id", (
        "My policy with {firm} has the number {answer}.",
        "I am insured with {firm}, policy {answer}.",
    ), (
        "What is my policy number with {firm}?",
        "{firm} asks for the number of my policy, which one is it?",
        "Fill in the claim form of {firm} with my policy.",
    )),
    ("pet", (
        "Our {animal} is called {answer}.",
        "We adopted a {animal} last month and named it {answer}.",
    ), (
        "What is the name of our {animal}?",
        "What did we call the {animal}?",
        "Write a birthday card for our {animal}, with its name on it.",
    )),
    ("colour", (
        "We are painting the {room} {answer}.",
        "For the {room} walls we settled on {answer}.",
    ), (
        "Which colour did we pick for the {room}?",
        "What shade of paint do I buy for the {room}?",
        "How are we going to paint the {room}?",
    )),
    ("date", (
        "The {project} release moved to {answer}.",
        "We ship {project} on {answer}, the board has confirmed it.",
    ), (
        "When does {project} go live?",
        "What is the deadline of {project}?",
        "How many days do I have left for {project}?",
    )),
    ("id", (
        "The serial number of my {thing} is {answer}.",
        "I registered the {thing}; on its label it says {answer}.",
    ), (
        "What is the serial of my {thing}?",
        "The warranty desk wants what is on the label of my {thing}.",
        "Which number does my {thing} have?",
    )),
    ("place", (
        "{person} moved to {answer} in spring.",
        "{person} has a new flat in {answer}.",
    ), (
        "Where does {person} live now?",
        "In which town is {person} these days?",
        "Where do I send the parcel for {person}?",
    )),
    ("money", (
        "I paid {answer} euros for the {thing}.",
        "The {thing} cost me {answer} euros in the end.",
    ), (
        "How much was the {thing}?",
        "What did I pay for my {thing}?",
        "What is the price I got the {thing} for?",
    )),
    ("room", (
        "The workshop with {person} is in room {answer}.",
        "{person} booked room {answer} for the workshop.",
    ), (
        "Where is the workshop with {person}?",
        "Which room did {person} reserve?",
        "Where do I have to go for {person}'s workshop?",
    )),
    ("size", (
        "{person} wears shoes in size {answer}.",
        "Shoes for {person}: size {answer}, and they run small.",
    ), (
        "What size are {person}'s feet?",
        "Which shoe size does {person} need?",
        "I want to buy boots for {person}, which size?",
    )),
    ("host", (
        "The staging database of {project} runs on {answer}.",
        "{project} talks to {answer}, that is its staging database.",
    ), (
        "Which host has the database of {project}?",
        "Where does {project} keep its staging data?",
        "Give me the connection string for {project} on staging.",
    )),
    ("drug", (
        "My {kin} takes {answer} every evening.",
        "The doctor put my {kin} on {answer}.",
    ), (
        "Which medicine does my {kin} take?",
        "What did the doctor prescribe for my {kin}?",
        "What pills is my {kin} on?",
    )),
    ("hotel", (
        "In {place} we stay at the {answer}.",
        "I reserved two nights at the {answer} for the {place} trip.",
    ), (
        "Where are we sleeping in {place}?",
        "What is the hotel in {place} called?",
        "Which hotel did I book for {place}?",
    )),
    ("decision", (
        "For {project} we decided against {other} and for {answer}.",
        "The {project} team will use {answer}, {other} was too slow.",
    ), (
        "What did we choose for {project}?",
        "Which database did the {project} team settle on?",
        "Remind me what {project} is built with.",
    )),
    ("wifi", (
        "The wifi password at my {kin}'s house is {answer}.",
        "At my {kin}'s place the wifi wants {answer}.",
    ), (
        "How do I get online at my {kin}'s place?",
        "What was the wifi password of my {kin}?",
        "I'm at my {kin}'s house, which password do I need?",
    )),
    ("date", (
        "{person}'s birthday is on {answer}.",
        "{person} was born on {answer}, same week as me.",
    ), (
        "When is {person}'s birthday?",
        "On which day do I have to congratulate {person}?",
        "How long is it until {person} has a birthday?",
    )),
    ("store", (
        "I left the {thing} with {person}; they keep it in {answer}.",
        "The {thing} is stored at {answer}, {person} put it there.",
    ), (
        "Where is my {thing}?",
        "Where did {person} put the {thing}?",
        "I can't find the {thing}, who has it and where?",
    )),
    ("phone", (
        "The plumber {person} can be reached at {answer}.",
        "If a pipe bursts, call {person} on {answer}.",
    ), (
        "What is the number of the plumber {person}?",
        "How do I reach {person}?",
        "There is a burst pipe, do I call {person} at home?",
    )),
    ("count", (
        "{answer} guests have confirmed for the party in {place}.",
        "For the {place} party we are {answer} people now.",
    ), (
        "How many people are coming to the {place} party?",
        "How many chairs do we need in {place}?",
        "What is the number of guests in {place}?",
    )),
    ("rule", (
        "{firm} wants every invoice with the reference {answer}.",
        "Invoices to {firm} bounce unless they carry {answer}.",
    ), (
        "Which reference goes on an invoice to {firm}?",
        "What do I have to put on the {firm} invoice?",
        "Write this month's invoice to {firm}.",
    )),
)  # fmt: skip

TOPICS: dict[str, str] = {
    "bread": "yeast dough flour oven crust starter gluten hydration loaf kneading salt proofing",
    "vaccines": "vaccine antibody immune virus booster antigen infection dose cell fever trial",
    "python": "list dictionary function loop class exception module decorator iterator string test",
    "planets": "planet orbit moon gravity Jupiter Saturn telescope comet atmosphere ring star",
    "coffee": "coffee beans roast grinder espresso filter milk caffeine aroma crema water",
    "finance": "interest bond share inflation fund dividend loan tax portfolio risk mortgage",
    "gardening": "soil compost tomato seed pruning mulch slug rose frost watering bed nitrogen",
    "running": "marathon pace knee stride shoe heart training interval recovery muscle breathing",
    "rome": "senate emperor legion Caesar republic aqueduct province slave consul forum Carthage",
    "databases": "index query transaction table join lock replica schema column backup latency",
    "weather": "cloud pressure storm wind humidity rain front temperature hurricane forecast fog",
    "chess": "opening bishop knight endgame pawn castle sacrifice tempo queen rook checkmate",
    "music": "chord melody rhythm scale harmony piano guitar tempo key octave bass drum",
    "sleep": "sleep dream melatonin insomnia light pillow nap rhythm alarm rest caffeine",
    "oceans": "tide current coral whale plankton reef trench salt wave fish shark depth",
    "law": "contract tenant notice clause court landlord deposit liability lease warranty appeal",
    "travel": "visa passport luggage airport train hostel ticket border insurance flight seat",
    "painting": "canvas brush pigment shade varnish palette perspective primer oil sketch fresco",
    "networks": "router packet port firewall latency protocol address switch cable server DNS",
    "nutrition": "protein fibre vitamin sugar fat iron calcium meal calorie diet vegetable grain",
    "photography": "lens aperture shutter exposure sensor tripod focus flash portrait filter light",
    "writing": "paragraph plot character draft editor metaphor sentence dialogue verb tone ending",
    "energy": "battery turbine solar grid voltage panel storage heat pump charger motor fuel",
    "dogs": "puppy leash breed bark vet treat walk collar training kennel coat",
}
QUESTIONS = (
    "How does {a} affect {b}?", "What is the difference between {a} and {b}?",
    "Why do people worry about {a}?", "Explain {a} to a beginner.", "What is a good {a}?",
    "How do I choose a {a} without spending too much?", "Can {a} be bad for {b}?",
    "Give me three tips about {a} and {b}.", "How long does {a} usually take?",
    "What happens to {a} when {b} changes?", "Is {a} more important than {b}?",
    "I read about {a} this morning, what is it for?", "Should I care about {a} at my age?",
    "My neighbour swears by {a}. Does it help with {b}?", "Who first described {a}?",
    "What should I know about {a} before I start?", "how many kinds of {a} are there",
    "Which {a} would you recommend for someone new to {b}?", "When was {a} invented?",
)  # fmt: skip
TASKS = (
    "Write a haiku about {a}.", "Translate '{a} and {b}' into Spanish.", "Make a joke about {a}.",
    "Give me a quiz question on {a}.", "Write two sentences that contain {a} and {b}.",
    "Suggest a title for an article about {a}.", "Make a table with pros and cons of {a}.",
    "What rhymes with {a}?", "Write a polite mail that asks for more time.", "What is 17 times 23?",
    "Convert 12 miles to kilometres.", "Name a city that begins with K.",
)  # fmt: skip
FOLLOW_UPS = (
    "Can you say that more simply?", "Why is that?", "And the other one?", "Give me an example.",
    "Shorter, please.", "Are you sure?", "What do you mean by the first point?", "Go on.",
    "Could you turn that into a list?", "Which of these is the best?", "How do you know?",
    "Make it a bit friendlier.", "Why does that matter for {a}?", "And what about {b}?",
    "So {a} comes first?", "Does the same hold for {b}?",
)  # fmt: skip
SMALL_TALK = (
    "Thanks, that helps a lot!", "Good morning!", "Ok, great.", "Ha, nice one.", "I see.",
    "I'm back from lunch.", "Hm, I'm a bit tired today.", "It's raining here again.", "Perfect.",
    "You are quite patient with me.", "Let's move on to something else.", "Wow, I had no idea.",
    "My train is late, so I have some time.", "I had a long meeting with my boss.",
)  # fmt: skip
PROSE = (
    "In most cases {a} depends on {b}, and it pays to look at both before deciding.",
    "A common mistake is to change {a} too quickly.", "Many guides say that {b} matters most.",
    "There are {n} things to keep in mind about {a}.", "Start small with {a} and see what happens.",
    "If {a} does not work as expected, check {b} first.", "Experts disagree about {a}.",
    "The short answer is that {a} and {b} go together.", "It takes about {n} days until {a} shows.",
    "Some people prefer {b}, others would never give up {a}.", "Over time {a} becomes easier.",
    "On the other hand, too much {b} can spoil the result.", "For {b} there is a simple rule.",
    "Historically {a} was rare, and only about {n} percent of people knew it.",
    "You can measure {b} at home with little equipment.", "That is why {b} is often overlooked.",
    "Keep notes, because the effect of {a} is easy to forget.", "Let me know how it goes.",
    "A friend's name on the list, a number in a table: {a} is often about small details.",
    "The price of {a} has gone up, so plan a budget.", "Ask your doctor if {b} worries you.",
    "Whoever plans a trip or a party with {a} should book early.", "Write the date on the label.",
)  # fmt: skip
BACKGROUND = (
    "I have been thinking about {a} for a while now.", "My friends keep talking about {b}.",
    "Last weekend I tried something with {a} and it did not go well.", "I have about {n} minutes.",
    "I read in a magazine that {b} is what counts.", "A colleague said it costs around {n} euros.",
    "To be honest I never understood {b}.", "We talked about it at the office in the morning.",
    "There was a long article about {a} in the paper.", "I don't want to spend the day on this.",
    "At school our teacher had a strong opinion on {a}.", "My family is not much help with {b}.",
)  # fmt: skip
NOTED = ("Noted.", "Got it, I'll keep that in mind.", "Thanks for telling me.", "Understood.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    question: str
    answer: str
    kind: str
    """`fact`, `decoy` (a fact that is never asked), `asks`, or a kind of ordinary turn."""
    of: int = -1
    """Of a turn that asks: the turn where the fact was said."""
    expected: str = ""
    """Of a turn that asks: what has to be in the context."""


@lru_cache(maxsize=1_000)
def _terms_of(turn: Turn) -> frozenset[str]:
    return frozenset(terms(f"{turn.question} {turn.answer}"))


def distinctive(turns: list[Turn], at: int, *, most_turns: float = 0.05) -> bool:
    """Whether a turn that asks shares a content word with its fact that few turns have."""
    having: Counter[str] = Counter()
    for turn in turns[:at]:
        having.update(_terms_of(turn))
    shared = set(content_terms(turns[at].question)) & set(terms(turns[turns[at].of].question))
    return any(having[term] <= max(2, most_turns * at) for term in shared)


def asked_later(
    seed: int, *, facts: int = 40, later: int = 50, turn_tokens: int = 40, decoys: int = 20
) -> list[Turn]:
    """The turns of one conversation, in each a question and its answer.

    Args:
        seed: Of everything.
        facts: How many are asked.
        later: How many turns after they were said.
        turn_tokens: About what a turn has.
        decoys: How many more facts are said.
    """
    return _Writer(random.Random(f"asked later {seed}"), turn_tokens).write(facts, later, decoys)


class _Writer:
    def __init__(self, rng: random.Random, turn_tokens: int) -> None:
        self._rng = rng
        self._words = turn_tokens / 1.3
        self._long = turn_tokens > 100
        self._topic = rng.choice(sorted(TOPICS))
        self._used: set[str] = set()

    def write(self, facts: int, later: int, decoys: int) -> list[Turn]:
        length = later + 2 * (facts + decoys) + 40
        free = list(range(length))
        self._rng.shuffle(free)
        taken: dict[int, Turn] = {}
        for _ in range(facts):
            said, asked, expected = self._fact()
            at = next(n for n in free if n + later < length and not {n, n + later} & taken.keys())
            taken[at] = Turn(question=self._around(said), answer=self._noted(), kind="fact")
            taken[at + later] = Turn(
                question=self._around(asked) if self._rng.random() < 0.4 else asked,
                answer=self._prose(),
                kind="asks",
                of=at,
                expected=expected,
            )
        for _ in range(decoys):
            at = next(n for n in free if n not in taken)
            said = self._around(self._fact()[0])
            taken[at] = Turn(question=said, answer=self._noted(), kind="decoy")
        return [taken.get(n) or self._ordinary() for n in range(length)]

    def _fact(self) -> tuple[str, str, str]:
        while True:
            kind, said, asked = self._rng.choice(FACTS)
            slots = {
                "person": self._rng.choice(PEOPLE),
                "place": self._rng.choice(PLACES),
                "project": self._rng.choice(PROJECTS),
                "firm": self._rng.choice(FIRMS),
                "thing": self._rng.choice(THINGS),
                "kin": self._rng.choice(KIN),
                "animal": self._rng.choice(ANIMALS),
                "room": self._rng.choice(ROOMS),
                "other": self._rng.choice(STACKS),
            }
            about = re.sub(r"\{answer\}|\{other\}", "", said[0] + said[1]).format(**slots)
            if about not in self._used:
                break
        self._used.add(about)
        answer = self._answer(kind, slots)
        fact = self._rng.choice(said).format(answer=answer, **slots)
        return fact, self._rng.choice(asked).format(**slots), answer

    def _answer(self, kind: str, slots: dict[str, str]) -> str:
        rng = self._rng
        figures = rng.randrange(1000, 9999)
        return {
            "code": f"{figures}",
            "time": f"{rng.randrange(6, 23)}:{rng.randrange(10, 59)}",
            "food": rng.choice(FOODS),
            "money": f"{figures * 7}",
            "person": rng.choice(PEOPLE),
            "id": f"{rng.choice('ABKQX')}{rng.choice('RSTZ')}-{figures}-{rng.randrange(10, 99)}",
            "pet": rng.choice(PET_NAMES),
            "colour": rng.choice(COLOURS),
            "date": f"{rng.choice(MONTHS)} {rng.randrange(1, 28)}",
            "place": rng.choice([place for place in PLACES if place != slots["place"]]),
            "room": f"{rng.randrange(1, 9)}.{rng.randrange(100, 400)}",
            "size": f"{rng.randrange(35, 47)}.5",
            "host": f"db-{rng.choice(COLOURS)}-{rng.randrange(10, 99)}.internal",
            "drug": rng.choice(DRUGS),
            "hotel": rng.choice(HOTELS),
            "decision": rng.choice([each for each in STACKS if each != slots["other"]]),
            "wifi": f"{rng.choice(COLOURS)}{figures}",
            "store": rng.choice(STORES),
            "phone": f"0{rng.randrange(100, 999)} {figures}{rng.randrange(10, 99)}",
            "count": f"{rng.randrange(21, 99)}",
            "rule": f"PO-{figures}",
        }[kind]

    def _ordinary(self) -> Turn:
        rng = self._rng
        if rng.random() < 0.35:
            self._topic = rng.choice(sorted(TOPICS))
        kinds = {
            "knowledge": QUESTIONS, "task": TASKS, "follow_up": FOLLOW_UPS,
            "small_talk": SMALL_TALK,
        }  # fmt: skip
        kind = rng.choices(list(kinds), weights=(50, 15, 22, 13))[0]
        text = self._filled(rng.choice(kinds[kind]))
        question = self._around(text) if kind == "knowledge" else text
        return Turn(question=question, answer=self._prose(), kind=kind)

    def _around(self, text: str) -> str:
        """A message that says something; in long conversations it is told at length."""
        if not self._long:
            return text
        parts = [self._filled(self._rng.choice(BACKGROUND)) for _ in range(int(self._words / 25))]
        parts.insert(self._rng.randrange(len(parts) + 1), text)
        return " ".join(parts)

    def _noted(self) -> str:
        said = self._rng.choice(NOTED)
        return f"{said} {self._prose()}" if self._long else said

    def _prose(self) -> str:
        parts: list[str] = []
        count, least = 0, max(12, self._words * (0.75 if self._long else 0.5))
        while count < least:
            parts.append(self._filled(self._rng.choice(PROSE)))
            count += len(parts[-1].split())
        return " ".join(parts)

    def _filled(self, frame: str) -> str:
        one, other = self._rng.sample(TOPICS[self._topic].split(), 2)
        return frame.format(a=one, b=other, n=self._rng.randrange(2, 60))
