"""`prices.toml`: what it can say, and what it tells its author when it is wrong."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.errors import FrugalError, PriceFileError
from frugal_chains.pricing import Free, Price, PriceBook, Priced, Unpriced
from frugal_chains.usage import Usage

LoadPrices = Callable[[str], PriceBook]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
M = 1_000_000


def bill(
    book: PriceBook, model: str, provider: str | None = None, *, at: datetime = NOON,
    tier: str = "standard", **counts: int,
) -> Price:  # fmt: skip
    usage = Usage(**(counts or {"input_tokens": M}))
    return book.price(usage, model=model, provider=provider, tier=tier, at=at)


def usd(price: Price) -> str:
    assert isinstance(price, Priced), price
    return f"{price.cost_usd.normalize():f}"


OWN = """
[[price]]
provider = "openai"
model = "gpt-4o*"
input = 2
cache_read = 1.5
output = 8.0
reasoning = 4.0
web_search = 12.5
request = 1
batch = 0.25
"""


def test_an_own_price_stands_before_the_list(load_prices: LoadPrices) -> None:
    book = load_prices(OWN)
    assert usd(bill(book, "gpt-4o-mini", "openai")) == "2.001"  # a request costs $1 per 1,000
    assert usd(bill(book, "gpt-4o", input_tokens=M, cache_read_tokens=M)) == "1.501"
    assert usd(bill(book, "gpt-4o", output_tokens=M, reasoning_tokens=M)) == "4.001"
    assert usd(bill(book, "gpt-4o", input_tokens=0, web_searches=1000)) == "12.501"
    assert usd(bill(book, "gpt-4o", tier="batch")) == "0.501"  # fees are not batched
    assert usd(bill(book, "gpt-4.1")) == "2"  # the list


def test_the_price_id_is_the_file_s_content(load_prices: LoadPrices) -> None:
    got = bill(load_prices(OWN), "gpt-4o")
    assert isinstance(got, Priced)
    assert got.price_id == f"prices.toml {hashlib.sha256(OWN.encode()).hexdigest()[:8]}"


def test_an_own_price_takes_nothing_from_the_list(load_prices: LoadPrices) -> None:
    got = bill(load_prices(OWN), "gpt-4o", input_tokens=10, input_audio_tokens=10)
    assert isinstance(got, Unpriced)
    assert "10 input_audio" in got.reason
    no_flex = bill(load_prices(OWN), "gpt-4o", tier="flex")
    assert isinstance(no_flex, Unpriced)
    assert "line 2" in no_flex.reason
    assert "add `flex`" in no_flex.reason


DATED = """
[[price]]
provider = "openai"
model = "gpt-4o"
from = 2026-01-01
until = 2026-06-30
input = 2
[[price]]
provider = "openai"
model = "gpt-4o"
from = 2026-07-01
input = 3
"""


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2025, 12, 31, 23, 59, tzinfo=UTC), "2.5"),  # the list
        (datetime(2026, 1, 1, tzinfo=UTC), "2"),
        (datetime(2026, 6, 30, 23, 59, tzinfo=UTC), "2"),
        (datetime(2026, 7, 1, tzinfo=UTC), "3"),
    ],
)
def test_own_prices_have_their_days(load_prices: LoadPrices, at: datetime, expected: str) -> None:
    assert usd(bill(load_prices(DATED), "gpt-4o", at=at)) == expected


def test_until_is_the_last_day(load_prices: LoadPrices) -> None:
    book = load_prices('[[price]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput = 2\n'
                       "until = 2026-06-30\n")  # fmt: skip
    assert usd(bill(book, "gpt-4o", at=datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC))) == "2"
    assert usd(bill(book, "gpt-4o", at=datetime(2026, 7, 1, tzinfo=UTC))) == "2.5"


def test_an_appended_price_leaves_the_old_days_alone(load_prices: LoadPrices) -> None:
    before = load_prices(OWN)
    after = load_prices(
        OWN
        + OWN.replace('model = "gpt-4o*"', 'model = "gpt-4o*"\nfrom = 2026-12-01').replace(
            "input = 2", "input = 9"
        )
    )
    old = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    assert usd(bill(after, "gpt-4o", at=old)) == usd(bill(before, "gpt-4o", at=old)) == "2.001"
    assert usd(bill(after, "gpt-4o", at=datetime(2026, 12, 1, tzinfo=UTC))) == "9.001"


def test_long_context_bands(load_prices: LoadPrices) -> None:
    book = load_prices("""
