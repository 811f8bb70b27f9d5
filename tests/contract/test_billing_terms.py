"""Terms of a period across versions (10.1): the worked examples, and who decides on the minimum and cap."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tests.contract.ledger import Ledger, ms, toml
from witnd.domain.catalogue.period_terms import period_terms
from witnd.domain.pricing.group import GroupKey, GroupMeter, Position
from witnd.domain.pricing.ratecard import Price
from witnd.store.invoices.codec import decode_row, encode_row
from witnd.store.keys import BillingKeys

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


# -- what the audit finds ----------------------------------------------------------------------------------------------

TIERED = (
    'kind = "graduated", period_minimum = "%s", '
    'tiers = [{ up_to = "3", price_per_unit = "%s" }, { price_per_unit = "1", flat_fee = "2" }]'
)


class EachPrice(GroupKey):
    """The groups of the past: one for each price."""

    @classmethod
    def of(cls, price: Price) -> "EachPrice":
        return cls(price.agent, price.hash)


class Standing(Position):
    """Outcomes rated at settlement do not move it."""

    def settle(self, unit: Decimal) -> None:
        pass


class StandingMeter(GroupMeter):
    def settle(self, unit: Decimal, amount: Decimal, exact: Decimal) -> None:
        super().settle(Decimal(0), amount, exact)


ABLATIONS: dict[str, dict[str, object]] = {
    "the last outcome's entry decides": {"closer.period_terms": lambda *_, **__: None},
    "the entry after the end decides": {
        "closer.period_terms": lambda *who, end: period_terms(*who, end=end + 1),
    },
    "each price is a group": {"closing.GroupKey": EachPrice},
    "outcomes rated at settlement fill no tier": {"closing.Position": Standing, "closing.GroupMeter": StandingMeter},
}


def several(ledger: Ledger) -> None:
    """An invoice with outcomes under three prices, one of which rates at settlement, and a minimum."""
    ledger.apply(catalogue(TIERED % ("5", "4")))
    ledger.apply_at(catalogue(PLAIN), "2001-10-10T00:00:00Z")
    ledger.apply_at(catalogue(TIERED % ("40", "5")), "2001-10-15T00:00:00Z")
    ledger.apply_at(catalogue(TIERED % ("60", "5")), "2001-10-25T00:00:00Z")
    ledger.apply_at(catalogue(PLAIN), "2001-11-01T00:00:00Z")
    for day in (9, 11, 16, 17):
        ledger.confirm(f"outcome-{day:02}", f"2001-10-{day:02}T12:00:00Z", agent_key="a")


EXPECTED = [
    ("outcome", "4.00"), ("outcome", "1.00"), ("outcome", "5.00"), ("outcome", "1.00"), ("fee", "2.00"),
    ("minimum", "47.00"),
]  # fmt: skip


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_audit_finds_what_was_billed_by_other_rules(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    several(ledger)
    for what, instead in ABLATIONS[name].items():
        monkeypatch.setattr(f"witnd.billing.{what}", instead)
    [october] = ledger.close()
    assert ledger.amounts(october["id"]) != EXPECTED
    monkeypatch.undo()
    report = ledger.json("audit", exit_code=5)
    assert {one["invoice"] for one in report["differences"]} == {october["id"]}


def changed(place: int, **members: object) -> Callable[[list[bytes]], list[bytes]]:
    def change(stored: list[bytes]) -> list[bytes]:
        stored[place] = encode_row(replace(decode_row(stored[place]), **members))
        return stored

    return change


TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "no minimum": (lambda stored: stored[:-1], "row "),
    "two minimums": (lambda stored: [*stored, stored[-1]], "row "),
    "the minimum of another entry": (changed(-1, price_hash="ab" * 32), "row "),
    "the minimum of another agent": (changed(-1, agent_key="b"), "row "),
    "no fee": (lambda stored: [*stored[:4], stored[5]], "row "),
    "a tier that begins again": (changed(3, amount="5.00", amount_exact="5"), "row: amount"),
    "a working": (changed(3, working={"kind": "graduated"}), "row: working"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_an_audit_finds_a_changed_row(ledger: Ledger, name: str) -> None:
    several(ledger)
    [october] = ledger.close()
    assert ledger.amounts(october["id"]) == EXPECTED
    ledger.audited()
    change, what = TAMPERED[name]
    key = BillingKeys("witn").lines(october["id"])
    rows = change(ledger.call("LRANGE", key, 0, -1))
    ledger.call("DEL", key)
    ledger.call("RPUSH", key, *rows)
    report = ledger.json("audit", exit_code=5)
    assert any(one["what"].startswith(what) for one in report["differences"]), report["differences"]


def test_the_price_at_the_end_is_found_again_after_later_changes(ledger: Ledger) -> None:
    several(ledger)
    [october] = ledger.close()
    ledger.apply(catalogue(TIERED % ("90", "9")))
    ledger.apply(catalogue(TIERED % ("1", "1"), customers={}, more=OWN % PLAIN))
    assert ledger.amounts(october["id"]) == EXPECTED
    ledger.audited()
    # Every step of the calculation is explained, in the invoice and for the outcome.
    shown = ledger.witnd("invoices", "show", october["id"]).stdout
    for words in ("1 × 4 (tier 1) = 4", "1 × 5 (tier 1) = 5", "1 × 1 (tier 2) = 1", "2 for reaching tier 2 with 4",
                  "13.00 is less than 60: 47.00"):  # fmt: skip
        assert words in shown
    assert ledger.json("explain", "outcome-17")["invoice"]["amount"] == "1.00"
