"""Terms of a period across versions (10.1): the worked examples, and who decides on the minimum and cap."""

from typing import Any

import pytest

from tests.contract.ledger import Ledger, ms, toml

CUSTOMERS = {"acme": "card"}
DAY_2 = 172_800


def card(entry: str, currency: str = "EUR") -> dict[str, tuple[str, list[str]]]:
    return {"card": (currency, [f'{{ agent = "a", {entry} }}'])}


def catalogue(entry: str, *, settles: int = 1, more: str = "", **others: Any) -> str:
    text = toml(["a"], card(entry) | others.pop("cards", {}), others.pop("customers", CUSTOMERS))
    return text.replace("settlement_period = 1\n", f"settlement_period = {settles}\n") + more


def test_a_minimum_is_not_doubled_by_outcomes_that_opened_under_an_older_price(sharded: Ledger) -> None:
    """Example (a)."""
    entry = 'price_per_unit = "%s", period_minimum = "500"'
    sharded.apply(catalogue(entry % "0.50", settles=DAY_2))
    sharded.apply_at(catalogue(entry % "0.45", settles=DAY_2), "2001-10-01T00:00:00Z")
    for number in range(10):
        at = f"2001-10-02T12:00:{number:02}Z"
        sharded.confirm(f"outcome-{number}", at, accepted_before=DAY_2 * 1000, agent_key="a")
    [october] = sharded.close()
    assert (october["period_start"], october["subtotal"]) == ("2001-10-01T00:00:00.000Z", "500.00")
    assert sharded.amounts(october["id"]) == [("outcome", "0.50")] * 10 + [("minimum", "495.00")]
    # The minimum names the entry that decides, under which no outcome opened.
    *outcomes, minimum = sharded.rows(october["id"])
    assert {row["price_hash"] for row in outcomes} != {minimum["price_hash"]}
    assert minimum["price_hash"] == sharded.json("rate", "card", "a", "1")["price_hash"]
    sharded.audited()


def test_a_package_continues_under_its_own_terms_whatever_lies_between(sharded: Ledger) -> None:
    """Example (b)."""
    entry = 'kind = "package", package_size = "100", price_per_package = "%s"'
    sharded.apply(catalogue(entry % "9", settles=DAY_2))
    sharded.apply_at(catalogue(entry % "8", settles=DAY_2), "2001-10-15T00:00:00Z")
    # Half of them open before the change and get their deadlines from a later event, so that both settle in turns.
    settles = '{"settles_at": "2001-10-17T00:%02d:%02dZ"}'
    for number in range(0, 100, 2):
        event(sharded, f"outcome-{number:02}", "2001-10-14T12:00:00Z", settles % divmod(number, 60))
    for number in range(1, 100, 2):
        event(sharded, f"outcome-{number:02}", "2001-10-15T12:00:00Z", settles % divmod(number, 60))
    [october] = sharded.close()
    rows = sharded.rows(october["id"])
    assert [row["outcome_key"] for row in rows] == [f"outcome-{number:02}" for number in range(100)]
    assert [row["price_hash"] for row in rows[::2]] != [row["price_hash"] for row in rows[1::2]]
    assert [row["amount"] for row in rows] == ["9.00", "8.00", *["0.00"] * 98]
    assert october["subtotal"] == "17.00"
    assert [rows[at]["working"]["package_units_before"] for at in (0, 1, 98, 99)] == ["0", "0", "49", "49"]
    sharded.audited()


def event(ledger: Ledger, key: str, at: str, properties: str) -> None:
    stream = f"witn:{{{ledger.keys(key).partition}}}:events"
    ledger.call("XADD", stream, f"{ms(at)}-*", "key", key, "action", "done", "customer_key", "acme", "agent_key", "a",
                "properties", properties)  # fmt: skip


def test_a_minimum_is_one_for_all_outcomes_of_an_agent(sharded: Ledger) -> None:
    """Example (c), without grades: one entry, low usage."""
    sharded.apply(catalogue('price_per_unit = "1", period_minimum = "500"'))
    for number in range(3):
        sharded.confirm(f"outcome-{number}", "2001-10-10T12:00:00Z", agent_key="a")
    [october] = sharded.close()
    assert sharded.amounts(october["id"]) == [("outcome", "1.00")] * 3 + [("minimum", "497.00")]
    assert october["subtotal"] == "500.00"
    sharded.audited()


# -- who decides on the minimum and the cap ----------------------------------------------------------------------------

MINIMUM = 'price_per_unit = "1", period_minimum = "50"'
PLAIN = 'price_per_unit = "1"'
OWN = '[[customers]]\nkey = "acme"\nrate_card = "card"\nentries = [{ agent = "a", %s }]\n'
NO_ENTRY: dict[str, tuple[str, list[str]]] = {"card": ("EUR", [])}
OTHER_CURRENCY = {"yen": ("JPY", ['{ agent = "a", price_per_unit = "1", period_minimum = "9" }'])}


