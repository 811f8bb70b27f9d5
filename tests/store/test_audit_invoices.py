"""The audit of invoices: silent about what the biller and the operations made, loud about everything else."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.billing.harness import DAY, KEYS, BillingHarness, Confirmed, line
from tests.support.catalogues import replace_entries
from witnd.audit.invoices import check as audit_invoice
from witnd.audit.invoices import rows as audit_rows
from witnd.audit.invoices import run as audit_invoices
from witnd.audit.invoices.totals import InvoiceAudit
from witnd.audit.scope import Mismatch
from witnd.billing import biller, closer
from witnd.billing import closing as closing_
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.cancel import revise, void
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import Invoice, edition_id
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.operations import Series
from witnd.domain.invoices.payment import Received, pay, payment_id, reverse
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.outcomes.resolution import derived_id
from witnd.endpoint import endpoint
from witnd.store.access.change_log import Author
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.invoices.accounts import Refunded
from witnd.store.invoices.change import Operation
from witnd.store.invoices.codec import decode_invoice, decode_row, encode_row
from witnd.store.invoices.payment_codec import decode_payment, decode_refund, encode_payment, encode_refund
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.query.reads import open_reads
from witnd.store.records.json_record import encode_record
from witnd.store.records.line_position import LinePosition, line_digest
from witnd.store.server.connection import connect

START = 20_000 * DAY
CLOSED = "acme", "EUR", START
LATER = "acme", "EUR", START + DAY
OPEN = "acme", "EUR", START + 2 * DAY
OTHER = "globex", "EUR", START
INV, CN = Series(name="INV"), Series(name="CN")


@pytest.fixture
def till(redis_url: str) -> Iterator[BillingHarness]:
    with closing(BillingHarness(redis_url)) as made:
        yield made


def bill(till: BillingHarness) -> None:
    """Two closed periods and an open one, every kind of price, every stage, credits of both kinds."""
    till.confirm(
        [
            Confirmed(0, START + 5, "tiers-b", agent="tiers", unit="2"),
            Confirmed(1, START + 5, "tiers-a", agent="tiers", unit="2"),
            Confirmed(1, START + 6, "capped-c", agent="capped"),
            Confirmed(1, START + 7, "volume-d", agent="volume", unit="3"),
            Confirmed(0, START + 8, "volume-e", agent="volume", unit="3"),
            Confirmed(0, START + 9, "flat-f"),
            Confirmed(0, START + 10, "globex-g", customer="globex"),
            Confirmed(1, START + 11, "yen-h", currency="JPY"),
            Confirmed(0, START + DAY + 1, "flat-i", unit="4"),
            Confirmed(0, START + DAY + 1, "flat-j"),
            Confirmed(1, START + 2 * DAY + 1, "flat-k"),
            Confirmed(0, START + 2 * DAY + 2, "tiers-l", agent="tiers"),
            Confirmed(0, START + 2 * DAY + 3, "flat-m", unit="2"),
            Confirmed(0, START + 2 * DAY + 4, "globex-n", customer="globex"),
        ]
    )
    till.applied(START + 2 * DAY)
    till.work(automatic=False)
    heads = till.invoices()
    do(till, heads[OPEN], crediting("flat-k", "0.50"), "flat-k")
    do(till, heads[CLOSED], issuing)
    do(till, heads[CLOSED], crediting("flat-f", "0.40"), "flat-f")
    do(till, heads[CLOSED], crediting("flat-f", "0.30"), "flat-f")
    do(till, heads[CLOSED], paying("3.00"))
    do(till, heads[CLOSED], reversing(0))
    do(till, heads[CLOSED], paying("30.00"))
    do(till, heads[CLOSED], crediting("flat-f", "0.20"), "flat-f")
    refunded(till, Decimal(till.redis.hget(KEYS.balance, "EUR:acme").decode()) - 1)
    do(till, heads[LATER], crediting("flat-j", "0.25"), "flat-j")
    do(till, heads[LATER], issuing)
    do(till, heads["acme", "JPY", START], issuing)
    do(till, heads["acme", "JPY", START], lambda seen: revise(seen.invoice, seen.balance, "wrong", CN, seen.today))
    do(till, second(till), issuing)
    do(till, second(till), lambda seen: void(seen.invoice, seen.balance, "sent twice", CN, seen.today))


def second(till: BillingHarness) -> Invoice:
    """The second edition of the invoice in yen."""
    first = till.invoices()["acme", "JPY", START]
    fields = till.redis.hgetall(KEYS.invoice(edition_id(first, 2)))
    found = decode_invoice(edition_id(first, 2), fields)
    assert found is not None
    return found


def issuing(seen: Any) -> Any:
    data = IssueData(customer_name=seen.invoice.customer_key)  # the catalogue has no customers
    return issue(seen.invoice, seen.balance, INV, seen.at, IssueTerms(data=data), today=seen.today)


def paying(amount: str) -> Callable[[Any], Any]:
    given = Received(amount=Decimal(amount), date="2024-10-05", method="transfer")
    return lambda seen: pay(seen.invoice, given, seen.balance, today="2024-10-05", at=seen.at)


def reversing(number: int) -> Callable[[Any], Any]:
    return lambda seen: reverse(
        seen.invoice, seen.payments, payment_id(seen.invoice.id, number), seen.balance, today="2024-10-06", at=seen.at
    )


def refunded(till: BillingHarness, amount: Decimal) -> None:
    async def once() -> None:
        async with connect(till.url) as client:
            done = await Invoices(client, KEYS, till.partitions).accounts.refund(
                "acme", "EUR", 2, Received(amount=amount), token=None,
                logged=lambda _: Author(who="test", source="cli").change("customer.refund", "acme"),
            )  # fmt: skip
            assert isinstance(done, Refunded), done

    asyncio.run(once())


def crediting(key: str, amount: str) -> Callable[[Any], Any]:
    def decide(seen: Any) -> Any:
        row = ROWS[key]
        item = Item(row=row, credited=seen.credited(row.id), amount=Decimal(amount))
        return credit(
            seen.invoice,
            [item],
            "wrong",
            balance=seen.balance,
            series=CN,
            at=seen.at,
            today=seen.today,
            table=TaxTable(),
        )

    return decide


ROWS: dict[str, Any] = {}


def do(till: BillingHarness, invoice: Invoice, decide: Callable[[Any], Any], key: str | None = None) -> None:
    head = till.invoices().get((invoice.customer_key, invoice.currency, invoice.start), invoice)
    ROWS.update({row.outcome_key or "": row for row in till.rows(head)})

    async def once() -> None:
        async with connect(till.url) as client:
            done = await Invoices(client, KEYS, till.partitions).do(
                invoice.id, decide, rows=[derived_id("line", key)] if key else []
            )
            assert isinstance(done, Operation), done

    asyncio.run(once())


def audited(till: BillingHarness, *, quick: bool = False) -> InvoiceAudit:
    return asyncio.run(_audited(till, quick))


async def _audited(till: BillingHarness, quick: bool) -> InvoiceAudit:
    server = endpoint(till.url)
    async with connect(till.url) as client, open_reads(server) as reads:
        catalogue, store = Catalogue(), CatalogueStore(client, GlobalKeys("witn"), till.partitions)

        async def learn() -> Catalogue:
            await store.load(catalogue)
            return catalogue

        partitions = [Keys("witn", number) for number in range(till.partitions)]
        return await audit_invoices.audit_invoices(reads, KEYS, partitions, learn, quick=quick, progress=lambda _: None)


def clean(books: InvoiceAudit) -> bool:
    return books.exact and not books.differences and not books.difference_count


@pytest.mark.parametrize("quick", [False, True])
def test_what_the_biller_and_the_operations_made_is_clean_and_adds_up(till: BillingHarness, quick: bool) -> None:
    bill(till)
    before = till.redis.execute_command("DEBUG", "DIGEST")
    books = audited(till, quick=quick)
    assert clean(books), books.differences
    assert till.redis.execute_command("DEBUG", "DIGEST") == before
    euro, yen = books.sums["EUR"], books.sums["JPY"]
    heads = till.invoices().values()
    assert {stage: (one.invoices, one.lines) for stage, one in euro.stages.items()} == {
        "paid": (1, 6), "issued": (1, 2), "draft": (1, 1), "open": (2, 4)
    }  # fmt: skip
    assert (euro.lines, euro.waiting) == (13, 0)
    assert sum(one.subtotal for one in euro.stages.values()) == euro.settled + euro.added
    assert sum(one.subtotal for one in euro.stages.values()) == sum(h.subtotal for h in heads if h.currency == "EUR")
    assert euro.added == Decimal("18.35")
    assert (euro.notes, euro.noted) == (3, Decimal("0.9"))
    assert (euro.balances, euro.balance) == (0, 0)  # the next invoice has used it
    assert (yen.stages["void"].invoices, yen.stages["void"].subtotal) == (1, 11), "a revised one is left out"


def test_a_biller_that_never_ran_leaves_all_lines_waiting(till: BillingHarness) -> None:
    till.confirm([Confirmed(0, START, "flat-1"), Confirmed(1, START, "tiers-2", agent="tiers")])
    books = audited(till)
    assert clean(books)
    assert (books.sums["EUR"].lines, books.sums["EUR"].waiting) == (2, 2)
    till.work()
    till.confirm([Confirmed(0, START + 1, "flat-3")])
    books = audited(till)
    assert clean(books)
    assert (books.sums["EUR"].lines, books.sums["EUR"].waiting, books.sums["EUR"].stages["open"].lines) == (3, 1, 2)


def test_nothing_at_all_is_clean(till: BillingHarness) -> None:
    assert clean(audited(till))


def test_large_invoices_are_judged_in_pages(till: BillingHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    bill(till)
    monkeypatch.setattr(audit_invoice, "PAGE", 2)
    monkeypatch.setattr(audit_invoices, "PAGE", 2)
    monkeypatch.setattr(audit_invoices, "COMMANDS_MAX", 1)
    monkeypatch.setattr(audit_rows, "MAX_KEPT_ROWS", 1)
    assert clean(audited(till))


# -- what was changed --------------------------------------------------------------------------------------------------


def head(till: BillingHarness, place: tuple[str, str, int], *words: Any) -> None:
    till.redis.hset(KEYS.invoice(till.invoices()[place].id), *words)


def rows(till: BillingHarness, name: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    stored = till.redis.lrange(name, 0, -1)
    till.redis.delete(name)
    changed = change(stored)
    if changed:
        till.redis.rpush(name, *changed)


def closed_rows(till: BillingHarness, change: Callable[[list[bytes]], list[bytes]]) -> None:
    rows(till, KEYS.lines(till.invoices()[CLOSED].id), change)


def altered(place: int, **members: Any) -> Callable[[list[bytes]], list[bytes]]:
    def change(stored: list[bytes]) -> list[bytes]:
        row = decode_row(stored[place])
        stored[place] = encode_row(msgspec.structs.replace(row, **members))
        return stored

    return change


def open_rows(till: BillingHarness, change: Callable[[list[bytes]], list[bytes]]) -> None:
    rows(till, KEYS.rows(till.invoices()[OPEN].id, 0), change)


def copied(till: BillingHarness) -> None:
    """A row of the closed invoice is in another one too."""
    row = till.redis.lindex(KEYS.lines(till.invoices()[CLOSED].id), 5)
    till.redis.rpush(KEYS.lines(till.invoices()[OTHER].id), row)


def moved(till: BillingHarness) -> None:
    """A line is in the draft of another period."""
    source, target = (KEYS.rows(till.invoices()[place].id, 0) for place in (OPEN, OPEN))
    row = decode_row(till.redis.lindex(source, 0))
    till.redis.lset(target, 0, encode_row(msgspec.structs.replace(row, resolved_at=START + 3 * DAY)))


def note(till: BillingHarness, *words: Any) -> None:
    [id_, *_] = till.redis.zrange(KEYS.notes, 0, -1)
    till.redis.hset(KEYS.note(id_.decode()), *words)


def payments(till: BillingHarness, change: Callable[[list[bytes]], list[bytes]]) -> None:
    rows(till, KEYS.payments(till.invoices()[CLOSED].id), change)


def entry(record: bytes, **members: Any) -> bytes:
    return encode_payment(msgspec.structs.replace(decode_payment(record), **members))


def refund(till: BillingHarness, **members: Any) -> bytes:
    stored = decode_refund("acme", 0, till.redis.lindex(KEYS.refunds("acme"), 0))
    return encode_refund(msgspec.structs.replace(stored, **members))


Tamper = Callable[[BillingHarness], Any]
TAMPERED: dict[str, tuple[Tamper, tuple[Any, str, str]]] = {
    "a row of a closed invoice is gone": (
        lambda t: closed_rows(t, lambda stored: stored[1:]), (CLOSED, "tiers-a", "row")),
    "a row of a draft is gone": (lambda t: open_rows(t, lambda stored: stored[1:]), (OPEN, "tiers-l", "row")),
    "all rows of a draft are gone": (lambda t: open_rows(t, lambda stored: []), (OPEN, "flat-m", "row")),
    "a row is there twice": (lambda t: open_rows(t, lambda stored: [*stored, stored[-1]]), (OPEN, "flat-m", "row")),
    "a row is in another invoice too": (copied, (OTHER, "flat-f", "row")),
    "a row resolved in another period": (moved, (OPEN, "tiers-l", "row: resolved_at")),
    "rows of a closed invoice changed places": (
        lambda t: closed_rows(t, lambda stored: [stored[1], stored[0], *stored[2:]]),
        (CLOSED, "tiers-a", "place of the row")),
    "an amount that came with the line": (
        lambda t: closed_rows(t, altered(5, amount="100.00")), (CLOSED, "flat-f", "row: amount")),
    "an exact amount of a draft": (
        lambda t: open_rows(t, altered(1, amount_exact="1.9")), (OPEN, "flat-m", "row: amount_exact")),
    "a unit": (lambda t: open_rows(t, altered(0, unit="9")), (OPEN, "tiers-l", "row: unit")),
    "an amount of a tier": (
        lambda t: closed_rows(t, altered(0, amount="2.02")), (CLOSED, "tiers-a", "row: amount")),
    "a working": (lambda t: closed_rows(t, altered(0, working={})), (CLOSED, "tiers-a", "row: working")),
    "an amount before its time": (
        lambda t: open_rows(t, altered(0, amount="1.00")), (OPEN, "", "amounts of the rows")),
    "a minimum": (lambda t: closed_rows(t, altered(6, amount="1.00")), (CLOSED, "", "row ")),
    "a fee is gone": (lambda t: closed_rows(t, lambda stored: stored[:-1]), (CLOSED, "", "row ")),
    "a row that is none": (lambda t: open_rows(t, lambda stored: [*stored, b"\xc1"]), (OPEN, "", "row 2 of ")),
    "a subtotal of a closed invoice": (lambda t: head(t, CLOSED, "subtotal", "20"), (CLOSED, "", "subtotal")),
    "a subtotal of a draft": (lambda t: head(t, OPEN, "subtotal", "20"), (OPEN, "", "subtotal")),
    "a count of lines": (lambda t: head(t, OPEN, "lines", 7), (OPEN, "", "lines")),
    "a count of rows without an amount": (lambda t: head(t, OPEN, "unrated", 0), (OPEN, "", "unrated")),
    "the customer": (lambda t: head(t, OPEN, "customer_key", "globex"), (OPEN, "", "id")),
    "the currency": (lambda t: head(t, OPEN, "currency", "JPY"), (OPEN, "", "id")),
    "the end of the period": (lambda t: head(t, OPEN, "end", START + 9 * DAY), (OPEN, "", "end of the period")),
    "the start of the period": (lambda t: head(t, OPEN, "start", START), (OPEN, "", "id")),
    "the kind of the period": (lambda t: head(t, OPEN, "period", "week"), (OPEN, "", "kind of period")),
    "a head that cannot be read": (lambda t: head(t, OPEN, "subtotal", "much"), (OPEN, "", "invoice")),
    "a subtotal that is no number": (lambda t: head(t, OPEN, "subtotal", "NaN"), (OPEN, "", "invoice")),
    "a period at no time": (lambda t: head(t, OPEN, "start", 10**20), (OPEN, "", "invoice")),
    "listed at no time": (
        lambda t: t.redis.zadd(KEYS.invoices, {t.invoices()[OPEN].id: "inf"}),
        (OPEN, "", "place in the list of invoices"),
    ),
    "a balance that is no number": (
        lambda t: t.redis.hset(KEYS.balance, "EUR:acme", "much"),
        (None, "", "balance of acme in EUR"),
    ),
    "a credit that is none": (
        lambda t: rows(t, KEYS.credits(t.invoices()[OPEN].id), lambda stored: [b"\xc1"]),
        (OPEN, "", "credit 0"),
    ),
    "a credit note that is none": (lambda t: note(t, "rows", "x"), (CLOSED, "", "credit note ")),
    "no head": (lambda t: t.redis.delete(KEYS.invoice(t.invoices()[OPEN].id)), (None, "", "invoice")),
    "a total": (lambda t: head(t, LATER, "total", "1"), (LATER, "", "total")),
    "what the balance paid": (lambda t: head(t, LATER, "balance_used", "0"), (None, "", "balance of acme in EUR")),
    "a status that is not due": (
        lambda t: (head(t, LATER, "status", "paid"), head(t, LATER, "paid_at", 5)), (LATER, "", "status where")),
    "a due date": (lambda t: head(t, LATER, "due_date", "2030-01-01"), (LATER, "", "due_date")),
    "an issue date": (lambda t: head(t, LATER, "issue_date", "2030-01-01"), (LATER, "", "issue_date")),
    "a payment is gone": (
        lambda t: t.redis.rpop(KEYS.payments(t.invoices()[CLOSED].id)), (CLOSED, "", "payments_total")),
    "a reversal is gone": (lambda t: payments(t, lambda found: [found[0], found[2]]), (CLOSED, "", "payments_total")),
    "a reversal of nothing": (
        lambda t: payments(t, lambda found: [found[1], *found]), (CLOSED, "", "payment that entry 0 reverses")),
    "a reversal of another amount": (
        lambda t: payments(t, lambda found: [found[0], entry(found[1], amount=Decimal(2)), found[2]]),
        (CLOSED, "", "reversal 1")),
    "the amount of a payment": (
        lambda t: payments(t, lambda found: [*found[:2], entry(found[2], amount=Decimal(31))]),
        (CLOSED, "", "payments_total")),
    "more is applied than was paid": (
        lambda t: payments(t, lambda found: [*found[:2], entry(found[2], applied=Decimal(31))]),
        (CLOSED, "", "payment 2: applied")),
    "a payment that is none": (lambda t: payments(t, lambda found: [*found[:2], b"x"]), (CLOSED, "", "payment 2")),
    "what payments applied": (lambda t: head(t, CLOSED, "payments_applied", "0"), (CLOSED, "", "payments_applied")),
    "what was paid": (lambda t: head(t, CLOSED, "payments_total", "40"), (None, "", "balance of acme in EUR")),
    "a count of payments": (lambda t: head(t, CLOSED, "live_payments", 0), (CLOSED, "", "live_payments")),
    "a count of entries": (lambda t: head(t, CLOSED, "payment_entries", 2), (CLOSED, "", "payment_entries")),
    "what a credit note applied": (
        lambda t: note(t, "applied", "0.1"), (CLOSED, "", "notes_applied")),
    "more is applied than was noted": (
        lambda t: note(t, "applied", "9"), (CLOSED, "", "credit note CN-000001: applied")),
    "what credit notes applied": (lambda t: head(t, CLOSED, "notes_applied", "0"), (CLOSED, "", "notes_applied")),
    "a refund is gone": (lambda t: t.redis.delete(KEYS.refunds("acme")), (None, "", "balance of acme in EUR")),
    "the amount of a refund": (
        lambda t: t.redis.lset(KEYS.refunds("acme"), 0, refund(t, amount=Decimal(1))),
        (None, "", "balance of acme in EUR")),
    "a refund that is none": (
        lambda t: t.redis.lset(KEYS.refunds("acme"), 0, b"x"), (None, "", "refund 0 of acme")),
    "the digits of a balance": (
        lambda t: t.redis.delete(KEYS.currencies("acme")), (None, "", "digits of balance of acme in EUR")),
    "the next edition": (
        lambda t: t.redis.hdel(KEYS.invoice(t.invoices()["acme", "JPY", START].id), "revised_by"),
        (None, "", "")),
    "the edition before": (
        lambda t: t.redis.hset(KEYS.invoice(second(t).id), "revises", "ab" * 32), ("", "", "revises")),
    "the rows of an edition": (
        lambda t: t.redis.delete(KEYS.lines(second(t).id)), (None, "yen-h", "row")),
    "the balance of a void one": (
        lambda t: t.redis.hset(KEYS.invoice(second(t).id), "balance_used", "1"),
        (None, "", "balance_used of a void invoice")),
    "what was credited": (lambda t: head(t, LATER, "credited", "0"), (LATER, "", "credited")),
    "what was noted": (lambda t: head(t, CLOSED, "noted", "0"), (CLOSED, "", "noted")),
    "a status": (lambda t: head(t, LATER, "status", "paid"), (LATER, "", "paid_at where the status is paid")),
    "a status that there is not": (lambda t: head(t, LATER, "status", "lost"), (LATER, "", "status")),
    "a draft again": (lambda t: head(t, LATER, "status", "draft"), (LATER, "", "number of a draft")),
    "a revision": (lambda t: head(t, LATER, "revision", 9), (LATER, "", "revision")),
    "more is credited than the row asks for": (
        lambda t: rows(t, KEYS.credits(t.invoices()[OPEN].id), altered(0, amount="-1.50")),
        (OPEN, "flat-k", "credits of row ")),
    "a credit of a row that is not there": (
        lambda t: rows(t, KEYS.credits(t.invoices()[OPEN].id), altered(0, corrects="ab" * 32)),
        (OPEN, "flat-k", "row ")),
    "a credit is gone": (lambda t: t.redis.delete(KEYS.credits(t.invoices()[LATER].id)), (LATER, "", "credited")),
    "what was credited of a row": (
        lambda t: t.redis.delete(KEYS.credited(t.invoices()[LATER].id)), (LATER, "flat-j", "credited of row ")),
    "a credit note is gone": (
        lambda t: t.redis.delete(KEYS.note(t.redis.zrange(KEYS.notes, 0, 0)[0].decode())),
        (CLOSED, "", "credit note ")),
    "the amount of a credit note": (lambda t: note(t, "amount", "5"), (CLOSED, "", "credit note CN-000001: amount")),
    "the customer of a credit note": (
        lambda t: note(t, "customer_key", "globex"), (CLOSED, "", "credit note CN-000001: customer_key")),
    "a note that is not listed": (
        lambda t: t.redis.zremrangebyrank(KEYS.notes, 0, 0), (CLOSED, "", "credit note CN-000001 in the list")),
    "a balance": (lambda t: t.redis.hset(KEYS.balance, "EUR:acme", "3"), (None, "", "balance of acme in EUR")),
    "a balance of nobody": (
        lambda t: t.redis.hset(KEYS.balance, "EUR:globex", "3"), (None, "", "balance of globex in EUR")),
    "a balance below nothing": (
        lambda t: t.redis.hset(KEYS.balance, "EUR:acme", "-3"), (None, "", "balance of acme in EUR")),
    "a number is free again": (lambda t: t.redis.hdel(KEYS.numbers, "INV-000002"), (None, "", "number INV-000002")),
    "a number was given twice": (
        lambda t: t.redis.hset(KEYS.numbers, "INV-000002", t.invoices()[CLOSED].id), (None, "", "number INV-000002")),
    "a number was left out": (lambda t: t.redis.hincrby(KEYS.series, "INV", 1), (None, "", "number INV-000005")),
    "a number nobody gave": (lambda t: t.redis.hset(KEYS.numbers, "INV-9", "ab"), (None, "", "number INV-9")),
    "a counter that went back": (lambda t: t.redis.hincrby(KEYS.series, "INV", -1), (None, "", "number INV-000004")),
    "a first number": (
        lambda t: t.redis.hset(KEYS.first_numbers, "INV", 2), (None, "", "number INV-000001")),
    "a number on the invoice": (lambda t: head(t, LATER, "number", "INV-7"), (LATER, "", "number INV-7")),
    "not listed": (
        lambda t: t.redis.zrem(KEYS.invoices, t.invoices()[OPEN].id), (OPEN, "", "place in the list of invoices")),
    "listed at another time": (
        lambda t: t.redis.zadd(KEYS.invoices, {t.invoices()[OPEN].id: START}),
        (OPEN, "", "place in the list of invoices")),
    "not listed with its customer": (
        lambda t: t.redis.zrem(KEYS.customer("acme"), t.invoices()[OPEN].id),
        (OPEN, "", "place in the list of its customer")),
    "listed with another customer": (
        lambda t: t.redis.zadd(KEYS.customer("globex"), {t.invoices()[OPEN].id: START}), (None, "", "")),
    "an open draft that is not listed": (
        lambda t: t.redis.zrem(KEYS.open, t.invoices()[OPEN].id), (OPEN, "", "place in the list of open drafts")),
    "a closed one among the open ones": (
        lambda t: t.redis.zadd(KEYS.open, {t.invoices()[CLOSED].id: START}),
        (CLOSED, "", "place in the list of open drafts")),
    "a closed draft that is not listed": (
        lambda t: t.redis.zrem(KEYS.to_issue, t.invoices()[OTHER].id),
        (OTHER, "", "place in the list of drafts to be issued")),
    "an issued one that is to be issued": (
        lambda t: t.redis.zadd(KEYS.to_issue, {t.invoices()[LATER].id: START}),
        (LATER, "", "place in the list of drafts to be issued")),
    "nothing that is to be issued": (lambda t: t.redis.zadd(KEYS.to_issue, {"ab" * 32: 1}), (None, "", "abab")),
    "rows of no invoice": (lambda t: t.redis.rpush(KEYS.rows("ab" * 32, 0), "x"), (None, "", "key ")),
    "rows of a partition that there is not": (
        lambda t: t.redis.rpush(KEYS.rows(t.invoices()[OPEN].id, 7), "x"), (None, "", "key ")),
    "rows of a draft that is closed": (
        lambda t: t.redis.rpush(KEYS.rows(t.invoices()[CLOSED].id, 0), "x"), (CLOSED, "", "rows of a draft")),
    "closed rows of a draft": (
        lambda t: t.redis.rpush(KEYS.lines(t.invoices()[OPEN].id), "x"), (None, "", "key ")),
    "an invoice without lines": (
        lambda t: (
            t.redis.hset(KEYS.invoice("ab" * 32), mapping=t.redis.hgetall(KEYS.invoice(t.invoices()[OPEN].id))),
            t.redis.zadd(KEYS.invoices, {"ab" * 32: START + 2 * DAY}),
        ),
        ("ab" * 32, "", "id")),
    "a draft that was left behind": (
        lambda t: t.redis.hset(KEYS.state, "closed_to", START + 9 * DAY), (OPEN, "", "closed")),
    "a position that went back": (
        lambda t: t.redis.hset(KEYS.state, "read:0", position(t, 0, 7)), (OPEN, "flat-m", "row")),
    "a last line that is another": (
        lambda t: t.redis.hset(KEYS.state, "read:0", "8 ab"), (None, "", "line 8 ")),
    "a line that was taken away": (
        lambda t: t.redis.xdel("witn:{1}:lines", t.redis.xrange("witn:{1}:lines")[0][0]), (CLOSED, "tiers-a", "row")),
    "the last line was taken away": (
        lambda t: t.redis.xtrim("witn:{1}:lines", maxlen=0), (None, "", "line ")),
    "a line that nobody can read": (
        lambda t: (t.redis.delete("witn:{1}:lines"), t.redis.xadd("witn:{1}:lines", {"data": "{"}, id="1-0")),
        (None, "", "line at ")),
    "a line of a newer version": (
        lambda t: t.write(0, b'{"v":2}'), (None, "", "line at ")),
    "ids of the rows of a closed invoice": (
        lambda t: t.redis.sadd(KEYS.row_ids(t.invoices()[CLOSED].id), "x"), (None, "", "key ")),
    "no calendar": (lambda t: t.redis.hdel(KEYS.state, "calendar"), (None, "", "calendar of the biller")),
    "no prices": (lambda t: replace_entries(t.redis, slice(1, None)), (CLOSED, "", "price ")),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_is_found_and_named(till: BillingHarness, name: str) -> None:
    bill(till)
    tamper, (place, key, what) = TAMPERED[name]
    ids = {where: one.id for where, one in till.invoices().items()}
    tamper(till)
    books = audited(till)
    assert books.difference_count == len(books.differences) > 0
    invoice = "" if place is None else ids.get(place, place)
    assert any(told(one, invoice, key, what) for one in books.differences), books.differences
    assert all(one.partition is None and one.remedy for one in books.differences)


def told(one: Mismatch, invoice: str, key: str, what: str) -> bool:
    return one.key == key and one.what.startswith(what) and (not invoice or one.invoice == invoice)


@pytest.mark.parametrize(
    "name",
    [
        "a row of a closed invoice is gone",
        "a row is in another invoice too",
        "a subtotal of a closed invoice",
        "a total",
        "a balance",
        "a number is free again",
        "what was credited",
    ],
)
def test_the_sums_alone_find_what_does_not_add_up(till: BillingHarness, name: str) -> None:
    bill(till)
    TAMPERED[name][0](till)
    assert audited(till, quick=True).difference_count


def test_a_line_of_a_closed_period_that_nobody_collected_is_found(till: BillingHarness) -> None:
    bill(till)
    till.write(0, encode_record(late("late-1")))
    assert ("late-1", "line") in {(one.key, one.what) for one in audited(till).differences}


def test_lines_out_of_order_are_found(till: BillingHarness) -> None:
    bill(till)
    number = till.write(0, encode_record(late("late-1")))
    till.redis.hset(KEYS.state, "read:0", position(till, 0, number))
    found = {(one.key, one.what.split()[0]) for one in audited(till).differences}
    assert ("late-1", "place") in found


def position(till: BillingHarness, partition: int, number: int) -> str:
    """The biller's position behind a line."""
    [(_, fields)] = till.redis.xrange(Keys("witn", partition).lines, f"{number}-0", f"{number}-0")
    return str(LinePosition(number, line_digest(fields[b"data"])))