[[price]]
provider = "acme"
model = "long"
input = 1
output = 2
[[price.above]]
tokens = 200_000
input = 3
output = 4
[[price.above]]
tokens = 1_000_000
input = 5
output = 6
""")
    bills = [usd(bill(book, "long", "acme", input_tokens=n))
             for n in (200_000, 200_001, M, M + 1)]  # fmt: skip
    assert bills == ["0.2", "0.600003", "3", "5.000005"]


@pytest.mark.parametrize(
    ("alias", "model", "provider", "expected"),
    [
        ('"prod-chat" = "azure:gpt-4o"', "prod-chat", "azure", "2.5"),
        ('"prod-chat" = "gpt-4o"', "prod-chat", "azure_openai", "2.5"),
        ('"prod-chat" = "openai:gpt-4o-mini"', "prod-chat", None, "0.15"),
        ('"azure:prod-chat" = "openai:gpt-4o-mini"', "prod-chat", "azure", "0.15"),
        ('"ft:gpt-4o-mini:acme*" = "openai:ft:gpt-4o-mini-2024-07-18"',
         "ft:gpt-4o-mini:acme::x1", "openai", "0.3"),
        ('"internal/*" = "openai:*"', "internal/gpt-4.1-nano", None, "0.1"),
        ('"a" = "b"\n"b" = "c"\n"c" = "openai:gpt-4o"', "a", None, "2.5"),
        ('"gpt-4o" = "openai:gpt-4o-2024-05-13"', "gpt-4o", "openai", "5"),
        # A glob that matches what it leads to applies once.
        ('"*" = "azure:*"', "gpt-4o", None, "2.5"),
        ('"*-4o" = "azure:*-4o"', "gpt-4o", "openai", "2.5"),
        ('"*" = "openrouter:openai/*"', "gpt-4o", None, "2.5"),
        ('"*" = "openai:*-mini"', "gpt-4o", None, "0.15"),
        ('"gpt-4o" = "openai:gpt-4o"\n"gpt-*" = "openai:gpt-4.1"', "gpt-4o", "openai", "2"),
        # Names are the same in either case, as they are without an alias.
        ('"Prod-Chat" = "openai:gpt-4o-mini"', "prod-CHAT", None, "0.15"),
        ('"INTERNAL/*" = "openai:*"', "internal/GPT-4.1-nano", None, "0.1"),
        ('"Azure_OpenAI:Prod" = "openai:gpt-4o-mini"', "prod", "azure", "0.15"),
    ],
)  # fmt: skip
def test_aliases(
    load_prices: LoadPrices, alias: str, model: str, provider: str | None, expected: str
) -> None:
    assert usd(bill(load_prices(f"[alias]\n{alias}\n"), model, provider)) == expected


def test_an_alias_may_end_at_an_own_price(load_prices: LoadPrices) -> None:
    book = load_prices('[alias]\n"llm" = "acme:big"\n[[price]]\nprovider = "acme"\n'
                       'model = "big"\ninput = 7\n')  # fmt: skip
    assert usd(bill(book, "llm")) == "7"
    assert book.explain("llm", at=NOON).names == ("llm", "acme:big")


def test_globs_that_lead_in_a_circle_are_unpriced_not_endless(load_prices: LoadPrices) -> None:
    book = load_prices('[alias]\n"a" = "b-1"\n"b-*" = "a"\n')
    got = bill(book, "a", "openai")
    assert isinstance(got, Unpriced)
    assert "circle: openai:a -> openai:b-1 -> openai:a" in got.reason


def test_every_name_comes_to_an_end() -> None:
    # In a process of its own: what goes wrong here is an endless loop.
    program = """
