"""Every kind of price from the catalogue file to the closed invoice. The amounts were worked out by hand."""

from decimal import Decimal, localcontext
from typing import NamedTuple

import pytest

from tests.contract.ledger import Ledger, toml

AT = "2001-09-10T12:00:00.000+00:00"


class Case(NamedTuple):
    entry: str
    units: list[float]
    outcomes: str
    besides: tuple[tuple[str, str], ...] = ()
    currency: str = "EUR"


TIERS = """tiers = [
    { up_to = "100", price_per_unit = "2" }, { up_to = "1000", price_per_unit = "1.5" },
    { price_per_unit = "1.25", flat_fee = "20" },
]"""
VOLUME = 'kind = "volume", tiers = [{ up_to = "50", price_per_unit = "4" }, { price_per_unit = "3", flat_fee = "7" }]'
PACKAGE = 'kind = "package", package_size = "100", price_per_package = "9"'
PERCENT = 'kind = "percentage", percent = "2.5", minimum = "1", maximum = "50"'

CASES = {
    "flat": Case('price_per_unit = "0.995"', [1, 1, 2.5], "1.00 1.00 2.49"),
    "flat-free": Case('price_per_unit = "0"', [1, 7], "0.00 0.00"),
    # 0.335 is half a cent above 0.33; the sum of all is 1.34.
    "flat-quota": Case('price_per_unit = "0.335", free_quota = "2"', [1, 2, 3], "0.00 0.34 1.00"),
    "flat-minimum": Case('price_per_unit = "2.5", period_minimum = "10"', [1], "2.50", (("minimum", "7.50"),)),
    "flat-cap": Case('price_per_unit = "3", period_cap = "5"', [1, 1, 1], "3.00 3.00 3.00", (("cap", "-4.00"),)),
    "flat-cap-0": Case('price_per_unit = "3", period_cap = "0"', [1], "3.00", (("cap", "-3.00"),)),
    "graduated": Case(
        f'kind = "graduated", free_quota = "10", period_cap = "500", {TIERS}',
        [4, 90, 16.5, 0.333],
        "0.00 168.00 32.75 0.50",
    ),
    # 200 + 1350 + 237.50, and the fee of the third tier, is 1807.50.
    "graduated-cap": Case(
        f'kind = "graduated", free_quota = "10", period_cap = "500", {TIERS}',
        [1200],
        "1787.50",
        (("fee", "20.00"), ("cap", "-1307.50")),
    ),
    # Exactly at the border nothing of the tier above is reached.
    "graduated-border": Case(f'kind = "graduated", {TIERS}', [1000], "1550.00"),
    "graduated-behind": Case(f'kind = "graduated", {TIERS}', [1000, 0.001], "1550.00 0.00", (("fee", "20.00"),)),
    "graduated-minimum": Case(
        f'kind = "graduated", free_quota = "5", period_minimum = "0.001", {TIERS}', [5], "0.00", (("minimum", "0.01"),)
    ),
    "volume-border": Case(VOLUME, [30, 20], "120.00 80.00"),
    "volume-behind": Case(VOLUME, [30, 21], "90.00 63.00", (("fee", "7.00"),)),
    "volume-quota": Case(f'{VOLUME}, free_quota = "1"', [1, 30, 20], "0.00 120.00 80.00"),
    "volume-cap": Case(f'{VOLUME}, period_cap = "150"', [51], "153.00", (("fee", "7.00"), ("cap", "-10.00"))),
    "package": Case(PACKAGE, [100, 0.5, 99.5, 250], "9.00 9.00 0.00 27.00"),
    "package-minimum": Case(
        f'{PACKAGE}, period_minimum = "30"', [60, 60, 60], "9.00 9.00 0.00", (("minimum", "12.00"),)
    ),
    "package-quota": Case(f'{PACKAGE}, free_quota = "60"', [60, 60, 60], "0.00 9.00 9.00"),
    "package-cap": Case(f'{PACKAGE}, period_cap = "20"', [201], "27.00", (("cap", "-7.00"),)),
    "percentage": Case(PERCENT, [12, 512.34, 9000], "1.00 12.81 50.00"),
    "percentage-nothing": Case(PERCENT, [0, -3], "0.00 0.00"),
    "percentage-quota": Case(f'{PERCENT}, free_quota = "10"', [10, 12, 0], "0.00 1.00 0.00"),
    "percentage-minimum": Case(f'{PERCENT}, period_minimum = "60"', [40], "1.00", (("minimum", "59.00"),)),
    "percentage-cap": Case(f'{PERCENT}, period_cap = "20"', [9000], "50.00", (("cap", "-30.00"),)),
    "below-nothing": Case('price_per_unit = "5"', [3, -10], "15.00 0.00"),
    "yen": Case('price_per_unit = "0.5"', [1, 1, 3], "1 1 2", currency="JPY"),
    # The sums are 0.4, 0.8 and 1.2.
    "yen-period": Case('price_per_unit = "0.4", period_cap = "100"', [1, 1, 1], "0 1 0", currency="JPY"),
    "yen-bounds": Case(
        'price_per_unit = "0.1", period_minimum = "5.1", period_cap = "5.9"', [1], "0", (("minimum", "5"),), "JPY"
    ),
    "dinar": Case('price_per_unit = "0.0005"', [1, 2469, 1], "0.001 1.235 0.001", currency="KWD"),
    "dinar-period": Case('price_per_unit = "0.0005", free_quota = "1"', [1, 1, 1], "0.000 0.001 0.000", currency="KWD"),
}


