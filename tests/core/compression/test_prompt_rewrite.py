"""Instructions shortened by rules: what changes, and what never does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.prompt import RULES, PromptError, RewriteRule, guarded_words, rewrite
from frugal_chains.text import atoms


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]|\n|[ \t]{2,}", text))


CASES = [
    ("Use the tool in order to help.", "Use the tool to help."),
    ("In order to help the user, use the tool.", "To help the user, use the tool."),
    ("USE IT IN ORDER TO HELP THE USER.", "USE IT TO HELP THE USER."),
    ("Return the items in order to the user.", None),
    ("Please make sure that you answer in English.", "Answer in English."),
    ("Please make sure that you never share the key.", "Never share the key."),
    ("Make sure that you have installed it for the user.", None),
    ("I want to make sure you understand the task.", None),
    ("You must make sure that you use the tool.", "You must use the tool."),
    ("Ensure that you are polite to the user.", "Be polite to the user."),
    ("Ensure that you are not rude to the user.", None),
    ("It is important to note that, in all cases, the user is right.",
     "In all cases, the user is right."),
    ("- Please note that the shop is closed on Sundays.", "- The shop is closed on Sundays."),
    ("Please note that iPhones are sold by the shop.", "iPhones are sold by the shop."),
    ("Please, please kindly use the tool and be brief.", "Use the tool and be brief."),
    ("If they ask, please wait for the answer.", "If they ask, wait for the answer."),
    ("Your task is to summarize the mail.", "Summarize the mail."),
    ("I would like you to translate the mail.", "Translate the mail."),
    ("Answer in a clear and concise manner for the user.",
     "Answer clearly and concisely for the user."),
    ("Check the list on a daily basis, prior to the call.",
     "Check the list daily, before the call."),
    ("This is due to the fact that the user is in the process of booking.",
     "This is because the user is booking."),
    ("As mentioned above, the user is right.", "The user is right."),
    ("Tell the user: please wait for the mail.", None),
    ('Say "please make sure that you use it" to the user.', None),
    ("Run `in order to` for the user and the agent.", None),
    ("<example>\nPlease note that it is in order to help.\n</example>", None),
    ("User: please use the tool in order to help.", None),
    ("> Please note that the user is right.", None),
    ("Do not do it in order to please the user.", "Do not do it to please the user."),
    ("Das gilt zum jetzigen Zeitpunkt für alle, die es sind.",
     "Das gilt jetzt für alle, die es sind."),
    ("Es ist in order to und nicht das, was die Leute sind.", None),
    ("Lisez le texte dans le but de répondre et de vous aider.",
     "Lisez le texte pour répondre et de vous aider."),
    ("The first part.  The second part of it.", "The first part. The second part of it."),
    ("The end of a line.  \nThe next of them.", "The end of a line.\nThe next of them."),
    ("A line of it.\n\n\n\nThe next of them.", "A line of it.\n\nThe next of them."),
    ("A line of it.\r\n\r\n\r\n\r\nThe next.", "A line of it.\r\n\r\nThe next."),
    ("```\na  \n\n\n\nplease use it in order to\n```", None),
    ("- Be polite to the user.\n- Use the tool.\n- Be polite to the user.\n",
     "- Be polite to the user.\n- Use the tool.\n"),
    ("Never be rude to the user.\n\nNever be rude to the user.\n", None),
    ("# A\nBe polite to the user.\n# B\nBe polite to the user.\n", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_rules(text: str, expected: str | None) -> None:
    assert rewrite(text, count).text == (text if expected is None else expected)


def test_every_rule_says_why_and_has_a_case() -> None:
    used = {change.rule for text, _ in CASES for change in rewrite(text, count).changes}
    assert all(rule.why for rule in RULES)
    shown_elsewhere = {"make-sure-you-are", "pairs", "please-twice", "prolijo"}
    assert {rule.name for rule in RULES} - used <= shown_elsewhere


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First and foremost, help the user.", "First, help the user."),
        ("Please kindly hold on to the user.", "Please hold on to the user."),
        ("Lea el texto con el fin de ayudar a los que lo son.",
         "Lea el texto para ayudar a los que lo son."),
    ],
)  # fmt: skip
def test_the_other_rules(text: str, expected: str) -> None:
    assert rewrite(text, count).text == expected


def test_a_rule_can_be_switched_off_and_so_can_all() -> None:
    text = "Please use the tool in order to help."
    assert rewrite(text, count, off=["please"]).text == "Please use the tool to help."
    whole = rewrite(text, count, enabled=False)
    assert (whole.text, whole.reason, whole.diff()) == (text, "off", "")
    with pytest.raises(PromptError, match="no rule is named 'pleas'"):
        rewrite(text, count, off=["pleas"])


def test_what_changed_can_be_seen() -> None:
    done = rewrite("Use the tool in order to help.", count)
    assert done.diff() == "Use the tool [-in order -]to help."
    assert done.diff("lines").split("\n")[3:] == [
        "-Use the tool in order to help.",
        "+Use the tool to help.",
    ]
    assert [(c.rule, c.before, c.after) for c in done.changes] == [
        ("in-order-to", "in order to", "to")
    ]
    assert done.saved_tokens == 2


def test_the_callers_patterns_are_atoms() -> None:
    text = "Use the tool in order to help."
    assert rewrite(text, count, patterns=[re.compile("order to")]).text == text


def test_where_no_token_is_saved_the_text_is_as_it_came() -> None:
    text = "Use the tool prior to the call."
    assert rewrite(text, lambda t: 7).reason == "no saving"
    assert rewrite(text, lambda t: 7).text == text


def test_a_rule_that_would_drop_a_negation_does_nothing() -> None:
    rule = RewriteRule.phrase("bad", "never share", "share", first="never", why="")
    text = "You and the user never share it."
    assert rewrite(text, count, rules=[rule]).text == text


def test_a_rule_that_would_drop_a_duty_does_nothing_and_the_others_do() -> None:
    rule = RewriteRule.phrase("bad", "you must use", "you use", first="you", why="")
    text = "Here you must use it in order to help."
    assert rewrite(text, count, rules=[*RULES, rule]).text == "Here you must use it to help."


def test_an_address_at_the_start_of_a_sentence_gets_no_capital() -> None:
    text = "Note that https://a.org is the site. Use it in order to help the user."
    assert rewrite(text, count).text == text.replace("in order to", "to")


def test_what_is_protected_does_not_keep_the_rest_from_getting_shorter() -> None:
    rule = RewriteRule.phrase("bad", "never share", "share", first="never", why="")
    text = "You never share it, nor `in order to`, in order to help."
    done = rewrite(text, count, rules=[*RULES, rule])
    assert done.text == "You never share it, nor `in order to`, to help."


def test_rules_that_feed_each_other_leave_the_text_alone() -> None:
    rule = RewriteRule.phrase("peel", "peel the x", "the x", first="peel", why="")
    text = "peel " * 50 + "the x of the list"
    assert rewrite(text, count, rules=[rule]).reason == "unsettled"
    assert rewrite(text, count, rules=[rule]).text == text


fragments = st.sampled_from(
    [
        "Please ", "please ", "kindly ", "make sure that you ", "use ", "answer ", "in order to ",
        "It is important to note that ", "never ", "not ", "must ", "only ", "unless ", "the user ",
        "don't ", "5 kg ", "https://a.b/c?d=1 ", "`x  y` ",
        '"in order to" ', "prior to ", "\n", "\n\n\n",
        "\r\n", ".  ", ", ", ": ", "Be polite to the user.\n", "- ",
        "# A\n", "<example>", "</example>",
        "User: ", "due to the fact that ", "each and every ", "You should ", "is ", "ÄÖ ",
        "不要 ", "\ud800",
        "\0", "  ", "I want you to ", "Note that ", "of the ", "```\n", "you are ", "be ", "A", "İ",
    ]
)  # fmt: skip
prompts = st.lists(fragments, max_size=25).map("".join)
NEGATIONS = re.compile(r"(?i)\b(?:never|not|don't|must|should|only|unless)\b|不要")


def protected(text: str) -> list[str]:
    """Its atoms; a negation may get the capital of a sentence it begins now."""
    held = ((text[a.start : a.end], a.kind) for a in atoms(text))
    return [each.lower() if kind == "negation" else each for each, kind in held]


@given(prompts)
def test_atoms_and_negations_are_as_they_were_and_twice_is_once(text: str) -> None:
    done = rewrite(text, count)
    assert done == rewrite(text, count)
    assert done.tokens_after == count(done.text) <= count(text)
    assert NEGATIONS.findall(done.text.lower()) == NEGATIONS.findall(text.lower())
    assert guarded_words(done.text) == guarded_words(text)
    assert protected(done.text) == protected(text)
    again = rewrite(done.text, count)
    assert again.text == done.text
    assert (done.text == text) == (not done.changes)


@given(st.text(max_size=200))
def test_any_text_at_all(text: str) -> None:
    done = rewrite(text, count)
    assert rewrite(done.text, count).text == done.text


@pytest.mark.parametrize(
    "bad",
    [
        "please " * 5_000,
        "in order " * 5_000 + "to",
        "\n" * 90_000,
        "<input>" * 5_000,
        "x" * 10**6,
    ],
)
def test_hostile_texts_take_bounded_time(bad: str) -> None:
    done = rewrite(bad, len)
    assert rewrite(done.text, len).text == done.text