from itertools import combinations, product
from frugal_chains.pricing._aliases import Aliases, resolve_name
pairs = list(product(("*", "*-4o", "a*", "*a", "b", "azure:*"),
                     ("*", "azure:*-4o", "a*", "*ab", "azure:*", "litellm/*", "openai:b")))
for count in (1, 2):
    for table in combinations(pairs, count):
        for name in ("gpt-4o", "a", "b", "azure:ba"):
            resolve_name(name, None, Aliases(targets=dict(table)))
            resolve_name(name, "openai", Aliases(targets=dict(table)))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_free_models(load_prices: LoadPrices) -> None:
    book = load_prices('[[free]]\nprovider = "vllm"\n[[free]]\nprovider = "openai"\n'
                       'model = "gpt-oss-*"\n')  # fmt: skip
    assert isinstance(bill(book, "anything", "vllm"), Free)
    assert isinstance(bill(book, "gpt-oss-20b", "openai"), Free)
    assert usd(bill(book, "gpt-4o")) == "2.5"


MULTIPLIERS = """
[[multiplier]]
provider = "anthropic"
discount = 0.9
[[multiplier]]
provider = "azure"
model = "gpt-*"
from = 2026-01-01
priority = 1.75
"""


def test_multipliers(load_prices: LoadPrices) -> None:
    book = load_prices(MULTIPLIERS)
    assert usd(bill(book, "claude-sonnet-4-6")) == "2.7"
    assert usd(bill(book, "claude-sonnet-4-6", tier="batch")) == "1.35"
    assert usd(bill(book, "claude-sonnet-4-6", input_tokens=0, web_searches=1000)) == "9"
    assert usd(bill(book, "gpt-4o", "azure", tier="priority")) == "4.375"
    assert usd(bill(book, "gpt-4o", "azure")) == "2.5"
    old = bill(book, "gpt-4o", "azure", tier="priority", at=datetime(2025, 12, 31, tzinfo=UTC))
    assert isinstance(old, Unpriced)
    digest = hashlib.sha256(MULTIPLIERS.encode()).hexdigest()[:8]
    discounted = bill(book, "claude-sonnet-4-6")
    assert isinstance(discounted, Priced)
    assert discounted.price_id == f"genai-prices 0.2.3, prices.toml {digest}"


