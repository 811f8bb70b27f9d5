"""Random payments, reversals, credits, refunds, voids and revisions, against a reckoning that shares no code."""

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from tests.contract.books import Account, Invoice, Refused
from tests.contract.ledger import Ledger, toml

STEPS = 110
DAYS = ("10", "11", "12")
DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}


class Case:
    """An invoice of witnd beside the one of the reckoning."""

    def __init__(self, head: dict[str, Any], rows: list[dict[str, Any]], account: Account) -> None:
        self.id = head["id"]
        self.currency = head["currency"]
        self.customer = head["customer_key"]
        self.payments: list[str] = []
        self.mine = Invoice(account, {row["id"]: Fraction(row["amount"]) for row in rows})


def money(amount: Fraction, currency: str) -> str:
    digits = DIGITS[currency]
    units = amount * 10**digits
    assert units.denominator == 1, amount
    whole, rest = divmod(abs(units.numerator), 10**digits)
    text = f"{whole}.{rest:0{digits}}" if digits else str(whole)
    return f"-{text}" if units < 0 else text


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_done_every_document_and_balance_is_what_the_rules_say(sharded: Ledger, seed: int) -> None:
    dice = random.Random(seed)
    cases, accounts = billed(sharded, dice)
    done = refused = 0
    for _ in range(STEPS):
        case = dice.choice(cases)
        arguments, act = step(dice, case, cases)
        try:
            act()
        except Refused:
            sharded.refused("invoices", *arguments)
            refused += 1
        else:
            found = sharded.done(*arguments)
            done += 1
            if arguments[0] == "payment":
                case.payments.append(found["id"])
            elif arguments[0] == "pay" and found["result"] == "done":
                case.payments.append(sharded.json("invoices", "show", case.id)["payments"][-1]["id"])
        compare(sharded, case)
    for case in cases:
        compare(sharded, case)
    for (customer, currency), account in accounts.items():
        found = {one["currency"]: one["balance"] for one in sharded.done("balance", customer)["data"]}
        assert found.get(currency, money(Fraction(0), currency)) == money(account.balance, currency)
        assert account.balance >= 0
    assert done > STEPS // 4
    assert refused > STEPS // 10
    sharded.audited()


def billed(ledger: Ledger, dice: random.Random) -> tuple[list[Case], dict[tuple[str, str], Account]]:
    """Three invoices of each of three customers, in three currencies, with minimums and caps."""
    ledger.set(period="day")
    entries = {
        "EUR": ['{ agent = "a", price_per_unit = "1.25" }', '{ agent = "b", price_per_unit = "2", period_cap = "5" }'],
        "JPY": [
            '{ agent = "a", price_per_unit = "120" }',
            '{ agent = "b", price_per_unit = "7", period_minimum = "50" }',
        ],
        "KWD": ['{ agent = "a", price_per_unit = "0.375" }', '{ agent = "b", price_per_unit = "0" }'],
    }
    cards = {currency.lower(): (currency, card) for currency, card in entries.items()}
    ledger.apply(toml(["a", "b"], cards, {f"c-{name}": name for name in cards}))
    for day in DAYS:
        for name in cards:
            for number in range(dice.randint(1, 4)):
                agent = dice.choice("ab")
                ledger.confirm(
                    f"{name}-{day}-{number}", f"2001-09-{day}T12:00:00Z", dice.randint(1, 4),
                    customer_key=f"c-{name}", agent_key=agent,
                )  # fmt: skip
    accounts: dict[tuple[str, str], Account] = {}
    cases = []
    for head in ledger.close():
        account = accounts.setdefault((head["customer_key"], head["currency"]), Account())
        cases.append(Case(head, ledger.rows(head["id"]), account))
    return cases, accounts