@pytest.mark.parametrize(
    ("first", "later", "at", "rows"),
    [
        # An entry without a minimum means none; one that begins with the next period does not count yet.
        (catalogue(MINIMUM), catalogue(PLAIN), "2001-10-31T23:59:59.999Z", []),
        (catalogue(MINIMUM), catalogue(PLAIN), "2001-11-01T00:00:00.000Z", [("minimum", "48.00")]),
        # One that begins applies to outcomes that were rated when they settled.
        (catalogue(PLAIN), catalogue(MINIMUM), "2001-10-31T23:59:59.999Z", [("minimum", "48.00")]),
        (catalogue(PLAIN), catalogue(f'{PLAIN}, period_cap = "1"'), "2001-10-20T00:00:00Z", [("cap", "-1.00")]),
        # A customer's own entry replaces the card's, with or without a minimum.
        (catalogue(MINIMUM), catalogue(MINIMUM, customers={}, more=OWN % PLAIN), "2001-10-20T00:00:00Z", []),
        (
            catalogue(PLAIN),
            catalogue(PLAIN, customers={}, more=OWN % MINIMUM),
            "2001-10-20T00:00:00Z",
            [("minimum", "48.00")],
        ),
        # Another card of the same currency.
        (
            catalogue(PLAIN),
            catalogue(PLAIN, cards={"new": card(MINIMUM)["card"]}, customers={"acme": "new"}),
            "2001-10-20T00:00:00Z",
            [("minimum", "48.00")],
        ),
        # Without an entry for the agent in this currency, the last outcome's entry decides.
        (catalogue(MINIMUM), catalogue(PLAIN, cards=NO_ENTRY), "2001-10-20T00:00:00Z", [("minimum", "48.00")]),
        (
            catalogue(MINIMUM),
            catalogue(PLAIN, cards=OTHER_CURRENCY, customers={"acme": "yen"}),
            "2001-10-20T00:00:00Z",
            [("minimum", "48.00")],
        ),
        # Archiving hides a card; its customers keep it.
        (
            catalogue(MINIMUM),
            catalogue(MINIMUM).replace('key = "card"', 'key = "card"\narchived = true'),
            "2001-10-20T00:00:00Z",
            [("minimum", "48.00")],
        ),
    ],
    ids=["none", "later", "new", "cap", "own-none", "own", "card", "no-entry", "currency", "archived"],
)
def test_the_entry_at_the_end_of_the_period_decides(
    ledger: Ledger, first: str, later: str, at: str, rows: list[tuple[str, str]]
) -> None:
    ledger.apply(first)
    ledger.apply_at(later, at)
    for number in range(2):
        ledger.confirm(f"outcome-{number}", "2001-10-10T12:00:00Z", agent_key="a")
    [october] = ledger.close()
    assert ledger.amounts(october["id"]) == [("outcome", "1.00")] * 2 + rows
    ledger.audited()
    # The printed invoice says what applied.
    page = ledger.witnd("invoices", "export", october["id"], "--format", "html").stdout
    assert ("At least 50.00 for the period" in page) == (("minimum", "48.00") in rows)


def test_own_terms_that_end_leave_the_decision_to_the_card(ledger: Ledger) -> None:
    ledger.apply(catalogue(PLAIN, customers={}, more=OWN % MINIMUM))
    ledger.apply_at(catalogue(f'{PLAIN}, period_minimum = "9"'), "2001-10-20T00:00:00Z")
    ledger.confirm("outcome-1", "2001-10-10T12:00:00Z", agent_key="a")
    [october] = ledger.close()
    assert ledger.amounts(october["id"]) == [("outcome", "1.00"), ("minimum", "8.00")]
    ledger.audited()


def test_each_currency_of_a_month_is_a_group_of_its_own(ledger: Ledger) -> None:
    ledger.apply(catalogue(MINIMUM))
    ledger.apply_at(catalogue(PLAIN, cards=OTHER_CURRENCY, customers={"acme": "yen"}), "2001-10-20T00:00:00Z")
    ledger.confirm("outcome-1", "2001-10-10T12:00:00Z", agent_key="a")
    ledger.confirm("outcome-2", "2001-10-21T12:00:00Z", agent_key="a")
    found = {one["currency"]: one for one in ledger.close()}
    # The euro group has no entry in euros at the end, so its last outcome decides.
    assert ledger.amounts(found["EUR"]["id"]) == [("outcome", "1.00"), ("minimum", "49.00")]
    assert ledger.amounts(found["JPY"]["id"]) == [("outcome", "1"), ("minimum", "8")]
    ledger.audited()
