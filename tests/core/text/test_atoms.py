"""Atoms: what each kind finds, what always holds of them, and that hostile text costs no time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.text._atoms import KINDS, Atom, atoms
from tests.own_time import own_seconds

# Kind, the atom, a text around it with "@@" where it stands.
FOUND = [
    ("number", "1,234.56 kg", "It weighs @@ in all."),
    ("number", "$3.5 million", "They raised @@ last year."),
    ("number", "12 %", "Up by @@ since."),
    ("number", "45%", "Only @@."),
    ("number", "5–7 °C", "Keep it at @@, please."),
    ("number", "3.2.1", "Version @@ is out."),
    ("number", "-40 °F", "It was @@ outside."),
    ("number", "€1.234,56", "Preis: @@ netto."),
    ("number", "3,5 Mio. Euro", "Das kostet @@ im Jahr."),
    ("number", "1 234 567 €", "Il a payé @@ hier."),
    ("number", "120 km/h", "Er fuhr @@ schnell."),
    ("number", "16 GB", "It has @@ of memory."),
    ("number", "6.02e23", "About @@ of them."),
    ("number", "30-day", "A @@ trial."),
    ("number", "42nd", "The @@ street."),
    ("number", "3.5万元", "价格是@@。"),
    ("number", "500円", "値段は@@です。"),
    ("number", "USD 1,000", "A fee of @@ is due."),
    ("number", "±0.5 mm", "Tolerance @@ each."),
    ("number", "3 to 5 kg", "Take @@ of it."),
    ("date", "2024-05-01T12:00Z", "At @@ it began."),
    ("date", "2024-05-01T12:00:03.123+02:00", "At @@ it began."),
    ("date", "2024-05-01 12:00:03", "At @@ it began."),
    ("date", "May 1st, 2024", "On @@ it began."),
    ("date", "Sept. 5, 2023", "On @@ it began."),
    ("date", "24 December 2021", "On @@ it began."),
    ("date", "1. Mai 2024", "Am @@ begann es."),
    ("date", "1er mai 2024", "Le @@ il pleut."),
    ("date", "5 de mayo de 2024", "El @@ empezó."),
    ("date", "2024年5月1日", "会议在@@举行。"),
    ("date", "10:30 pm", "Come at @@ sharp."),
    ("date", "9 a.m.", "Come at @@ or later."),
    ("date", "14:30 Uhr", "Um @@ ist es so weit."),
    ("date", "01/02/2024", "Due @@ at last."),
    ("date", "01.02.2024", "Am @@ endet es."),
    ("date", "14时30分", "下午@@开始。"),
    ("date", "Q3 2024", "In @@ it fell."),
    ("date", "5 o'clock", "At @@ it rang."),
    ("date", "14h30", "À @@ il pleut."),
    ("id", "550e8400-e29b-41d4-a716-446655440000", "Key @@ is set."),
    ("id", "ORD-12345", "Order @@ came."),
    ("id", "ABC_123", "Part @@ is out."),
    ("id", "9fceb02", "Commit @@ broke it."),
    ("id", "d41d8cd98f00b204e9800998ecf8427e", "Sum @@ holds."),
    ("id", "#4521", "Ticket @@ is open."),
    ("id", "JIRA-77", "请看@@。"),
    ("id", "+49 30 1234567", "Call @@ now."),
    ("id", "(555) 123-4567", "Call @@ now."),
    ("id", "555 123-4567", "Call @@ now."),
    ("id", "DE89 3704 0044 0532 0130 00", "Pay to @@ today."),
    ("id", "HAT001", "Flight @@ is late."),
    ("id", "@user7", "Ask @@ there."),
    ("code", "`x = 1; y`", "Write @@ there."),
    ("code", "```py\nprint(1)\n\nx\n```", "Run\n@@\nnow."),
    ("code", "foo.bar(x)", "Call @@ twice."),
    ("code", "``a ` b``", "Write @@ there."),
    ("code", "```a. B```", "Write @@ there."),
    ("code", "~~~\na. B\n~~~", "Run\n@@\nnow."),
    ("code", "{{name}}", "Set @@ first."),
    ("code", "%PATH%", "Set @@ first."),
    ("code", "-v", "Run it with @@ now."),
    ("code", "<div>", "A @@ is there."),
    ("code", "C++", "Use @@ there."),
    ("code", "AT&T", "Shares of @@ rose."),
    ("code", "os.path.join", "Use @@ there."),
    ("code", "snake_case", "A @@ name."),
    ("code", "camelCase", "A @@ name."),
    ("code", "std::vector", "A @@ of them."),
    ("code", "$HOME", "Set @@ first."),
    ("code", "${API_KEY}", "Set @@ first."),
    ("code", "--like-this=3", "Pass @@ to it."),
    ("code", "MAX_RETRIES", "Set @@ first."),
    ("url", "https://example.com/a_b?c=1,2&d=%20#top", "See @@."),
    ("url", "https://en.wikipedia.org/wiki/A_(b)", "See (@@)."),
    ("url", "www.example.org", "See @@, please."),
    ("url", "http://localhost:8080/x", "请访问@@查看。"),
    ("url", "mailto:me@example.org", "See @@."),
    ("email", "first.last+tag@mail.example.com", "Write to @@."),
    ("email", "10086@qq.com", "Write to @@."),
    ("email", "42nd@example.org", "Write to @@."),
    ("email", "4u.2@example.org", "Write to @@."),
    ("path", "/usr/local/bin/python3", "It is in @@."),
    ("path", "~/.config/app.toml", "It is in @@."),
    ("path", "src/main/app.py", "It is in @@."),
    ("path", "C:\\Program Files\\App\\x.exe", "Start @@ now."),
    ("path", "\\\\server\\share\\f.txt", "Open @@ now."),
    ("path", "7zip/bin/7z.exe", "Open @@ now."),
    ("ip", "192.168.0.1:8080", "Host @@ is up."),
    ("ip", "fe80::1ff:fe23:4567:890a", "Host @@ is up."),
    ("ip", "10.0.0.0/8", "Net @@ is up."),
    ("ip", "00:1A:2B:3C:4D:5E", "Card @@ is up."),
    ("quote", '"so it goes"', "He said @@ twice."),
    ("quote", "“so it goes”", "He said @@ twice."),
    ("quote", "„so ist es“", "Er sagte @@ oft."),
    ("quote", "« c'est ça »", "Il dit @@ ici."),
    ("quote", "「そうです」", "彼は@@と言った。"),
    ("quote", "『そうです』", "彼は@@と言った。"),
    ("quote", "《红楼梦》", "他读@@。"),
    ("quote", "»so ist es«", "Er sagte @@ oft."),
    ("quote", "‹ c'est ça ›", "Il dit @@ ici."),
    ("quote", "‘don’t do it’", "He said @@ twice."),
    ("quote", '"say \\"no\\" now"', "He wrote @@ there."),
    ("negation", "not available", "It is @@ here."),
    ("negation", "never contact", "You must @@ them."),
    ("negation", "no longer valid", "It is @@ here."),
    ("negation", "without a permit", "Entry @@ is barred."),
    ("negation", "isn't ready", "It @@ today."),
    ("negation", "cannot open", "You @@ it."),
    ("negation", "nicht verfügbar", "Das ist @@ hier."),
    ("negation", "keine Fehler", "Es gibt @@ hier."),
    ("negation", "funktioniert nicht", "Es @@."),
    ("negation", "ne contient pas", "Il @@: voilà."),
    ("negation", "n'est pas", "Ce @@: voilà."),
    ("negation", "no funciona", "El botón @@ bien."),
    ("negation", "不支持", "系统@@。"),
    ("negation", "没有权", "用户@@。"),
    ("negation", "動かない", "これは@@。"),
    ("negation", "не работает", "Он @@ здесь."),
    ("negation", "動きません", "これは@@。"),
    ("negation", "नहीं", "वह @@ है।"),
    ("negation", "لا يعمل", "هذا @@."),
    ("negation", "sin permiso", "Entró @@, al fin."),
    ("negation", "sans permis", "Il entra @@, enfin."),
    ("negation", "unless paid", "It ends @@, they say."),
    ("negation", "hardly works", "It @@."),
    ("negation", "nobody came", "And @@."),
    ("negation", "nothing left", "There is @@."),
    ("negation", "jamais vu", "Il l'a @@."),
    ("negation", "jamás funciona", "Esto @@."),
]


@pytest.mark.parametrize(("kind", "atom", "around"), FOUND, ids=[row[1] for row in FOUND])
def test_each_kind_is_found_whole(kind: str, atom: str, around: str) -> None:
    text = around.replace("@@", atom)
    start = around.index("@@")
    assert Atom(start, start + len(atom), kind) in atoms(text)


@pytest.mark.parametrize(
    "text",
    [
        "Plain words are only words, and/or so it seems to me.",
        "It's the dogs' and John's well-known way of life.",
        "Der Hund schläft gern in der Sonne.",
        "我们今天去公园。",
        "A lone \" mark and 'single' ones (with brackets) - or: what?",
        "E.g. this, i.e. that, in the U.S. today.",
    ],
)
def test_ordinary_words_are_no_atoms(text: str) -> None:
    assert atoms(text) == []


def test_the_outer_atom_wins() -> None:
    text = 'He wrote "pay $5 to a@b.org by 2024-05-01" and left.'
    assert [(text[a.start : a.end], a.kind) for a in atoms(text)] == [
        ('"pay $5 to a@b.org by 2024-05-01"', "quote")
    ]


def test_of_two_that_overlap_the_longer_gives_the_kind() -> None:
    text = "It is not https://example.com/a/b today."  # "not https", and the address
    assert [(text[a.start : a.end], a.kind) for a in atoms(text)] == [
        ("not https://example.com/a/b", "url")
    ]


def test_neighbours_are_two_atoms() -> None:
    text = "“one”“two”"
    assert [text[a.start : a.end] for a in atoms(text)] == ["“one”", "“two”"]


def test_marks_far_from_each_other_are_no_quote() -> None:
    within, beyond = f'"{"word " * 58}last"', f'"{"word " * 60}last"'  # 294 and 304 characters
    assert atoms(f"He said {within} then.")[0].kind == "quote"
    assert atoms(f"He said {beyond} then.") == []


def test_patterns_of_the_user_join_in() -> None:
    text = "Acme Rocket 9 and the Acme Sled"
    found = atoms(text, [re.compile(r"Acme \w+(?: \d)?"), re.compile("x*")])
    assert [(text[a.start : a.end], a.kind) for a in found] == [
        ("Acme Rocket 9", "user"),
        ("Acme Sled", "user"),
    ]


def test_a_long_fenced_block_is_kept_line_by_line() -> None:
    lines = [f"line {n} of it" for n in range(300)]
    text = "```\n" + "\n".join(lines) + "\n```"
    assert [text[a.start : a.end] for a in atoms(text)] == ["```", *lines, "```"]


HEX = st.text("0123456789abcdef", min_size=7, max_size=40).filter(
    lambda t: re.search(r"\d", t) is not None
)
WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=10)
GENERATED = st.one_of(
    st.uuids().map(str),
    HEX,
    st.datetimes().map(lambda t: t.isoformat()),
    st.dates().map(lambda d: f"{d.day}. Mai {d.year:04}"),
    st.dates().map(lambda d: f"{d:%B} {d.day}, {d.year:04}"),
    st.tuples(WORD, WORD).map(lambda p: f"https://{p[0]}.example.com/{p[1]}?q=1"),
    st.tuples(WORD, WORD).map(lambda p: f"{p[0]}.{p[1]}@example.com"),
    st.tuples(WORD, WORD).map(lambda p: f"/usr/{p[0]}/{p[1]}.txt"),
    st.tuples(WORD, WORD).map(lambda p: f"C:\\{p[0]}\\{p[1]}"),
    st.tuples(
        st.integers(0, 10**9), st.sampled_from(["kg", "%", "km/h", "GB", "ms", "dollars"])
    ).map(lambda p: f"{p[0]:,} {p[1]}"),
    st.integers(0, 10**6).map(lambda n: f"ORD-{n}"),
    st.ip_addresses(v=4).map(str),
)
PROSE_WORDS = [
    *("The", "a", "of", "Mr.", "said,", "he", "left.", "not", "isn't", "5", "12", "May", "1."),
    *("(it)", "was", "$3", "and/or", "3.5", "million,", "nicht", "ne", "pas", "don't", "U.S."),
    *("10:30", "p.m.", "Why?", "“Yes”,", "-", ":", "你好。不", "ない、", "x_y", "www", "/"),
]
PROSE = st.one_of(
    st.lists(st.sampled_from(PROSE_WORDS), max_size=12).map(" ".join), st.text(max_size=60)
)


@given(PROSE, GENERATED, PROSE)
def test_an_atom_put_into_any_prose_is_covered(before: str, atom: str, after: str) -> None:
    text = f"{before} {atom} {after}"
    start, end = len(before) + 1, len(before) + 1 + len(atom)
    assert any(a.start <= start and end <= a.end for a in atoms(text)), atoms(text)


@given(st.one_of(PROSE, st.text(max_size=300)))
def test_atoms_are_sorted_disjoint_and_never_begin_in_white_space(text: str) -> None:
    reached = 0
    for atom in atoms(text):
        assert reached <= atom.start < atom.end <= len(text)
        assert text[atom.start : atom.end].strip() == text[atom.start : atom.end]
        assert atom.kind in KINDS
        reached = atom.end
    assert atoms(text) == atoms(text)


HOSTILE = [
    *("(", "a", "1", "1,", '"', '"a ', "“", "«", "`", "```", "``` ", "https://", "a@", "a.", "a-"),
    *("/", "a/", "\\", "C:\\a b", "f(", "f(a", "$", "--a", "-", "+1 ", "1,a ", "1-", "::", "1:"),
    *(
        "<a",
        "{{",
        "not ",
        "n't",
        "n'a ",
        "ない",
        "不",
        "中a1",
        "a-.",
        "@a",
        "1. ",
        "AB12 ",
        "5 May ",
    ),
    *("Jan ", "x5 de ", "AaA", "\ud800", "\x00", "_", "\r\n"),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_is_linear(unit: str) -> None:
    text = (unit * 50_000)[:50_000]
    assert own_seconds(lambda: atoms(text)) < 0.5  # a square would take half a minute