def written(ledger: Ledger) -> None:
    cards = {
        f"card-{name}": (case.currency, [f'{{ agent = "a-{name}", {case.entry} }}']) for name, case in CASES.items()
    }
    ledger.apply(toml([f"a-{name}" for name in CASES], cards, {name: f"card-{name}" for name in CASES}))


def test_every_kind_of_price_is_billed_as_the_reference_says_and_as_rate_foretold(ledger: Ledger) -> None:
    written(ledger)
    for name, case in CASES.items():
        for number, unit in enumerate(case.units):
            ledger.confirm(f"outcome-{name}-{number}", AT, unit, customer_key=name, agent_key=f"a-{name}")
    found = {one["customer_key"]: one for one in ledger.close()}
    assert found.keys() == CASES.keys()
    for name, case in CASES.items():
        document = ledger.json("invoices", "show", found[name]["id"])
        rows = [(row["kind"], row["amount"]) for row in document["lines"]]
        expected = [("outcome", amount) for amount in case.outcomes.split()] + list(case.besides)
        assert rows == expected, name
        total = sum(Decimal(amount) for _, amount in expected)
        assert Decimal(document["invoice"]["subtotal"]) == total, name
        assert document["invoice"]["currency"] == case.currency, name
        told = [max(unit, 0) for unit in case.units]
        if name == "below-nothing":
            assert told == [3, 0]
        units = ",".join(map(str, told))
        rated = ledger.json("rate", f"card-{name}", f"a-{name}", "--units", units)
        assert [one["amount"] for one in rated["lines"]] == case.outcomes.split(), name
        assert [(one["kind"], one["amount"]) for one in rated["adjustments"]] == list(case.besides), name
        workings = [one["working"] for one in (*rated["lines"], *rated["adjustments"])]
        assert workings == [row["working"] for row in document["lines"]], name
        assert rated["price_hash"] == document["lines"][0]["price_hash"], name
        assert Decimal(rated["total"]) == total, name
    ledger.audited()


