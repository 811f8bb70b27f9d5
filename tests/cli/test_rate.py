"""`witnd rate`: what outcomes would cost, from Redis or from a file, for people and for machines."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.deployment import Deployment
from tests.support.pricing import price_of, recheck
from witnd.cli.main import main

CATALOGUE = """
[[customers]]
key = "acme"
rate_card = "standard"
entries = [{ agent = "support", price_per_unit = "0.5" }]

[[customers]]
key = "penniless"

[[agents]]
key = "support"
condition = [{ fact = "replied", operator = "seen" }]

[[agents]]
key = "sales"
condition = [{ fact = "sold", operator = "seen" }]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [
    { agent = "support", kind = "graduated", free_quota = "50", tiers = [
        { up_to = "100", price_per_unit = "1" }, { price_per_unit = "0.5", flat_fee = "5" },
    ] },
    { agent = "sales", kind = "percentage", percent = "2.5", minimum = "1" },
]

[[rate_cards]]
key = "yen"
currency = "JPY"
entries = [{ agent = "sales", price_per_unit = "10" }]
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.toml"
    path.write_text(CATALOGUE)
    return path


def rate(path: Path, *arguments: str) -> Result:
    """The command without any Redis to ask."""
    environ = {"WITND_REDIS__URL": "redis://127.0.0.1:1/0"}
    return CliRunner().invoke(main, ["rate", *arguments, "--file", str(path)], env=environ)


def test_a_file_is_enough(catalogue: Path) -> None:
    told = rate(catalogue, "standard", "support", "250")
    assert told.exit_code == 0, told.output
    assert told.stdout == (
        "support, rate card standard: graduated: 1 up to 100, 0.5 and a fee of 5 beyond; 50 units free (EUR)\n"
        "250 outcomes with 250 units, rated when the period closes\n"
        "\n"
        "what                quantity  price  amount\n"
        "free                50               0\n"
        "tier 1              100       1      100\n"
        "tier 2              100       0.5    50\n"
        "flat fee of tier 2                   5\n"
        "total                                155.00 EUR\n"
        "\n"
        "--lines shows each of the 250 outcomes\n"
    )


def test_units_are_told_line_by_line(catalogue: Path) -> None:
    told = rate(catalogue, "standard", "support", "--units", "49, 3,98.5")
    assert told.exit_code == 0, told.output
    assert told.stdout.endswith(
        "outcome   unit  amount  calculation\n"
        "1         49    0.00    49 free; nothing is charged\n"
        "2         3     2.00    1 free; 2 × 1 (tier 1) = 2\n"
        "3         98.5  98.25   98 × 1 (tier 1) + 0.5 × 0.5 (tier 2) = 98.25\n"
        "flat fee        5.00    5 for reaching tier 2 with 100.5\n"
    )


def test_many_lines_are_shown_on_demand(catalogue: Path) -> None:
    assert rate(catalogue, "standard", "support", "12", "--lines").stdout.count(" free; nothing is charged\n") == 12


def test_json_has_every_line_with_its_working(catalogue: Path) -> None:
    told = rate(catalogue, "standard", "support", "155", "--json")
    found = json.loads(told.stdout)
    assert (found["outcomes"], found["units"], found["rated"], found["currency"]) == (155, "155", "at_close", "EUR")
    assert found["total"] == "107.50"
    amounts = [Decimal(one["amount"]) for one in (*found["lines"], *found["adjustments"])]
    assert len(amounts) == 156
    assert sum(amounts) == Decimal("107.50")
    price = price_of(
        {name: it for name, it in found["price"].items() if name not in ("rate_card", "currency", "agent")}
    )
    assert all(recheck(price, one["working"]) for one in (*found["lines"], *found["adjustments"]))


def test_a_price_that_needs_no_period_says_so(catalogue: Path) -> None:
    told = rate(catalogue, "standard", "sales", "--units", "100,10").stdout
    assert "2 outcomes with 110 units, each rated when it settles\n" in told
    assert "raised to the minimum  1 outcome         0.75\n" in told
    assert "total                                    3.50 EUR\n" in told
    assert rate(catalogue, "yen", "sales", "3").stdout.endswith("3        1     10      1 × 10\n")


