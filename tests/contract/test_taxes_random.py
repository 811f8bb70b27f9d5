"""Random taxes, manual lines, credits, payments and revisions over HTTP, against `taxes`, which shares no code."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from tests.contract.books import Account, Refused
from tests.contract.ledger import Ledger, ms
from tests.contract.random_catalogue import (
    CURRENCIES,
    DAY,
    END,
    LATE,
    OCTOBER,
    START,
    TAXES,
    Outcome,
    State,
    invoices,
    outcomes,
    states,
)
from tests.contract.taxes import Line, Rates, TaxedInvoice, Taxes, half_away
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import Answer, ApiServer, api_server
from witnd.config import BillingConfig
from witnd.domain.values import instant

CUSTOMERS = [f"c-{number}" for number in range(3)]
OPEN_STEPS, STEPS = 25, 120
OTHER_PARTITION = "witn:{1}:owner"
PRICES = ["-7", "3.335", "0", "-0.005", "19.99", "-100", "1000", "-0.5", "2", "-1.995"]
Whose = tuple[str, str, str]  # customer, currency, start


class Case:
    """An invoice of witnd beside the one of the reckoning."""

    def __init__(self, head: dict[str, Any], mine: TaxedInvoice) -> None:
        self.id = head["id"]
        self.currency = head["currency"]
        self.customer = head["customer_key"]
        self.whose: Whose = self.customer, self.currency, head["period_start"]
        self.mine = mine
        self.payments: list[str] = []

    @property
    def unit(self) -> Fraction:
        return Fraction(1, 10**self.mine.digits)

    def text(self, amount: Fraction) -> str:
        units = amount / self.unit
        assert units.denominator == 1, amount
        whole, rest = divmod(abs(units.numerator), 10**self.mine.digits)
        text = f"{whole}.{rest:0{self.mine.digits}}" if self.mine.digits else str(whole)
        return f"-{text}" if units < 0 else text


class World:
    """A deployment whose periods stay open while another instance holds one of its partitions."""

    def __init__(self, server: Server, directory: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.ledger = Ledger(server, directory, 2)
        self.ledger.set(issue="manual")
        self.cases: dict[Whose, Case] = {}
        self.accounts: dict[tuple[str, str], Account] = {}
        self.rates = Rates()
        self.done = self.refused = 0
        self.is_taxed = seed % 8 != 0
        self.api: ApiServer
        self.versions = self._versions()
        self.outcomes = self._outcomes()
        self.customers_tax = dict(self.versions[-1].tax_of)

    def _versions(self) -> list[State]:
        dice = self.dice
        self.instants = sorted(
            {*[dice.randrange(START, END - 12 * DAY) for _ in range(2)], OCTOBER - dice.randrange(2)}
        )
        found = states(dice, CUSTOMERS, self.instants, taxes=TAXES if self.is_taxed else ())
        for one in found:
            self.ledger.apply_at(one.toml, instant.render(one.at))
            for key, (category, rate) in one.taxes.items():
                self.rates.add(key, one.at, category, rate)
        return found

    def _outcomes(self) -> list[Outcome]:
        most, units = self.dice.choice([2, 4, 8]), ["0", "0.5", "1", "1.5", "3", "24.999"]
        found = outcomes(self.dice, CUSTOMERS, self.instants, most=most, units=units, named=in_first_partition)
        for one in sorted(found, key=lambda one: one.opened_at):
            self.ledger.confirm(
                one.key,
                instant.render(one.resolved_at),
                float(one.unit),
                accepted_before=one.resolved_at - one.opened_at,
                customer_key=one.customer,
                agent_key=one.agent,
            )
        return found

    # -- the product ---------------------------------------------------------------------------------------------------

    def heads(self) -> list[dict[str, Any]]:
        return self.api.pages("/v1/invoices?limit=100")

    def rows(self, id_: str) -> list[dict[str, Any]]:
        return self.api.pages(f"/v1/invoices/{id_}/lines?limit=100")

    def renew(self) -> None:
        """Hold the other partition, as a live instance does: a lease that nobody renews is taken."""
        self.ledger.call("SET", OTHER_PARTITION, "1:x:other", "PX", 600_000)

    def open_up(self) -> None:
        """Wait until all lines are in open invoices."""
        until(lambda: sum(one["lines"] for one in self.heads()) == len(self.outcomes), "all lines are collected")
        for head in self.heads():
            self.case(head).mine.lines = {row["id"]: opened(row) for row in self.rows(head["id"])}

    def close(self) -> None:
        """Let all periods close, and compare the rows with what the rules lead to."""
        self.ledger.call("DEL", OTHER_PARTITION)

        def is_closed() -> bool:
            waiting = sum(
                int(self.ledger.call("ZCARD", f"witn:{{shared}}:billing:{name}")) for name in ("open", "to_adjust")
            )
            return waiting == 0 and self.ledger.is_charged()

        until(is_closed, "all that is over is closed")
        expected = invoices(self.versions, self.outcomes)
        heads = {(head["customer_key"], head["currency"], head["period_start"]): head for head in self.heads()}
        assert heads.keys() == expected.keys() | self.cases.keys()
        for whose, head in heads.items():
            case = self.case(head)
            rows = [row for row in self.rows(head["id"]) if row["kind"] not in ("manual", "credit")]
            wanted = expected.get(whose, [])
            assert [(row["kind"], row["agent_key"] or "", Fraction(row["amount"])) for row in rows] == [
                (row.kind, agent, row.amount) for agent, row in wanted
            ]
            case.mine.close(
                Line(row["id"], row["kind"], agent, mine.amount, mine.tax)
                for row, (agent, mine) in zip(rows, wanted, strict=True)
            )

    def case(self, head: dict[str, Any]) -> Case:
        whose = head["customer_key"], head["currency"], head["period_start"]
        if whose not in self.cases:
            account = self.accounts.setdefault(whose[:2], Account())
            customer = whose[0]
            mine = TaxedInvoice(
                account, CURRENCIES[whose[1]], ms(head["period_end"]), self.rates, lambda: self.customers_tax[customer]
            )
            self.cases[whose] = Case(head, mine)
        return self.cases[whose]

    # -- steps ---------------------------------------------------------------------------------------------------------

    def act(self, case: Case, step: "Step") -> None:
        """Do it in both, or see it refused in both."""
        method, path, body, change = step
        before, preview = case.mine.due, None
        if isinstance(body, dict) and "dry_run" in body:
            preview = self.api.ask(method, path, body)
            body = {name: value for name, value in body.items() if name != "dry_run"}
            self.compare(case)
        answer = self.api.ask(method, path, body)
        if preview is not None:
            assert preview.status == answer.status, (step, preview.body, answer.body)
            if path.endswith("/issue") and answer.status == 200:
                assert sums_of(preview.json) == sums_of(answer.json)
        try:
            change(answer)
        except Refused:
            assert answer.status in (400, 404, 409), (step, answer.body)
            self.refused += 1
        else:
            assert answer.status in (200, 201), (step, answer.body)
            self.done += 1
            if path.endswith("/payments"):
                case.payments.append(answer.json["id"])
            elif path.endswith("/pay") and before:
                case.payments.append(self.api.get(f"/v1/invoices/{case.id}")["payments"][-1]["id"])
        self.compare(case)

    def compare(self, case: Case) -> None:
        """The document says what the reckoning says."""
        shown = self.api.get(f"/v1/invoices/{case.id}")
        mine, text = case.mine, case.text
        if shown["revised_by"] is not None:
            assert (shown["status"], mine.status) == ("void", "void")
            self.compare_document(shown, case)
            case.id, case.payments, case.mine = shown["revised_by"], [], mine.next_edition()
            self.compare(case)
            return
        self.compare_document(shown, case)
        found = {row["id"]: row for row in self.rows(case.id)}
        assert {id_ for id_, row in found.items() if row["kind"] != "credit"} == {
            *mine.lines, *(one.id for one in mine.manual)
        }  # fmt: skip
        for one in mine.manual:
            row = found[one.id]
            assert row["amount"] == text(one.applied)
            said = None if one.applied == one.amount else {"requested": text(one.amount), "applied": text(one.applied)}
            assert row["working"] == (None if said is None else {"kind": "manual"} | said)

    def compare_document(self, shown: dict[str, Any], case: Case) -> None:
        mine, text = case.mine, case.text
        taxes = mine.tax_rows() if mine.closed else []
        tax = sum((tax for *_, tax in taxes), Fraction(0))
        assert (shown["status"], shown["closed"], shown["edition"]) == (mine.status, mine.closed, mine.edition)
        assert (shown["subtotal"], shown["credited"]) == (text(mine.line_sum), text(mine.drafted_sum))
        assert same_taxes(shown["tax_rows"], taxes, text), (shown["tax_rows"], taxes)
        assert shown["tax"] == (text(tax) if mine.closed else None)
        assert shown["total"] == (None if mine.status == "draft" else text(mine.total))
        assert shown["due"] == (None if mine.due is None else text(mine.due))
        assert mine.due is None or mine.due >= 0
        assert shown["balance_used"] == text(mine.used)
        assert shown["balance"] == text(mine.account.balance)
        assert [(one["amount"], one["applied"], one["reversed"]) for one in shown["payments"]] == [
            (text(one["amount"]), text(one["applied"]), one["reversed"]) for one in mine.payments
        ]
        notes = shown["credit_notes"][::-1]
        assert [(one["total"], one["applied"]) for one in notes] == [
            (text(total), text(applied)) for total, applied in mine.notes
        ]
        for one, its, (total, _) in zip(notes, mine.note_taxes, mine.notes, strict=True):
            assert same_taxes(one["tax_rows"], its, text), (one["tax_rows"], its)
            assert one["amount"] == text(total - sum((tax for *_, tax in its), Fraction(0)))
        assert shown["noted"] == text(sum((total for total, _ in mine.notes), Fraction(0)))

    def add_customers_line(self) -> None:
        """Add a line to the current period of a customer, which opens its invoice."""
        customer, currency, price = (
            self.dice.choice(CUSTOMERS),
            self.dice.choice(["EUR", "JPY"]),
            self.dice.choice(PRICES),
        )
        body = {"description": "Line", "quantity": "1", "unit_price": price, "currency": currency}
        answer = self.api.ask("POST", f"/v1/customers/{customer}/lines", body)
        assert answer.status == 201, answer.body
        case = self.case(answer.json["invoice"])
        case.mine.add_line(half_away(Fraction(price), case.mine.digits), None)(answer.json["id"])
        self.compare(case)

    def change_customers_tax(self) -> None:
        """Another tax key of some customers from now on."""
        for key in CUSTOMERS:
            if self.dice.random() < 0.4:
                self.customers_tax[key] = self.dice.choice([None, *TAXES, LATE])
        self.ledger.apply(self.versions[-1]._replace(tax_of=self.customers_tax).toml)


Step = tuple[str, str, Any, Callable[[Answer], None]]


def opened(row: dict[str, Any]) -> Line:
    """A row of an open invoice, which has an amount only if it is rated at settlement."""
    amount = None if row["amount"] is None else Fraction(row["amount"])
    return Line(row["id"], row["kind"], row["agent_key"], amount, None)


def in_first_partition(key: str) -> str:
    """The key with as many letters as bring it there."""
    return key if crc32(key.encode()) % 2 == 0 else in_first_partition(f"{key}x")


def sums_of(head: dict[str, Any]) -> list[Any]:
    names = (
        "status",
        "subtotal",
        "credited",
        "tax",
        "tax_rows",
        "total",
        "balance_used",
        "due",
        "issue_date",
        "due_date",
    )
    return [head[name] for name in names]


def same_taxes(shown: list[dict[str, str]], taxes: Taxes, text: Callable[[Fraction], str]) -> bool:
    wanted = [(*(one or ("", Fraction(0))), text(taxable), text(tax)) for one, taxable, tax in taxes]
    return [(one["category"], Fraction(one["rate"]), one["taxable"], one["tax"]) for one in shown] == wanted


# -- what is done next -------------------------------------------------------------------------------------------------


def add_line(world: World, case: Case) -> Step:
    dice = world.dice
    price, quantity = dice.choice(PRICES), dice.choice(["1", "1", "2.5", "3", "0.001"])
    key = dice.choice([None, *TAXES, LATE]) if world.is_taxed else None
    body = {"description": "Line", "quantity": quantity, "unit_price": price} | maybe_dry(dice)
    amount = half_away(Fraction(price) * Fraction(quantity), case.mine.digits)

    def change(answer: Answer) -> None:
        case.mine.add_line(amount, key)(answer.json["id"] if answer.status == 201 else "")

    return "POST", f"/v1/invoices/{case.id}/lines", body | ({} if key is None else {"tax": key}), change


def remove_line(world: World, case: Case) -> Step:
    ids = [one.id for one in case.mine.manual]
    id_ = world.dice.choice(ids) if ids else "ab" * 32

    def change(_: Answer) -> None:
        if not ids:
            raise Refused
        case.mine.remove_line(id_)

    return "DELETE", f"/v1/invoices/{case.id}/lines/{id_}", None, change


def change_tax(world: World, case: Case) -> Step:
    dice = world.dice
    ids = [*case.mine.lines, *(one.id for one in case.mine.manual)]
    id_ = dice.choice(ids) if ids else "ab" * 32
    key = dice.choice([None, *TAXES, LATE]) if world.is_taxed else None
    body = {"tax": key, "reason": "r"} | maybe_dry(dice)

    def change(_: Answer) -> None:
        if not ids:
            raise Refused
        case.mine.change_tax(id_, key)

    return "PATCH", f"/v1/invoices/{case.id}/lines/{id_}", body, change


def credit(world: World, case: Case) -> Step:
    dice, mine = world.dice, case.mine
    amounts = {one.id: one.amount for one in mine.lines.values()} | {one.id: one.applied for one in mine.manual}
    # Most of the time rows that can be credited, and commitments above all.
    good = [id_ for id_ in sorted(amounts) if (amounts[id_] or 0) > mine.credited(id_)]
    good += [id_ for id_ in good if id_ in mine.lines and mine.lines[id_].kind == "commitment"] * 4
    ids = good if good and dice.random() < 0.8 else sorted(amounts)
    ids = list(dict.fromkeys(dice.sample(ids, k=min(len(ids), dice.randint(1, 3)))))
    wanted = {
        id_: dice.choice([None, None, case.unit, Fraction(1), (amounts[id_] or case.unit) - case.unit, amounts[id_]])
        if dice.random() < 0.5
        else case.unit * dice.randint(1, 1 + max(0, int((amounts[id_] or 0) / case.unit) // 2))
        for id_ in ids
    }
    wanted = {id_: amount if amount is None or amount > 0 else case.unit for id_, amount in wanted.items()}
    items = [{"line": id_} | ({} if some is None else {"amount": case.text(some)}) for id_, some in wanted.items()]

    def change(_: Answer) -> None:
        if not ids:
            raise Refused
        mine.credit(wanted)

    return "POST", f"/v1/invoices/{case.id}/credit-notes", {"items": items, "reason": "r"} | maybe_dry(dice), change


def issue(world: World, case: Case) -> Step:
    return "POST", f"/v1/invoices/{case.id}/issue", maybe_dry(world.dice), lambda _: case.mine.issue()


def pay(world: World, case: Case) -> Step:
    mine, dice = case.mine, world.dice
    if dice.random() < 0.3:
        return "POST", f"/v1/invoices/{case.id}/pay", None, lambda _: mine.pay(None)
    amount = dice.choice([case.unit, Fraction(2), (mine.due or 0) + case.unit, mine.due or Fraction(500)])
    body = {"amount": case.text(amount)}
    return "POST", f"/v1/invoices/{case.id}/payments", body, lambda _: mine.pay(amount)


def reverse(world: World, case: Case) -> Step:
    if not case.payments:
        return pay(world, case)
    number = world.dice.randrange(len(case.payments))
    path = f"/v1/invoices/{case.id}/payments/{case.payments[number]}/reverse"
    return "POST", path, None, lambda _: case.mine.reverse(number)


def refund(world: World, case: Case) -> Step:
    account = case.mine.account
    part = world.dice.choice([case.unit, account.balance or case.unit, account.balance + case.unit])
    body = {"amount": case.text(part), "currency": case.currency}
    return "POST", f"/v1/customers/{case.customer}/refunds", body, lambda _: account.refund(part)


def void(world: World, case: Case) -> Step:
    if world.dice.random() < 0.5:
        return revise(world, case)
    body = {"reason": "r"} | maybe_dry(world.dice)
    return "POST", f"/v1/invoices/{case.id}/void", body, lambda _: case.mine.cancel()


def revise(world: World, case: Case) -> Step:
    def change(_: Answer) -> None:
        if case.mine.status == "void":
            raise Refused
        case.mine.cancel()

    return "POST", f"/v1/invoices/{case.id}/revise", {"reason": "r"} | maybe_dry(world.dice), change


def maybe_dry(dice: random.Random) -> dict[str, bool]:
    return {"dry_run": True} if dice.random() < 0.1 else {}


OF_OPEN = [add_line, add_line, add_line, remove_line, credit, change_tax, issue]
OF_DRAFT = [add_line, add_line, remove_line, change_tax, change_tax, credit, credit, credit, issue]
OF_ISSUED = [credit, credit, credit, pay, reverse, refund, void]
OF_ALL = [*OF_DRAFT, *OF_ISSUED]


def next_step(world: World, case: Case) -> Step:
    """Most of the time something that can be done."""
    dice, mine = world.dice, case.mine
    if not mine.closed:
        return dice.choice(OF_OPEN)(world, case)
    likely = {"draft": OF_DRAFT, "issued": OF_ISSUED, "paid": OF_ISSUED}.get(mine.status, OF_ALL)
    return dice.choice(likely if dice.random() < 0.8 else OF_ALL)(world, case)


@contextmanager
def running(world: World, server: Server, directory: Path) -> Iterator[None]:
    world.renew()
    billing = BillingConfig(issue="manual")
    with api_server(server, directory, partitions=2, billing=billing, lease=5) as world.api:
        yield


def played(server: Server, directory: Path, seed: int) -> World:
    """One world from its catalogue to its audit."""
    server.call("FLUSHALL")
    world = World(server, directory, seed)
    dice = world.dice
    with running(world, server, directory):
        world.open_up()
        for _ in range(OPEN_STEPS if world.cases else 0):
            world.renew()
            case = dice.choice(list(world.cases.values()))
            world.act(case, next_step(world, case))
        world.close()
        for case in world.cases.values():
            world.compare(case)
        for number in range(STEPS if world.cases else 0):
            if number in (30, 70) and world.is_taxed:
                world.change_customers_tax()
            if number % 40 == 20:
                world.add_customers_line()
            case = dice.choice(list(world.cases.values()))
            world.act(case, next_step(world, case))
        for case in world.cases.values():
            world.compare(case)
        assert all(account.balance >= 0 for account in world.accounts.values())
    return world


@pytest.mark.parametrize("seed", [1, 2, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 13)]])
def test_every_document_is_what_the_rules_say(
    redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    assert redis_url
    monkeypatch.chdir(tmp_path)
    world = played(session_server, tmp_path, seed)
    assert world.done > STEPS // 4
    assert world.refused > STEPS // 10
    world.ledger.audited()
