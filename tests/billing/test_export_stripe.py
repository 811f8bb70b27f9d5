"""Items for Stripe come to what is charged, in Stripe's units, under keys that make a second push harmless."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.billing.bills import Bill, all_of, bill, each, of_rows, price, samples, taxed_samples, text
from witnd.billing.export import stripe
from witnd.billing.export.stripe import ITEMS_MAX, UnsupportedByStripe, scale

CUSTOMERS = {"acme": "cus_Q4rT8vXkLm2N"}


async def pushed(*bills: Bill, what: str = "lines", rounded: bool = False) -> list[dict[str, Any]]:
    written = await text(stripe.requests(each(*bills), CUSTOMERS, what, rounded=rounded))
    return [json.loads(line) for line in written.splitlines()]


def charged(requests: list[dict[str, Any]]) -> int:
    return sum(one["invoice_item"]["amount"] for one in requests)


@pytest.mark.parametrize("name", sorted(samples() | taxed_samples()))
@pytest.mark.parametrize("what", ["lines", "invoices"])
async def test_the_items_of_an_invoice_come_to_its_net_sum(name: str, what: str) -> None:
    one = (samples() | taxed_samples())[name]
    found = await pushed(one, what=what)
    digits = scale(one.invoice).digits
    assert Decimal(charged(found)).scaleb(-digits) == one.invoice.net
    assert all("tax" in one["invoice_item"]["metadata"]["not_included"] for one in found)


async def test_an_item_is_a_documented_request_body_that_leads_back_to_its_row() -> None:
    one = samples()["several"]
    rows = await all_of(one.rows())

    found = await pushed(one)

    assert [request["idempotency_key"] for request in found[: len(rows)]] == [row.id for row in rows]
    assert found[0]["invoice_item"] == {
        "customer": "cus_Q4rT8vXkLm2N",
        "amount": 100,
        "currency": "eur",
        "description": "Support agent: ticket-0001",
        "period": {"start": 1793491200, "end": 1796083199},
        "metadata": {
            "invoice_id": one.invoice.id,
            "invoice_number": "INV-000042",
            "customer_key": "acme",
            "line_id": rows[0].id,
            "kind": "outcome",
            "outcome_key": "ticket-0001",
            "agent_key": "support",
            "resolved_at": "2026-11-05T09:00:00.000Z",
            "unit": "1",
            "price_per_unit": "0.995",
            "amount": "1.00",
            "amount_exact": "0.995",
            "not_included": "tax, balance, payments, credit notes",
        },
    }
    assert found[-1]["invoice_item"]["metadata"]["kind"] == "credit"
    assert found == await pushed(one), "the same again, so that a second push changes nothing"
    assert len({request["idempotency_key"] for request in found}) == len(found)


async def test_manual_lines_are_items_and_taxes_are_not() -> None:
    one = taxed_samples()["several-taxes"]
    found = await pushed(one)
    items = [request["invoice_item"] for request in found if request["invoice_item"]["metadata"]["kind"] == "manual"]
    assert [(item["description"], item["amount"]) for item in items] == [
        ("Setup of the <connector>", 25100), ("Training", 8000), ("Goodwill\x07", -15500), ("Shipping abroad", 990)
    ]  # fmt: skip
    assert charged(found) == 30090
    assert one.invoice.total == Decimal("356.19")


async def test_what_stripe_documents_as_limits_is_kept() -> None:
    one = samples()["several"]
    rows = [replace(row, reason="r" * 2000) for row in await all_of(one.rows()) if row.kind == "credit"]
    total = Decimal(rows[0].amount or 0)
    head = replace(one.invoice, subtotal=Decimal(0), total=total, balance_used=Decimal(0))
    found = await pushed(of_rows(head, rows))
    for item in (request["invoice_item"] for request in found):
        assert len(item["metadata"]) <= 50
        assert all(len(name) <= 40 and "[" not in name for name in item["metadata"])
        assert all(0 < len(value) <= 500 for value in item["metadata"].values())
        assert len(item["description"]) <= 500


@pytest.mark.parametrize(
    ("currency", "unit", "amount"),
    [
        ("EUR", "12.34", 1234),
        ("JPY", "12", 12),
        ("KRW", "1500", 1500),
        ("ISK", "5", 500),
        ("UGX", "5", 500),
        ("KWD", "1.23", 1230),
        ("TND", "0.01", 10),
        ("MGA", "7", 7),
    ],
)
async def test_amounts_are_in_the_units_that_stripe_charges_in(currency: str, unit: str, amount: int) -> None:
    one = bill([("t", price(currency=currency, price_per_unit="1"), [unit])], currency)
    [request] = await pushed(one)
    assert request["invoice_item"]["amount"] == amount
    assert request["invoice_item"]["currency"] == currency.lower()


@pytest.mark.parametrize("currency", ["CLF", "IQD", "LYD"])
async def test_a_currency_that_stripe_does_not_charge_in_is_refused(currency: str) -> None:
    one = bill([("t", price(currency=currency, price_per_unit="1"), ["1"])], currency)
    with pytest.raises(UnsupportedByStripe, match=f"does not charge in {currency}"):
        await pushed(one)


async def test_a_total_that_stripe_cannot_charge_is_refused_unless_rounding_is_asked_for() -> None:
    one = bill([("t", price(currency="KWD", price_per_unit="0.125"), ["1", "1", "1"])], "KWD")
    with pytest.raises(UnsupportedByStripe, match=r"0\.375 KWD.*steps of 0\.01.*--stripe-round to charge 0\.380"):
        await pushed(one)

    found = await pushed(one, rounded=True)

    assert charged(found) == 380
    assert [request["invoice_item"]["amount"] for request in found] == [130, 130, 130, -10]
    assert found[-1]["invoice_item"]["metadata"] == {
        "invoice_id": one.invoice.id,
        "invoice_number": "INV-000042",
        "customer_key": "acme",
        "kind": "rounding",
        "invoice_net": "0.375",
        "not_included": "tax, balance, payments, credit notes",
    }
    [whole] = await pushed(one, what="invoices", rounded=True)
    assert (whole["invoice_item"]["amount"], whole["invoice_item"]["metadata"]["amount"]) == (380, "0.375")


async def test_rows_that_cannot_be_charged_one_by_one_need_no_permission_where_the_total_can() -> None:
    one = samples()["dinar"]
    found = await pushed(one)
    assert [request["invoice_item"]["amount"] for request in found] == [130, 250, 880, -10]
    assert "invoice_net" in found[-1]["invoice_item"]["metadata"]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.sampled_from(["KWD", "MGA", "EUR", "JPY", "ISK"]))
async def test_with_rounding_items_are_multiples_of_the_step_and_lose_less_than_one(
    units: list[int], code: str
) -> None:
    one = bill([("t", price(currency=code, price_per_unit="0.001"), list(map(str, units)))], code)
    unit = scale(one.invoice)
    found = await pushed(one, rounded=True)
    step = 10 ** (unit.digits - unit.chargeable_digits)
    assert all(request["invoice_item"]["amount"] % step == 0 for request in found)
    assert (
        abs(Decimal(charged(found)).scaleb(-unit.digits) - (one.invoice.total or 0)) * 2
        <= Decimal(10) ** -unit.chargeable_digits
    )


@pytest.mark.parametrize(
    ("status", "why"), [("draft", "issue it first"), ("paid", "charged twice"), ("void", "nothing")]
)
async def test_what_is_not_to_be_charged_is_refused(status: str, why: str) -> None:
    one = samples()["flat"]
    with pytest.raises(UnsupportedByStripe, match=why):
        await pushed(of_rows(replace(one.invoice, status=status), await all_of(one.rows())))


async def test_a_customer_without_an_id_at_stripe_is_refused() -> None:
    one = bill([("t", price(price_per_unit="1"), ["1"])], customer="other")
    with pytest.raises(UnsupportedByStripe, match="'other' of INV-000042 is not in the file"):
        await pushed(one)


async def test_above_the_limit_of_stripe_there_is_one_item_for_each_agent_grade_and_price() -> None:
    fits = bill([("t", price(price_per_unit="1"), ["1"] * ITEMS_MAX)])
    assert len(await pushed(fits)) == ITEMS_MAX

    old, new = price(price_per_unit="1", period_minimum="500"), price(price_per_unit="0.995")
    many = bill([("t", old, ["1"] * ITEMS_MAX), ("u", new, ["2"])], used="1")
    rows = [replace(row, grade="gold") if row.outcome_key == "t-0007" else row for row in await all_of(many.rows())]
    found = await pushed(of_rows(many.invoice, rows, prices={old.hash: old, new.hash: new}))

    items = sorted((one["invoice_item"]["description"], one["invoice_item"]["amount"]) for one in found)
    assert items == [
        ("Support agent: 1 outcome, Unit price 0.995", 199),
        ("Support agent: 1 outcome, grade gold, Unit price 1.00", 100),
        ("Support agent: 249 outcomes, Unit price 1.00", 49900),
    ]
    assert charged(found) == many.invoice.net * 100
    [gold] = [one["invoice_item"]["metadata"] for one in found if "grade" in one["invoice_item"]["metadata"]]
    assert (gold["kind"], gold["grade"], gold["price_hash"]) == ("sum", "gold", old.hash)
    assert len({request["idempotency_key"] for request in found}) == 3


async def test_above_that_there_is_one_item_for_each_agent() -> None:
    prices = [price(price_per_unit=f"1.{number:03}") for number in range(1, ITEMS_MAX + 2)]
    many = bill([(f"t{number}", one, ["1"]) for number, one in enumerate(prices)])
    [item] = [one["invoice_item"] for one in await pushed(many)]
    assert item["description"] == "Support agent: 251 outcomes"
    assert item["amount"] == many.invoice.net * 100

    too_many = bill([(f"t{n}", price(f"agent-{n}", price_per_unit="1"), ["1"]) for n in range(ITEMS_MAX + 1)])
    with pytest.raises(UnsupportedByStripe, match="--what invoices"):
        await pushed(too_many)
    assert len(await pushed(too_many, what="invoices")) == 1


async def test_one_invoice_never_blocks_the_others() -> None:
    refused: list[UnsupportedByStripe] = []
    bills = (samples()["flat"], bill([("t", price(price_per_unit="1"), ["1"])], customer="other"), samples()["yen"])
    written = await text(stripe.requests(each(*bills), CUSTOMERS, on_refused=refused.append))
    currencies = {json.loads(line)["invoice_item"]["currency"] for line in written.splitlines()}
    assert currencies == {"eur", "jpy"}
    assert [str(one)[:32] for one in refused] == ["customer 'other' of INV-000042 i"]


async def test_rows_that_do_not_come_to_the_total_are_not_charged() -> None:
    one = samples()["flat"]
    with pytest.raises(UnsupportedByStripe, match="witnd audit"):
        await pushed(of_rows(one.invoice, (await all_of(one.rows()))[1:]))