def test_what_is_rated_at_close_has_no_amount_before(ledger: Ledger) -> None:
    card = ("EUR", ['{ agent = "a", price_per_unit = "1", free_quota = "1" }', '{ agent = "b", price_per_unit = "2" }'])
    ledger.apply(toml(["a", "b"], {"card": card}, {"acme": "card"}))
    ledger.call("XADD", "witn:{0}:events", "*", "key", "outcome-a", "action", "done", "customer_key", "acme",
               "agent_key", "a", "properties", '{"settles_at": "2001-01-01T00:00:00Z"}')  # fmt: skip
    ledger.call("XADD", "witn:{0}:events", "*", "key", "outcome-b", "action", "done", "customer_key", "acme",
               "agent_key", "b", "properties", '{"settles_at": "2001-01-01T00:00:00Z"}')  # fmt: skip
    [head] = ledger.close()
    assert (head["status"], head["closed"], head["unrated"], head["subtotal"]) == ("draft", False, 1, "2.00")
    rows = {row["outcome_key"]: row for row in ledger.rows(head["id"])}
    assert [rows["outcome-a"][name] for name in ("price_per_unit", "amount", "amount_exact")] == [None] * 3
    assert (rows["outcome-a"]["rated"], rows["outcome-b"]["amount"]) == ("at_close", "2.00")
    ledger.audited()


def test_the_largest_and_the_smallest_amounts_are_exact(ledger: Ledger) -> None:
    price = "999999999999999999.999999999999"
    cards = {
        "large": ("EUR", [f'{{ agent = "a", price_per_unit = "{price}" }}']),
        "large-close": ("KWD", [f'{{ agent = "a", price_per_unit = "{price}", free_quota = "0.000000000001" }}']),
        "small": ("EUR", ['{ agent = "a", price_per_unit = "0.000000000001" }']),
    }
    ledger.apply(toml(["a"], cards, {key: key for key in cards}))
    for key in ("large", "large-close"):
        for number in range(3):
            ledger.confirm(f"{key}-outcome-{number}", AT, 1e15, 1e15, customer_key=key, agent_key="a")
    ledger.confirm("small-outcome", AT, 1e-12, customer_key="small", agent_key="a")
    found = {one["customer_key"]: one for one in ledger.close()}
    with localcontext(prec=100):
        each = Decimal(price) * 2 * 10**15
        whole = (Decimal(price) * (6 * 10**15 - Decimal("1e-12"))).quantize(Decimal("0.001"))
        assert [Decimal(row["amount_exact"]) for row in ledger.rows(found["large"]["id"])] == [each] * 3
        assert Decimal(found["large"]["subtotal"]) == 3 * each.quantize(Decimal("0.01"))
        assert Decimal(found["large-close"]["subtotal"]) == whole
    [row] = ledger.rows(found["small"]["id"])
    assert (row["unit"], row["amount_exact"], row["amount"]) == (
        "0.000000000001", "0.000000000000000000000001", "0.00",
    )  # fmt: skip
    # The largest amounts are issued, credited whole and carried like any other.
    issued = ledger.done("issue", found["large"]["id"])["data"][0]["invoice"]
    assert issued["total"] == "5999999999999999999999999999994000.00"
    ledger.done("pay", found["large"]["id"])
    credit = ledger.done("credit", "large-outcome-0", "--reason", "too much")
    assert credit["balance"] == "1999999999999999999999999999998000.00"
    ledger.audited()


@pytest.mark.parametrize(
    ("method", "amount"), [("first", "3.00"), ("last", "5.00"), ("min", "2.00"), ("max", "9.00"), ("sum", "19.00")]
)
def test_the_unit_is_taken_from_the_events_as_the_agent_says(ledger: Ledger, method: str, amount: str) -> None:
    text = toml(["a"], {"card": ("EUR", ['{ agent = "a", price_per_unit = "1" }'])}, {"acme": "card"})
    ledger.apply(text.replace('"sum"', f'"{method}"'))
    ledger.confirm("outcome-1", AT, 3, 9, 2, 5, agent_key="a")
    ledger.confirm("outcome-2", AT, agent_key="a")
    [head] = ledger.close()
    assert ledger.amounts(head["id"]) == [("outcome", amount), ("outcome", "1.00")]
    ledger.audited()
