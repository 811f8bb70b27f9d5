"""Many prices at random that change at any instant, against a reckoning of its own: `groups`, in fractions."""

import random
from fractions import Fraction

import pytest

from tests.contract.groups import Row
from tests.contract.ledger import Ledger
from tests.contract.random_catalogue import DAY, END, OCTOBER, START, invoices, outcomes, states
from witnd.domain.values import instant


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_billed_is_what_the_rules_say(sharded: Ledger, seed: int) -> None:
    dice = random.Random(seed)
    customers = [f"c-{number:02}" for number in range(40)]
    instants = sorted({*[dice.randrange(START, END - 12 * DAY) for _ in range(4)], OCTOBER - 1, OCTOBER})
    versions = states(dice, customers, instants)
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
        rows = sharded.rows(head["id"])
        found[head["customer_key"], head["currency"], head["period_start"]] = [
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
