"""Many prices at random that change at any instant, against a reckoning of its own: `groups`, in fractions."""

import random
from fractions import Fraction
from typing import Any

import pytest

from tests.contract.books import Account
from tests.contract.groups import Row
from tests.contract.ledger import Ledger, ms
from tests.contract.random_catalogue import (
    CURRENCIES,
    DAY,
    END,
    OCTOBER,
    START,
    TAXES,
    State,
    invoices,
    outcomes,
    states,
)
from tests.contract.taxes import Line, Rates, TaxedInvoice
from witnd.domain.values import instant


@pytest.mark.parametrize(("seed", "taxes"), [(1, ()), (2, ()), (3, TAXES)])
def test_what_is_billed_is_what_the_rules_say(sharded: Ledger, seed: int, taxes: tuple[str, ...]) -> None:
    dice = random.Random(seed)
    customers = [f"c-{number:02}" for number in range(40)]
    instants = sorted({*[dice.randrange(START, END - 12 * DAY) for _ in range(4)], OCTOBER - 1, OCTOBER})
    versions = states(dice, customers, instants, taxes=taxes)
    for one in versions:
        sharded.apply_at(one.toml, instant.render(one.at))
    done = outcomes(dice, customers, instants)
    for one in sorted(done, key=lambda one: one.opened_at):
        sharded.confirm(
            one.key,
            instant.render(one.resolved_at),
            float(one.unit),
            accepted_before=one.resolved_at - one.opened_at,
            customer_key=one.customer,
            agent_key=one.agent,
        )
    expected = invoices(versions, done)
    found = {}
    for head in sharded.close(charged=True):
        shown = sharded.json("invoices", "show", head["id"])
        rows, whose = shown["lines"], (head["customer_key"], head["currency"], head["period_start"])
        check_taxes(shown, expected.get(whose, []), versions)
        found[whose] = [
            (
                row["agent_key"] or "",
                Row(row["kind"], row["rate_card"], Fraction(row["amount"]), Fraction(row["amount_exact"])),
            )
            for row in rows
        ]
        assert sum(Fraction(row["amount"]) for row in rows) == Fraction(head["subtotal"])
    assert found.keys() == expected.keys()
    for whose, rows in expected.items():
        assert found[whose] == rows, (seed, whose)
    sharded.audited()


def check_taxes(shown: dict[str, Any], rows: list[tuple[str, Row]], versions: list[State]) -> None:
    """The taxes of a draft are what it would be issued with."""
    head, rates = shown["invoice"], Rates()
    for one in versions:
        for key, (category, rate) in one.taxes.items():
            rates.add(key, one.at, category, rate)
    customer, digits = head["customer_key"], CURRENCIES[head["currency"]]
    mine = TaxedInvoice(Account(), digits, ms(head["period_end"]), rates, lambda: versions[-1].tax_of[customer])
    mine.close(
        Line(row["id"], row["kind"], agent, one.amount, one.tax)
        for row, (agent, one) in zip(shown["lines"], rows, strict=True)
    )
    assert [
        ((row["category"], Fraction(row["rate"])), Fraction(row["taxable"]), Fraction(row["tax"]))
        for row in head["tax_rows"]
    ] == mine.tax_rows()