@given(
    st.decimals("0.0001", "3", places=4),
    st.integers(0, 5_000_000),
    st.integers(0, 5_000_000),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_discount_multiplies_exactly(
    load_prices: LoadPrices, discount: Decimal, input_tokens: int, output_tokens: int
) -> None:
    book = load_prices(f'[[multiplier]]\nprovider = "anthropic"\ndiscount = {discount:f}\n')
    counts = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    got = bill(book, "claude-sonnet-4-6", **counts)
    assert isinstance(got, Priced)
    # Sonnet 4.6 is $3 / $15 per 1,000,000: 3,000 and 15,000 nano-dollars a token.
    exact = discount * (3_000 * input_tokens + 15_000 * output_tokens)
    assert got.nanos == int(exact.to_integral_value())  # ROUND_HALF_EVEN is the default


# Each: the text, the line and the field that are at fault, and what the author should have written.
ERRORS = (
    ("[[price]\n", 1, "", "valid TOML"),
    ('x = 1\n[[price]]\nmodel = "a" b\n', 3, "", "valid TOML"),
    ('[[price]]\nmodel = "a"\nmodel = "b"\n', 3, "", "valid TOML"),
    ('[[price]]\nmodel = "open', 2, "", "valid TOML"),
    ('[prices]\nx = 1\n', 1, "prices", "did you mean `price`?"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\nimput = 1\n', 4, "price.imput",
     "did you mean `input`?"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\nzzz = 1\n', 5, "price.zzz",
     "known: input, cache_read, "),
    ('[[free]]\nprovider = "a"\nmodels = "b"\n', 3, "free.models", "did you mean `model`?"),
    ('[[price]]\nmodel = "b"\ninput = 1\n', 1, "price.provider", "this key, which is missing"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\noutput = 1\n', 1, "price", "at least `input`"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = -1\n', 4, "price.input",
     "a number of at least 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = nan\n', 4, "price.input",
     "a number of at least 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = inf\n', 4, "price.input",
     "a number of at least 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = true\n', 4, "price.input",
     "a number of at least 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = "1"\n', 4, "price.input",
     "a number of at least 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1e-40\n', 4, "price.input", "18 digits"),
    ('[[price]]\nprovider = "a"\nmodel = 4\ninput = 1\n', 3, "price.model", "a string"),
    ('[[price]]\nprovider = ""\nmodel = "b"\ninput = 1\n', 2, "price.provider", "not empty"),
    ('[price]\nprovider = "a"\nmodel = "b"\ninput = 1\n', 1, "price", "written [[price]]"),
    ('[[alias]]\na = "b"\n', 1, "alias", "written [alias]"),
    ('[alias]\na = 1\n', 2, "alias.a", "a string"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\n\n[[price]]\nprovider = "a"\n'
     'model = "c"\ninput = 2\nfrom = "2026-01-01"\n', 10, "price.from",
     "a date such as 2026-01-31"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\nfrom = 2026-02-01\n'
     'until = 2026-01-01\n', 6, "price.until", "2026-02-01 or later"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\nbatch = 0\n', 5, "price.batch",
     "a factor above 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\nstandard = 2\n', 5, "price.standard",
     "a known key"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\n[[price.above]]\ntokens = 0\n'
     'input = 2\n', 6, "price.above.tokens", "a whole number above 0"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\n[[price.above]]\ntokens = 5\n'
     'input = 2\n[[price.above]]\ntokens = 5\ninput = 3\n', 9, "price.above.tokens",
     "more than 5"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\noutput = 2\n[[price.above]]\n'
     'tokens = 5\ninput = 2\n', 6, "price.above", "got none for output"),
    ('[[multiplier]]\nprovider = "a"\n', 1, "multiplier", "`discount` or one of batch"),
    ('[[multiplier]]\nprovider = "a"\ndiscount = 0\n', 3, "multiplier.discount",
     "a factor above 0"),
    ('[alias]\n"a*b*" = "c"\n', 2, "alias.a*b*", "at most one `*`"),
    ('[alias]\n"a" = "b*"\n', 2, "alias.a", "in the target only if the name has one"),
    ('[alias]\na = "b"\nb = "a"\n', 2, "alias.a", "a circle: a -> b -> a"),
    ('[[price]]\nprovider = " "\nmodel = "b"\ninput = 1\n', 2, "price.provider", "not empty"),
    ('[[price]]\nprovider = "opnai"\nmodel = "b"\ninput = 1\n', 2, "price.provider",
     "did you mean `openai`?"),
    ('[[multiplier]]\nprovider = "antropic"\ndiscount = 0.9\n', 2, "multiplier.provider",
     "did you mean `anthropic`?"),
    ('[[free]]\nprovider = "bedrok"\n', 2, "free.provider", "did you mean `bedrock`?"),
    ('[[free]]\nprovider = "olama"\n', 2, "free.provider", "did you mean `ollama`?"),
    ('[[price]]\nprovider = "openai"\nmodel = "openai:gpt-4o"\ninput = 1\n', 3, "price.model",
     "'gpt-4o', as `provider` is given apart"),
    ('[[multiplier]]\nprovider = "google_genai"\nmodel = "gemini/gemini-*"\ndiscount = 0.9\n', 3,
     "multiplier.model", "'gemini-*', as `provider` is given apart"),
    ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 2_500_000\n', 4, "price.input",
     "at most 1,000,000"),
    ('[[multiplier]]\nprovider = "a"\ndiscount = 90\n', 3, "multiplier.discount",
     "such as 0.9 to pay 90 %"),
    ('[[multiplier]]\nprovider = "a"\nbatch = 1e18\n', 3, "multiplier.batch",
     "a factor of at most 10"),
    ('[alias]\na = ":"\n', 2, "alias.a", "`provider:model` or `model`"),
    ('[alias]\na = " "\n', 2, "alias.a", "not empty"),
    ('[alias]\na = "openai:"\n', 2, "alias.a", "`provider:model` or `model`"),
    ('[alias]\na = " : x"\n', 2, "alias.a", "`provider:model` or `model`"),
    ('[alias]\nab = "x"\nAB = "y"\n', 3, "alias.AB", "each name once"),
    ('[[price]]\nprovider = "a" # "\nmodel = \'#"""\'\ninput = -1\n', 4, "price.input",
     "a number of at least 0"),
    ('[alias]\na = "b"\n[[free]]\nprovider = "x"\n[[free]]\nprovider = 3\n', 6, "free.provider",
     "a string"),
    ('free = [{ provider = "x" },\n  { provider = 3 }]\n', 1, "free.provider", "a string"),
    ('# """ in a comment\n[alias]\na = """\n[[price]]\n"""\nb = 1\n', 6, "alias.b", "a string"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "line", "where", "expected"), ERRORS)
def test_an_error_names_file_line_field_and_what_was_expected(
    load_prices: LoadPrices, tmp_path: Path, text: str, line: int, where: str, expected: str
) -> None:
    with pytest.raises(PriceFileError) as caught:
        load_prices(text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'prices.toml'}:{line}: {where}"), message
    assert "expected" in message
    assert expected in message


@pytest.mark.parametrize(
    "provider", ["acme", "my-vllm", "openai-eu", "openai2", "azure_eastus", "vllm", "Google GenAI"]
)
def test_a_provider_of_one_s_own_is_no_misspelling(load_prices: LoadPrices, provider: str) -> None:
    book = load_prices(f'[[price]]\nprovider = "{provider}"\nmodel = "m"\ninput = 3\n')
    assert usd(bill(book, "m", provider)) == "3"


def test_an_uplift_of_ten_times_is_still_a_factor(load_prices: LoadPrices) -> None:
    book = load_prices('[[multiplier]]\nprovider = "openai"\ndiscount = 10\n')
    assert usd(bill(book, "gpt-4o")) == "25"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"[alias]\na = '\xff'\n")
    with pytest.raises(PriceFileError, match=r"binary\.toml:2: expected UTF-8"):
        PriceBook.load(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="cannot be read"):
        PriceBook.load(tmp_path)  # a directory


