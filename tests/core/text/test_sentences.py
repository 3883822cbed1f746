"""Sentences: where they end, in many languages and kinds of text, and what holds of all spans."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.text._atoms import atoms
from frugal_chains.text._sentences import MAX_SENTENCE, sentences
from tests.own_time import own_seconds

# One case a line, its sentences parted by "|". By hand, from grammars and style guides.
ENGLISH = """
Hello world.|How are you?|Fine!
Mr. Smith met Dr. Jones at St. Mary's.|They talked.
I use e.g. apples and i.e. fruit.|That is all.
It was Kramer vs. Kramer in court.|He won.
See No. 5 and Fig. 3 for details.|See p. 12 too.
He said no.|Then he left.
He lives in the U.S. and works there.|She lives in the U.K.|They are happy.
The U.S. Senate voted.|It passed.
J. K. Rowling wrote it.|J.R.R. Tolkien did not.
We met at 5 p.m. yesterday.|We left at 9 a.m.|The train was late.
Meet at 10 a.m. EST tomorrow.|Bring it.
Apple Inc. reported gains.|Apple Inc.|The company grew.
It fell on Jan. 5, 2024.|It rose on Dec. 24.
Pi is 3.14159.|Version 2.0.1 is out.|Use v1.2.
Wait... what happened?|I see.
Well...|Nobody came.
She said "Stop." and left.|He stayed.
"Are you sure?" he asked.|"Yes," she said.
"I am here. You are not," he said.|Then silence.
He left (it was late).|She stayed.
(It was late.)|He left.
What?!|No way!!|Really?
It costs $3.50.|It is 4.5 kg.
Visit https://example.com/a.b?c=1.|Then call.
Mail me@example.com.|Thanks.
This was shown before.[1]|Others disagree.[2][3]
Smith et al. found it.|They used mice, rats, etc.|Results vary.
He has a Ph.D. in maths.|She has an M.A. from Oxford.
We tried plan B.|Then plan C.|It failed.
That is all, folks!|Bye.
i went home.|then i slept.
is it done?|yes it is
The file is foo.bar.baz in src.|Open it.
Prof. A. Lee and Lt. Col. B. Kay came.|They sat.
Call approx. five people.|Done.
It ended in 2020.|45 people came.
He works at Yahoo! now.|Good.
"""
OTHERS = """
Das ist z. B. gut.|Das ist z.B. besser.
Am 1. Mai 2024 war es kalt.|Am 3. Oktober regnete es.
Treffen 1. Mai 2024 in Bonn.|Ende 3. Mai.
Im 19. Jahrhundert war das so.|Heute nicht.
Er kam bzw. ging um 5 Uhr.|Sie blieb.
Dr. Müller und Fr. Schmidt kamen.|Vgl. Abs. 2 und Nr. 3.
Das kostet 3,5 Mio. Euro.|Das ist viel.
„Komm her. Sofort“, sagte er.|Sie kam.
Er sagte: „Ich gehe.“|Dann ging er.
Bonjour !|Comment ça va ?|Très bien.
« Viens ici ! » dit-il.|Elle vint.
M. Dupont et Mme. Curie, p. ex. ici.|Voilà.
Le 1er mai 2024, il pleut.|Il neige, etc.
¿Qué tal?|¡Muy bien!|Gracias.
El Sr. López y la Dra. Ruiz llegaron.|Se fueron.
Vea la pág. 5 y el núm. 7.|Adiós.
Il sig. Rossi arriva.|Ciao!
Привет.|Как дела?|Хорошо.
मैं ठीक हूँ।|आप कैसे हैं?|धन्यवाद।
كيف حالك؟|أنا بخير.|شكرا
یہ کتاب ہے۔|وہ قلم ہے۔
안녕하세요.|반갑습니다!|네.
Γεια σου.|Τι κάνεις;
Olá.|Tudo bem?|Sim!
Cześć.|Jak się masz?
สวัสดี ครับ
"""
UNSPACED = """
你好。|我很好！|你呢？
他说：“我不去。”|然后走了。
今天很冷；|明天会暖和。
价格是3.14元。|很便宜。
真的吗？！|不会吧……|好的。
「行きます。」と言った。|終わり。
今日は晴れ。|明日は雨だ！|本当？
「はい。」|彼は頷いた。
これはテストです（たぶん。）|次へ。
访问https://example.com/a.b。|谢谢。
ሰላም።|ደህና ነኝ።
မင်္ဂလာပါ။|နေကောင်းလား။
ជំរាបសួរ។|សុខសប្បាយ។
كيف حالك؟|أنا بخير.
یہ کتاب ہے۔|وہ قلم ہے۔
"""


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def cases(table: str, between: str) -> list[tuple[str, list[str]]]:
    lines = [line.split("|") for line in table.strip().splitlines()]
    return [(between.join(parts), parts) for parts in lines]


EXPECTED = [*cases(ENGLISH, " "), *cases(OTHERS, " "), *cases(UNSPACED, "")]


@pytest.mark.parametrize(("text", "expected"), EXPECTED, ids=[text[:30] for text, _ in EXPECTED])
def test_a_sentence_ends_where_a_reader_would_say(text: str, expected: list[str]) -> None:
    assert split(text) == expected


LINES = {
    "blank line": ("A heading\n\nSome text", ["A heading", "Some text"]),
    "blank line below a long one": (
        "This is a line of prose that an editor might have wrapped at\n\nseventy columns.",
        ["This is a line of prose that an editor might have wrapped at", "seventy columns."],
    ),
    "crlf": ("One two\r\n\r\nThree\r\nfour", ["One two", "Three\r\nfour"]),
    "list": ("Buy:\n- milk\n- two eggs\n* tea", ["Buy:", "- milk", "- two eggs", "* tea"]),
    "numbers": (
        "1. One thing\n2. Another. And more\n3) Third",
        ["1. One thing", "2. Another.", "And more", "3) Third"],
    ),
    "heading": ("# Title\nText that follows.", ["# Title", "Text that follows."]),
    "table": ("| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "|---|---|", "| 1 | 2 |"]),
    "turns": (
        "User: hi there\nAssistant: Hello. How are you?\nProject Manager: okay",
        ["User: hi there", "Assistant: Hello.", "How are you?", "Project Manager: okay"],
    ),
    "wrapped": (
        "This is a line of prose that an editor has wrapped at\n"
        "seventy columns, and Mr.\nSmith has not ended it. Then a new one\nbegins.",
        [
            "This is a line of prose that an editor has wrapped at\n"
            "seventy columns, and Mr.\nSmith has not ended it.",
            "Then a new one\nbegins.",
        ],
    ),
    "wrapped before a name": (
        "The prize went to a young physicist called Albert\n"
        "Einstein, who had published a number of papers.\n",
        [
            "The prize went to a young physicist called Albert\n"
            "Einstein, who had published a number of papers."
        ],
    ),
    "short lines": ("Jane Doe\n12 Long Road\nOxford", ["Jane Doe", "12 Long Road", "Oxford"]),
    "log": (
        "2024-05-01 12:00 start of a job\n2024-05-01 12:01 end of the job",
        ["2024-05-01 12:00 start of a job", "2024-05-01 12:01 end of the job"],
    ),
    "fence": (
        "Run this:\n```sh\npip install x. Or y.\n\necho done\n```\nThen stop.",
        ["Run this:", "```sh\npip install x. Or y.\n\necho done\n```", "Then stop."],
    ),
    "open fence": ("Text. ```\nnever closed. Really.", ["Text.", "```\nnever closed.", "Really."]),
    "key and value": ("name: frugal\nkind: tool", ["name: frugal", "kind: tool"]),
    "chinese wrapped": (
        "这是一个很长的句子它在编辑器里被换行了因为\n它太长了。完了。",
        ["这是一个很长的句子它在编辑器里被换行了因为\n它太长了。", "完了。"],
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_end_a_sentence_only_where_they_mean_to(name: str) -> None:
    text, expected = LINES[name]
    assert split(text) == expected


PIECES = st.sampled_from(
    [
        *("Mr.", "a.m.", "EST", "5", "12", "3,5", "Mio.", "€", "kg", "1.", "Mai", "Dec.", "2024"),
        *('"', "“", "”", "«", "»", "「", "」", "’", "(", ")", "[1]", "`", "```", "\n", "\n\n"),
        *("。", "！", "?", "!", ".", "...", "…", ";", "你好", "不", "ない", "not", "don't", "The"),
        *("U.S.", "foo.bar(x)", "foo(", "http://x.y/", "a@b.co", "/usr", "C:\\", "-", "--f", "_"),
        *("\r\n", "\u2028", "#", "|", "- ", "User:", "1)", "।", "؟", "x_y", "*", "\xa0", "    c"),
        *("\ud800", "\x00", "\x1c", "+49", "30", ":", "=", "nicht", "ne", "pas", " 000"),
    ]
)
MIXED = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", " "])), max_size=60).map(
    lambda parts: "".join(piece + space for piece, space in parts)
)
ANY = st.one_of(MIXED, st.text(max_size=300))


@given(ANY)
def test_spans_cover_everything_but_white_space(text: str) -> None:
    reached = 0
    for start, end in sentences(text):
        assert reached <= start < end <= len(text)
        assert not text[reached:start].strip()
        assert text[start:end] == text[start:end].strip()
        reached = end
    assert not text[reached:].strip()


@given(ANY, st.integers(min_value=1, max_value=30))
def test_no_boundary_lies_in_an_atom(text: str, times: int) -> None:
    # Repeated, so that sentences are also long enough to be cut at a pause.
    text = text * times
    spans = sentences(text)
    starts = [start for start, _ in spans]
    for atom in atoms(text):
        start, end = spans[bisect_right(starts, atom.start) - 1]
        assert start <= atom.start < atom.end <= end, text[atom.start : atom.end]


def test_a_long_sentence_is_cut_at_pauses() -> None:
    text = "one two three, four five six; " * 200
    parts = split(text)
    assert all(len(part) <= MAX_SENTENCE for part in parts)
    assert all(part.endswith(";") for part in parts[:-1])
    assert "".join(text.split()) == "".join("".join(parts).split())
    assert len(parts) > 5
    assert all(500 < len(part) <= 1000 for part in parts[:-1])


def test_a_long_sentence_is_never_cut_in_a_url_or_a_number() -> None:
    url = "https://example.com/" + "a,b;c/" * 100
    text = f"see {url} and 1,234,567.89 kg " * 30
    parts = split(text)
    assert sum(part.count(url) for part in parts) == 30
    assert sum(part.count("1,234,567.89 kg") for part in parts) == 30


def test_what_has_no_pause_stays_whole() -> None:
    assert sentences("x" * 5000) == [(0, 5000)]


def test_a_long_fenced_block_is_cut_at_its_lines() -> None:
    lines = [f"value_{n} = compute({n}). And on" for n in range(200)]
    assert split("```\n" + "\n".join(lines) + "\n```\nDone.") == ["```", *lines, "```", "Done."]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\u3000\x1c"])
def test_nothing_has_no_sentences(text: str) -> None:
    assert sentences(text) == []


UNITS = ["a", ". ", "\n", "\n ", "```", "``` ", '"', "Mr. ", "。", "a,", " ", "(", "- \n", "1. "]


@pytest.mark.parametrize("unit", UNITS)
def test_the_time_is_linear(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    assert own_seconds(lambda: sentences(text)) < 2  # a square would take minutes