def test_a_customer_has_prices_of_its_own_and_those_of_its_card(catalogue: Path) -> None:
    own = rate(catalogue, "support", "3", "--customer", "acme").stdout
    assert own.startswith("support, individual price of acme: 0.5 per unit (EUR)\n")
    assert rate(catalogue, "sales", "1", "--customer", "acme").stdout.startswith("sales, rate card standard: 2.5 %")
    other = rate(catalogue, "yen", "sales", "1", "--customer", "acme").stdout
    assert other.startswith("sales, rate card yen: 10 per unit (JPY)\n")
    assert rate(catalogue, "standard", "sales", "--units", "1", "--customer", "penniless").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["standrd", "support", "1"], "'standrd'; did you mean 'standard'?"),
        (["standard", "suport", "1"], "rate card standard has no price for agent 'suport'; did you mean 'support'?"),
        (["yen", "support", "1"], "rate card yen has no price for agent 'support'"),
        (["support", "1", "--customer", "acmee"], "'acmee'; did you mean 'acme'?"),
        (["support", "1", "--customer", "penniless"], "customer penniless has no rate card in effect"),
        (["yen", "support", "1", "--customer", "penniless"], "customer penniless has no price for agent"),
        (["standard", "support"], "COUNT must be a number from 1 to 100000, got 'support'"),
        (["standard", "support", "0"], "got '0'"),
        (["standard", "support", "-1"], "No such option"),
        (["standard", "support", "100001"], "got '100001'"),
        (["standard", "support", "9" * 5000], "COUNT must be"),
        (["support", "5"], "CARD AGENT COUNT"),
        (["standard", "support", "5", "--units", "1"], "CARD AGENT COUNT"),
        (["standard", "support", "--units", "1,-2"], "each must not be negative"),
        (["standard", "support", "--units", "1,,2"], "each must be a plain decimal number"),
        (["standard", "support", "1", "--at", "yesterday"], "'yesterday'"),
    ],
)
def test_what_cannot_be_answered_is_said(catalogue: Path, arguments: list[str], problem: str) -> None:
    told = rate(catalogue, *arguments)
    assert told.exit_code == 2
    assert problem in told.stderr
    assert told.stdout == ""


def test_a_file_with_mistakes_is_not_asked(catalogue: Path) -> None:
    catalogue.write_text(CATALOGUE.replace('up_to = "100"', 'up_to = "0"'))
    told = rate(catalogue, "standard", "support", "1")
    assert told.exit_code == 2
    assert f"{catalogue}: rate_cards[0].entries[0].tiers[0].up_to: must be greater than 0" in told.stderr
    catalogue.write_bytes(b"\xff")
    assert "not UTF-8" in rate(catalogue, "standard", "support", "1").stderr


def test_the_catalogue_in_redis_is_asked_without_a_daemon(deployment: Deployment) -> None:
    deployment.apply()
    assert deployment.json("rate", "standard", "support", "3")["total"] == "3.00"
    assert deployment.json("rate", "support", "3", "--customer", "acme")["total"] == "3.00"
    assert deployment.witnd("rate", "standrd", "support", "3").exit_code == 2


def test_an_instant_asks_what_was_or_will_be_in_force(deployment: Deployment) -> None:
    deployment.apply()
    later = deployment.directory / "later.toml"
    later.write_text(
        '[[rate_cards]]\nkey = "standard"\ncurrency = "EUR"\nentries = [{agent = "support", price_per_unit = "2"}]'
    )
    assert deployment.witnd("apply", str(later), "--effective-from", "2100-01-01T00:00:00Z").exit_code == 0
    assert deployment.json("rate", "standard", "support", "1")["total"] == "1.00"
    assert deployment.json("rate", "standard", "support", "1", "--at", "2100-01-01T00:00:00Z")["total"] == "2.00"


GRADED = """
[[agents]]
key = "support"
grades = [
    { key = "solved", condition = [{ fact = "solved", operator = "seen" }] },
    { key = "tried", condition = [{ fact = "replied", operator = "seen" }] },
]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [
    { agent = "support", grade = "solved", price_per_unit = "2" },
    { agent = "support", price_per_unit = "1" },
]
"""


def test_a_grade_has_its_own_price(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(GRADED)

    def asked(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["rate", "standard", "support", "10", "--file", str(path), *arguments])

    assert asked("--grade", "solved").stdout.startswith("support (solved), rate card standard: 2 per unit (EUR)")
    document = json.loads(asked("--grade", "solved", "--json").stdout)
    assert (document["grade"], document["total"]) == ("solved", "20.00")
    assert json.loads(asked("--json").stdout)["total"] == "10.00"
    path.write_text(GRADED.replace('    { agent = "support", price_per_unit = "1" },\n', ""))
    refused = asked("--grade", "tried")
    assert refused.exit_code != 0
    assert '"tried" has no price; agent "support" has prices for "solved"' in refused.stderr