def step(dice: random.Random, case: Case, cases: list[Case]) -> tuple[list[str], Callable[[], None]]:
    """What is done next: the arguments of the command, and the same in the reckoning."""
    mine, currency = case.mine, case.currency
    unit = Fraction(1, 10 ** DIGITS[currency])
    amount = dice.choice([unit, Fraction(2), mine.total or unit, (mine.due or 0) + unit, Fraction(500)])
    match dice.choice(["issue", "issue", "payment", "payment", "pay", "reverse", "credit", "credit", "refund", "void",
                       "revise"]):  # fmt: skip
        case "payment":
            return ["payment", case.id, "--amount", money(amount, currency), "--date", "2001-10-01"], lambda: mine.pay(
                amount
            )
        case "pay":
            return ["pay", case.id], lambda: mine.pay(None)
        case "reverse" if case.payments:
            number = dice.randrange(len(case.payments))
            return ["reverse", case.id, case.payments[number]], lambda: mine.reverse(number)
        case "credit":
            rows = dice.sample(
                [id_ for id_, value in mine.rows.items() if value >= 0], k=dice.randint(1, 2) % len(mine.rows) or 1
            )
            wanted = {row: dice.choice([None, unit, Fraction(1), mine.rows[row] or unit]) for row in rows}
            texts = [row if some is None else f"{row}={money(some, currency)}" for row, some in wanted.items()]
            flags = [word for text in texts for word in ("--row", text)]
            return ["credit", "--invoice", case.id, *flags, "--reason", "r"], lambda: mine.credit(wanted)
        case "refund":
            part = dice.choice([unit, mine.account.balance or unit, mine.account.balance + unit])
            return ["refund", case.customer, "--amount", money(part, currency)], lambda: mine.account.refund(part)
        case "void" if dice.random() < 0.4:
            return ["void", case.id, "--reason", "r", "--yes"], mine.cancel
        case "revise":
            return ["revise", case.id], lambda: revised(case, cases)
    return ["issue", case.id], mine.issue


def revised(case: Case, cases: list[Case]) -> None:
    if case.mine.status == "void" and not any(one.id == f"{case.id}+" for one in cases):
        raise Refused
    case.mine.cancel()


def compare(ledger: Ledger, case: Case) -> None:
    """The document says what the reckoning says."""
    shown = ledger.json("invoices", "show", case.id)
    head, mine = shown["invoice"], case.mine
    if head["revised_by"] is not None:
        # From here on it is about the draft that replaces it.
        assert (head["status"], mine.status) == ("void", "void")
        case.id, case.payments, case.mine = head["revised_by"], [], mine.next_edition()
        compare(ledger, case)
        return

    def text(amount: Fraction) -> str:
        return money(amount, case.currency)

    assert (head["status"], head["edition"]) == (mine.status, mine.edition)
    assert (head["subtotal"], head["credited"]) == (text(mine.subtotal), text(mine.drafted))
    assert head["total"] == (None if mine.status == "draft" else text(mine.total))
    assert head["due"] == (None if mine.due is None else text(mine.due))
    assert head["balance_used"] == text(mine.used)
    assert shown["balance"] == text(mine.account.balance)
    assert [(one["amount"], one["applied"], one["reversed"]) for one in shown["payments"]] == [
        (text(one["amount"]), text(one["applied"]), one["reversed"]) for one in mine.payments
    ]
    assert [(one["amount"], one["applied"]) for one in shown["credit_notes"]] == [
        (text(amount), text(applied)) for amount, applied in mine.notes
    ]
    assert {row["id"] for row in shown["lines"] if row["kind"] != "credit"} == set(mine.rows)


def test_a_revised_invoice_keeps_the_rows_of_its_period(ledger: Ledger) -> None:
    """Also those that have no outcome: their ids are those of the first edition."""
    entry = (
        '{ agent = "a", kind = "graduated", period_minimum = "50", tiers = [{ price_per_unit = "1", flat_fee = "2" }] }'
    )
    ledger.apply(toml(["a"], {"card": ("EUR", [entry])}, {"acme": "card"}))
    ledger.confirm("outcome-1", "2001-09-10T12:00:00Z", 3, agent_key="a")
    [head] = ledger.close()
    fee = next(row for row in ledger.rows(head["id"]) if row["kind"] == "fee")
    ledger.done("credit", "--invoice", head["id"], "--row", fee["id"], "--amount", "0.50", "--reason", "r")
    for edition in (1, 2, 3):
        ledger.done("issue", head["id"])
        ledger.audited()
        following = ledger.done("revise", head["id"])
        assert ledger.rows(following["id"]) == [
            row | {"invoice_id": following["id"]} for row in ledger.rows(head["id"])
        ]
        assert (following["edition"], following["credited"]) == (edition + 1, "0.50")
        ledger.audited()
        head = following
    ledger.done("credit", "--invoice", head["id"], "--row", fee["id"], "--reason", "r")
    [acted] = ledger.done("issue", head["id"])["data"]
    assert (acted["invoice"]["number"], acted["invoice"]["total"]) == ("INV-000004", "48.00")
    ledger.audited()