def late(key: str) -> object:
    return line(Confirmed(0, START + 1, key))


# -- while others work -------------------------------------------------------------------------------------------------


def test_lines_that_are_collected_meanwhile_are_no_difference(
    till: BillingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two looks at invoices the biller collects more, closes a period, and an operation is done."""
    bill(till)
    made = 0
    ask = audit_invoices.snapshot_commands

    def busy(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        if made <= 12:
            at = START + (2 if made < 9 else 3) * DAY + 100 * made
            new = [Confirmed(made % 2, at, f"more-{made}", customer=f"customer-{made % 5}")]
            till.confirm([*new, Confirmed(made % 2, at, f"mere-{made}", agent="tiers")])
            if made == 9:
                till.applied(at)
            beside.submit(till.work, automatic=False).result(20)
        return ask(*arguments)

    monkeypatch.setattr(audit_invoices, "COMMANDS_MAX", 1)
    monkeypatch.setattr(audit_invoices, "snapshot_commands", busy)
    with ThreadPoolExecutor(1) as beside:
        books = audited(till)
    assert made > 9
    assert all(one.closed for one in till.invoices().values() if one.start == OPEN[2])
    assert clean(books), books.differences


def test_between_any_two_steps_of_the_biller_there_is_no_difference(
    till: BillingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies at each of its commits, also in the middle of an invoice that is being closed."""
    monkeypatch.setattr(biller, "STEP_LINES", 3)
    monkeypatch.setattr(closer, "STEP_ROWS", 3)
    monkeypatch.setattr(closer, "MAX_BUFFERED_ROWS", 4)
    monkeypatch.setattr(closing_, "PAGE", 2)
    till.confirm(
        [
            Confirmed(n % 2, START + n * DAY // 8, f"outcome-{n:02}", agent=("flat", "tiers")[n % 3 == 0], customer=who)
            for n, who in enumerate(["acme"] * 8 + ["globex", "acme"] * 5)
        ]
    )
    till.work(cut=3)
    assert clean(audited(till))
    till.work()
    till.applied(START + 9 * DAY)
    writing = 0  # times that it died within an invoice
    for cut in range(1, 40):
        done = till.work(cut=cut, automatic=False)
        writing += bool(till.redis.hget(KEYS.state, "closing"))
        books = audited(till)
        assert clean(books), books.differences
        if done < cut:
            break
    assert writing
    assert books.sums["EUR"].stages.keys() == {"draft"}


def test_an_invoice_that_changes_while_it_is_looked_at_is_looked_at_again(
    till: BillingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill(till)
    looked = 0
    check = audit_invoice.check_references

    async def busy(reads: Any, keys: Any, invoice: Invoice, findings: Any) -> bool:
        nonlocal looked
        if invoice.customer_key == "globex" and invoice.start == START:
            looked += 1
            if looked == 1:
                async with connect(till.url) as client:
                    done = await Invoices(client, KEYS, till.partitions).do(invoice.id, issuing)
                    assert isinstance(done, Operation)
        return await check(reads, keys, invoice, findings)

    monkeypatch.setattr(audit_invoice, "check_references", busy)
    books = audited(till)
    assert looked == 2
    assert clean(books), books.differences
    assert books.sums["EUR"].stages["issued"].invoices == 2


def test_an_invoice_that_always_changes_is_said_not_to_be_judged(
    till: BillingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill(till)

    async def moved_(self: object, invoice: Invoice) -> bool:
        return invoice.customer_key == "globex"

    monkeypatch.setattr(audit_invoice.InvoiceChecker, "_has_changed", moved_)
    books = audited(till)
    assert not books.exact
    assert not books.differences