def test_a_named_file_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PriceFileError, match="no such file"):
        PriceBook.load(tmp_path / "nowhere.toml")
    monkeypatch.setenv("FRUGAL_PRICES", str(tmp_path / "nowhere.toml"))
    with pytest.raises(FrugalError, match="no such file"):
        PriceBook.load()


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, price: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'[[price]]\nprovider = "a"\nmodel = "m"\ninput = {price}\n')

    def found() -> Price:
        return bill(PriceBook.load(), "m", "a")

    assert isinstance(found(), Unpriced)
    write(tmp_path / ".config" / "frugal" / "prices.toml", 1)
    assert usd(found()) == "1"
    write(tmp_path / "prices.toml", 2)
    assert usd(found()) == "2"
    write(tmp_path / "elsewhere.toml", 3)
    monkeypatch.setenv("FRUGAL_PRICES", str(tmp_path / "elsewhere.toml"))
    assert usd(found()) == "3"


def test_the_example_in_the_documentation_loads(load_prices: LoadPrices) -> None:
    from textwrap import dedent

    from frugal_chains.pricing import _file

    assert _file.__doc__ is not None
    example = _file.__doc__.split("\n\n", 1)[1].rsplit("\n\nThe last", 1)[0]
    book = load_prices(dedent(example))
    assert usd(bill(book, "my-azure-gpt4o")) == "2.5"
    assert usd(bill(book, "gpt-4o", "openai")) == "4"  # above 200,000
    assert isinstance(bill(book, "anything", "my-vllm"), Free)
