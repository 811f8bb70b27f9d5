"""Invoices on a real server: read in pages, and changed only from what was read, once."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from tests.support.invoices import CALENDAR, DAY_MS, NOVEMBER, TERMS, close, draft, outcome_row, stored_data, write
from tests.support.server import Server
from witnd.app.outcomes.view import on_invoice
from witnd.billing.scheduled import ScheduledOperations
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.cancel import revise, void
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.manual import NewLine, add_line
from witnd.domain.invoices.operations import Change, CreditNote, Decision, Refusal, Series, Unchanged
from witnd.domain.invoices.payment import Received, Refund, pay, reverse
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.outcomes.resolution import Line, derived_id
from witnd.domain.values import instant
from witnd.domain.values.period import Calendar
from witnd.domain.values.period_text import parse_period
from witnd.store.access.change_log import Author
from witnd.store.errors import DamagedInvoice, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.invoices import change as invoice_change
from witnd.store.invoices import reads as invoices
from witnd.store.invoices import rows as invoice_rows
from witnd.store.invoices.accounts import Refunded
from witnd.store.invoices.change import Operation, Operations
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.codec import encode_row
from witnd.store.invoices.note_codec import decode_note
from witnd.store.invoices.reads import Ambiguous, InvoiceFilter, Invoices
from witnd.store.keys import BillingKeys
from witnd.store.page import InvalidCursor
from witnd.store.server.connection import connect

KEYS = BillingKeys("witn")
ROWS = [outcome_row("ticket-1", "6.00"), outcome_row("ticket-2", "4.00")]


INV, CN = Series(name="INV"), Series(name="CN")


def issuing(seen: Snapshot) -> Decision:
    return issue(seen.invoice, seen.balance, INV, seen.at, TERMS, today=seen.today)


def paying(seen: Snapshot) -> Decision:
    return pay(seen.invoice, None, seen.balance, today=seen.today.date, at=seen.at)


def receiving(amount: str) -> Callable[[Snapshot], Decision]:
    given = Received(amount=Decimal(amount), date="2026-11-15", method="transfer")
    return lambda seen: pay(seen.invoice, given, seen.balance, today=seen.today.date, at=seen.at)


def reversing(payment: str) -> Callable[[Snapshot], Decision]:
    return lambda seen: reverse(seen.invoice, seen.payments, payment, seen.balance, today=seen.today.date, at=seen.at)


def voiding(seen: Snapshot) -> Decision:
    return void(seen.invoice, seen.balance, "sent twice", CN, seen.today)


def revising(seen: Snapshot) -> Decision:
    return revise(seen.invoice, seen.balance, "wrong price", CN, seen.today)


def crediting(row: Row, amount: str | None = None) -> Callable[[Snapshot], Decision]:
    return crediting_all([row], amount)


def crediting_all(rows: Sequence[Row], amount: str | None = None) -> Callable[[Snapshot], Decision]:
    """Credit the amount of each row."""

    def decide(seen: Snapshot) -> Decision:
        given = None if amount is None else Decimal(amount)
        items = [Item(row=row, credited=seen.credited(row.id), amount=given) for row in rows]
        return credit(
            seen.invoice,
            items,
            "wrong",
            balance=seen.balance,
            series=CN,
            at=seen.at,
            today=seen.today,
            table=TaxTable(),
        )

    return decide


async def refund(store: Invoices, amount: str, token: str | None = None) -> Refunded | Refusal:
    def logged(refund: Refund) -> Any:
        return Author(who="test", source="cli").change("customer.refund", "acme", after={"id": refund.id})

    given = Received(amount=Decimal(amount), date="2026-11-20")
    return await store.accounts.refund("acme", "EUR", 2, given, token=token, logged=logged)


def decided(seen: Snapshot | None, decide: Callable[[Snapshot], Decision]) -> tuple[Snapshot, Change]:
    assert seen is not None
    verdict = decide(seen)
    assert isinstance(verdict, Change)
    return seen, verdict


@pytest.fixture
def store(client: Redis) -> Invoices:
    return Invoices(client, KEYS, 1)


@pytest.fixture
def operations(client: Redis) -> Operations:
    return Operations(client, KEYS)


async def done(store: Invoices, id_: str, decide: Callable[[Snapshot], Decision], **more: Any) -> Operation:
    found = await store.do(id_, decide, **more)
    assert isinstance(found, Operation), found
    return found


async def snapshot(client: Redis) -> dict[bytes, Any]:
    """All of Redis, to see that nothing has changed."""
    return await stored_data(client, "*")


class TestOperations:
    async def test_a_closed_draft_is_issued_under_the_next_number(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        other = await write(client, draft("other", ROWS), ROWS)

        first, second = [await done(store, each.id, issuing) for each in (one, other)]

        assert (first.made, second.made) == ("INV-000001", "INV-000002")
        assert await store.get(one.id) == first.invoice
        assert (first.invoice.status, first.invoice.total, first.invoice.number) == ("issued", 10, "INV-000001")
        assert first.invoice.issued_at == first.at
        seconds, _ = await client.time()
        assert abs(first.at - seconds * 1000) < 60_000
        assert not await client.exists(KEYS.to_issue)
        assert await client.hgetall(KEYS.numbers) == {b"INV-000001": one.id.encode(), b"INV-000002": other.id.encode()}

    async def test_it_is_paid(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await done(store, one.id, issuing)

        paid = await done(store, one.id, paying)

        assert (paid.invoice.status, paid.invoice.paid_at, paid.invoice.revision) == ("paid", paid.at, 2)
        assert isinstance(await store.do(one.id, paying), Unchanged)

    async def test_a_void_one_keeps_its_number_and_says_why(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await done(store, one.id, issuing)

        voided = (await done(store, one.id, voiding)).invoice

        assert (voided.status, voided.reason, voided.number) == ("void", "sent twice", "INV-000001")
        assert voided.voided_at is not None
        assert await client.hget(KEYS.series, "INV") == b"1"

    async def test_a_credit_before_issuing_is_a_row(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)

        made = await done(store, one.id, crediting(ROWS[0], "1.50"), rows=[ROWS[0].id])
        issued = await done(store, one.id, issuing)

        rows = [row async for row in store.rows.of_invoice(issued.invoice)]
        assert [(row.kind, row.amount) for row in rows] == [
            ("outcome", "6.00"), ("outcome", "4.00"), ("credit", "-1.50")
        ]  # fmt: skip
        assert (rows[2].id, rows[2].corrects) == (made.made, ROWS[0].id)
        assert (issued.invoice.credited, issued.invoice.total) == (Decimal("1.5"), Decimal("8.5"))
        assert not await client.exists(KEYS.notes)
        assert await store.accounts.balances("acme") == []

    async def test_a_credit_note_of_a_paid_one_pays_the_next_invoice(self, client: Redis, store: Invoices) -> None:
        november = await write(client, draft("acme", ROWS), ROWS)
        december = await write(client, draft("acme", ROWS[1:], at=NOVEMBER.end), ROWS[1:])
        await done(store, november.id, issuing)
        await done(store, november.id, paying)

        made = await done(store, november.id, crediting(ROWS[0]), rows=[ROWS[0].id])
        balance = await store.balance("acme", "EUR")
        issued = (await done(store, december.id, issuing)).invoice

        note = await store.note(made.made)
        assert note is not None
        assert (note.number, note.amount, note.applied, note.invoice_number) == ("CN-000001", 6, 0, "INV-000001")
        assert note.issued_at == made.at
        assert [row.corrects for row in note.rows] == [ROWS[0].id]
        assert balance == 6
        assert (issued.balance_used, issued.total, issued.due, issued.status) == (4, 4, 0, "paid")
        assert issued.paid_at == issued.issued_at
        assert await store.balance("acme", "EUR") == 2
        assert await store.by_number("CN-000001") == note

        voided = (await done(store, december.id, voiding)).invoice
        assert (voided.balance_used, voided.paid_at) == (0, None)
        assert await store.balance("acme", "EUR") == 6
        assert [(one.currency, one.amount) for one in await store.accounts.balances("acme")] == [("EUR", 6)]

    async def test_a_payment_is_applied_and_its_reversal_undoes_it(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await done(store, one.id, issuing)

        first = await done(store, one.id, receiving("4.00"))
        second = await done(store, one.id, receiving("7.50"))

        assert (first.invoice.status, first.invoice.due) == ("issued", 6)
        assert (second.invoice.status, second.invoice.due, second.invoice.paid_at) == ("paid", 0, second.at)
        assert await store.balance("acme", "EUR") == Decimal("1.5")
        reversed_ = await done(store, one.id, reversing(second.made))
        assert (reversed_.invoice.status, reversed_.invoice.due, reversed_.invoice.paid_at) == ("issued", 6, None)
        assert await store.balance("acme", "EUR") == 0
        payments = await store.payments(one.id)
        assert [each.id for each in payments] == [first.made, second.made]
        assert [each.reversed_at is None for each in payments] == [True, False]
        assert await client.llen(KEYS.payments(one.id)) == 3, "nothing is deleted"
        assert isinstance(await store.do(one.id, reversing(second.made)), Unchanged)

    async def test_a_refund_takes_from_the_balance(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await done(store, one.id, issuing)
        paid = await done(store, one.id, receiving("15.00"))

        made = await refund(store, "2.00", "token")
        again = await refund(store, "2.00", "token")

        assert isinstance(made, Refunded)
        assert isinstance(again, Refunded)
        assert (made.balance, made.repeated, again.repeated, again.refund) == (3, False, True, made.refund)
        assert await store.balance("acme", "EUR") == 3
        assert isinstance(await refund(store, "3.01"), Refusal)
        assert isinstance(await store.do(one.id, reversing(paid.made)), Refusal), "a part of it was paid back"
        for amount in ("1.00", "2.00"):
            assert isinstance(await refund(store, amount), Refunded)
        page = await store.accounts.refunds("acme", 2)
        rest = await store.accounts.refunds("acme", 2, page.cursor)
        assert [one.amount for one in (*page.data, *rest.data)] == [2, 1, 2]
        assert rest.cursor is None
        with pytest.raises(InvalidCursor):
            await store.accounts.refunds("acme", 2, "x")

    async def test_several_rows_are_credited_together(self, client: Redis, store: Invoices) -> None:
        one, other = [await write(client, draft(customer, ROWS), ROWS) for customer in ("acme", "beta")]
        ids = [row.id for row in ROWS]

        drafted = await done(store, one.id, crediting_all(ROWS, "1.00"), rows=ids, token="t")
        again = await done(store, one.id, crediting_all(ROWS, "1.00"), rows=ids, token="t")
        await done(store, other.id, issuing)
        noted = await done(store, other.id, crediting_all(ROWS), rows=ids)

        assert (drafted.invoice.credited, again.repeated, again.made) == (2, True, drafted.made)
        assert [row.corrects async for row in store.rows.credits(one)] == ids
        note = await store.note(noted.made)
        assert note is not None
        assert (note.amount, note.applied, noted.invoice.status) == (10, 10, "paid")
        assert await store.credited(other.id, ids) == [6, 4]

    async def test_a_revised_one_is_replaced_by_a_draft_with_the_same_rows(
        self, client: Redis, store: Invoices
    ) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await done(store, one.id, crediting(ROWS[0], "1.00"), rows=[ROWS[0].id])
        await done(store, one.id, issuing)

        revised = await done(store, one.id, revising)

        assert (revised.invoice.status, revised.invoice.revised_by) == ("void", revised.made)
        head = await store.get(revised.made)
        assert head is not None
        assert (head.stage, head.edition, head.revises, head.opened_at) == ("draft", 2, one.id, revised.at)
        assert (head.amount, head.lines, head.credited, head.revision) == (9, 2, 1, 0)
        rows = [[row async for row in store.rows.of_invoice(each)] for each in (revised.invoice, head)]
        assert rows[0] == rows[1]
        assert await store.of_outcome("acme", "EUR", NOVEMBER.start) == head
        assert await store.closed_drafts() == [head.id]
        assert [each.id for each in (await store.page(InvoiceFilter(customer="acme"), 9)).data].count(head.id) == 1
        await done(store, head.id, crediting(ROWS[0], "1.00"), rows=[ROWS[0].id])
        issued = (await done(store, head.id, issuing)).invoice
        assert (issued.number, issued.total) == ("INV-000002", 8)
        assert isinstance(await store.do(one.id, revising), Unchanged)

    async def test_a_dry_run_writes_nothing(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        before = await snapshot(client)

        seen = await done(store, one.id, issuing, dry_run=True)

        assert (seen.invoice.status, seen.invoice.total, seen.invoice.number) == ("issued", 10, None)
        assert await snapshot(client) == before
        await done(store, one.id, issuing)
        before = await snapshot(client)
        for decide in (voiding, revising, crediting(ROWS[0])):
            assert (await done(store, one.id, decide, rows=[ROWS[0].id], dry_run=True)).preview is not None
        assert await snapshot(client) == before

    async def test_a_series_begins_at_its_first_number_every_year(self, client: Redis, store: Invoices) -> None:
        papers = [await write(client, draft(customer, ROWS), ROWS) for customer in ("a", "b", "c")]
        series = Series(name="RE-{year}", first=500)
        year = CALENDAR.day_at((await client.time())[0] * 1000).date[:4]

        made = [
            (
                await done(
                    store,
                    one.id,
                    lambda seen: issue(seen.invoice, seen.balance, series, seen.at, TERMS, today=seen.today),
                )
            ).made
            for one in papers[:2]
        ]
        later = Series(name="RE-{year}", first=700)
        made.append(
            (
                await done(
                    store,
                    papers[2].id,
                    lambda seen: issue(seen.invoice, seen.balance, later, seen.at, TERMS, today=seen.today),
                )
            ).made
        )

        assert made == [f"RE-{year}-{number:06d}" for number in (500, 501, 502)]
        assert await client.hgetall(KEYS.first_numbers) == {f"RE-{year}".encode(): b"500"}

    async def test_a_decision_of_yesterday_is_made_again(self, client: Redis, operations: Operations) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        seen = await operations.read(one.id)
        assert seen is not None
        old = issue(seen.invoice, seen.balance, INV, seen.at - DAY_MS, TERMS, today=CALENDAR.day_at(seen.at - DAY_MS))
        assert isinstance(old, Change)

        assert await operations.change(seen, old, "token") is None
        assert not await client.exists(KEYS.series)

    async def test_a_balance_is_of_one_customer_in_one_currency(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        others = [
            await write(client, draft("acme", ROWS, currency="USD"), ROWS),
            await write(client, draft("other", ROWS), ROWS),
        ]
        await done(store, one.id, issuing)
        await done(store, one.id, paying)
        await done(store, one.id, crediting(ROWS[0]), rows=[ROWS[0].id])

        for other in others:
            assert (await done(store, other.id, issuing)).invoice.balance_used == 0

    async def test_what_is_refused_writes_nothing(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS, closed=False), ROWS)
        before = await snapshot(client)

        for decide in (issuing, paying, voiding):
            assert isinstance(await store.do(one.id, decide), Refusal)
        assert isinstance(await store.do("ab" * 32, issuing), Refusal)

        assert await snapshot(client) == before

    async def test_by_schedule_it_may_be_asked_for_again(
        self, client: Redis, store: Invoices, operations: Operations
    ) -> None:
        scheduled = ScheduledOperations(store, Catalogue(), INV, grace_ms=0)
        one = await write(client, draft("acme", ROWS), ROWS)
        open_one = await write(client, draft("other", ROWS, closed=False), ROWS)

        assert await store.closed_drafts() == [one.id]
        refusals = [await scheduled.issue(id_) for id_ in (one.id, one.id, open_one.id)]
        assert [refusal is None for refusal in refusals] == [True, True, False]
        assert await client.hget(KEYS.series, "INV") == b"1"
        assert await store.closed_drafts() == []

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            ("overrides", '[{"row":"x","place":0,"own":"lost","tax":"t","amount":"1","reason":"r"}]'),
            ("overrides", '[{"row":"x","place":9,"own":"","tax":"t","amount":"1","reason":"r"}]'),
            ("sums", '{"groups":[{"agent":"a","grade":null,"sums":{"":[1,"NaN"]}}]}'),
            ("sums", '{"groups":[{"agent":"a","grade":null,"sums":{"":[1,"0"]},"cap":"-1"}]}'),
        ],
    )
    async def test_one_whose_parts_contradict_each_other_is_damaged(
        self, client: Redis, store: Invoices, operations: Operations, field: str, text: str
    ) -> None:
        scheduled = ScheduledOperations(store, Catalogue(), INV, grace_ms=0)
        one = await write(client, draft("acme", ROWS), ROWS)
        line = NewLine(description="Discount", quantity=Decimal(1), unit_price=Decimal("-0.01"))
        await operations.do(one.id, lambda seen: add_line(seen.invoice, line, TaxTable(), seen.at))
        await client.hset(KEYS.invoice(one.id), field, text)

        for operation in (scheduled.adjust, scheduled.issue):
            with pytest.raises(DamagedInvoice, match="cannot be calculated"):
                await operation(one.id)

    async def test_numbers_grow_beyond_six_digits(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await client.hset(KEYS.series, "INV", 999_999)

        assert (await done(store, one.id, issuing)).made == "INV-1000000"


class TestRaces:
    async def test_of_two_changes_of_one_revision_one_is_written(self, client: Redis, operations: Operations) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await operations.do(one.id, issuing)
        seen, paid = decided(await operations.read(one.id), paying)
        _, voided = decided(seen, voiding)

        assert await operations.change(seen, paid, "one") is not None
        before = await snapshot(client)
        assert await operations.change(seen, voided, "two") is None

        assert await snapshot(client) == before

    async def test_a_line_for_the_current_period_is_not_written_after_its_end(
        self, client: Redis, operations: Operations
    ) -> None:
        seconds, micros = await client.time()
        new = replace(draft("acme", [], closed=False), end=seconds * 1000 + micros // 1000 + 300)
        line = NewLine(description="Setup", quantity=Decimal(1), unit_price=Decimal(5))
        seen = await operations.read(new.id, new=new)
        assert seen is not None
        late = add_line(seen.invoice, line, TaxTable(), seen.at, for_customer=True)
        assert isinstance(late, Change)
        before = await snapshot(client)
        await asyncio.sleep(0.35)

        assert await operations.change(seen, late, "late") is None

        assert await snapshot(client) == before

    async def test_credits_of_two_rows_do_not_overwrite_their_sum(self, client: Redis, operations: Operations) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        both = [decided(await operations.read(one.id, [row.id]), crediting(row, "1.00")) for row in ROWS]

        written = [await operations.change(*each, token) for each, token in zip(both, ("one", "two"), strict=True)]

        assert [each is not None for each in written] == [True, False]
        assert await client.hget(KEYS.invoice(one.id), "credited") == b"1"

    @pytest.mark.parametrize("seed", range(4))
    async def test_whatever_is_done_at_once_the_sums_are_right(self, client: Redis, store: Invoices, seed: int) -> None:
        chance = Random(seed)
        periods = [NOVEMBER.start + n * 40 * DAY_MS for n in range(3)]
        papers = [await write(client, draft("acme", ROWS, at=at), ROWS) for at in periods]

        at_once = asyncio.Semaphore(10)

        async def something() -> object:
            one, row = chance.choice(papers), chance.choice(ROWS)
            amount = chance.choice([None, "0.70", "2.00"])
            once = [issuing, issuing, paying, voiding, receiving("3.30"), receiving("12.00")]
            decide = chance.choice([*once, *[crediting(row, amount)] * 6])
            async with at_once:
                if chance.random() < 0.1:
                    return await refund(store, "1.10")
                if chance.random() < 0.2 and (paid := await store.payments(one.id)):
                    return await store.do(one.id, reversing(chance.choice(paid).id))
                return await store.do(one.id, decide, rows=[row.id])

        await asyncio.gather(*[something() for _ in range(40)])

        heads = [head for one in papers if (head := await store.get(one.id)) is not None]
        notes = (await store.notes(1000)).data
        used = sum(head.balance_used for head in heads)
        gained = sum(note.amount - note.applied for note in notes)
        for head in heads:
            live = [one.entry for one in await store.payments(head.id) if one.reversed_at is None]
            gained += sum(entry.amount - entry.applied for entry in live)
        refunded = sum(one.amount for one in (await store.accounts.refunds("acme", 1000)).data)
        assert await store.balance("acme", "EUR") == gained - used - refunded >= 0
        numbers = sorted((await client.hgetall(KEYS.numbers)).items())
        issued = [head for head in heads if head.number is not None]
        assert [number for number, _ in numbers] == [
            *[f"CN-{n:06d}".encode() for n in range(1, len(notes) + 1)],
            *[f"INV-{n:06d}".encode() for n in range(1, len(issued) + 1)],
        ]
        for head in heads:
            assert (head.total or 0) + head.credited == (head.subtotal if head.number else head.credited)
            assert head.due is None or head.due >= 0
            assert sum(note.amount for note in notes if note.invoice == head.id) == head.noted
            credited = [Decimal(text.decode()) for text in (await client.hgetall(KEYS.credited(head.id))).values()]
            assert sum(credited) == head.credited + head.noted
            rows = [row async for row in store.rows.credits(head)]
            assert sum(Decimal(row.amount or 0) for row in rows) == -head.credited
            assert await client.hlen(KEYS.changes(head.id)) == head.revision

    async def test_the_other_is_decided_again(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)

        found = await asyncio.gather(
            *[store.do(one.id, crediting(ROWS[0], "4.00"), rows=[ROWS[0].id]) for _ in range(2)],
            *[store.do(one.id, issuing) for _ in range(3)],
        )

        # Both credits came from 6.00: the second finds only 2.00 left, whether before or after the issuing.
        assert sum(isinstance(each, Operation) for each in found[:2]) == 1
        assert sum(isinstance(each, Operation) for each in found[2:]) == 1
        assert await client.hget(KEYS.credited(one.id), ROWS[0].id) == b"4"
        assert await client.hget(KEYS.series, "INV") == b"1"

    async def test_numbers_given_at_once_have_no_gap(self, client: Redis, store: Invoices) -> None:
        many = [await write(client, draft(f"customer-{n}", ROWS), ROWS) for n in range(20)]

        found = await asyncio.gather(*[done(store, one.id, issuing) for one in many for _ in range(1)])

        assert sorted(one.made for one in found) == [f"INV-{n:06d}" for n in range(1, 21)]

    async def test_a_balance_is_not_used_twice(self, client: Redis, store: Invoices) -> None:
        """Each invoice is read before the other is written, and both would take the same credit."""
        periods = [NOVEMBER.start + n * 40 * DAY_MS for n in range(4)]
        first, *rest = [await write(client, draft("acme", ROWS, at=at), ROWS) for at in periods]
        await done(store, first.id, issuing)
        await done(store, first.id, paying)
        await done(store, first.id, crediting(ROWS[0]), rows=[ROWS[0].id])

        found = await asyncio.gather(*[done(store, one.id, issuing) for one in rest])

        assert sorted(one.invoice.balance_used for one in found) == [0, 0, 6]
        assert await store.balance("acme", "EUR") == 0

    @pytest.mark.parametrize("moved", ["balance", "closed", "credited"])
    async def test_a_change_depends_on_all_that_it_was_decided_from(
        self, client: Redis, operations: Operations, moved: str
    ) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await operations.do(one.id, issuing)
        await operations.do(one.id, paying)
        seen, change = decided(await operations.read(one.id, [ROWS[0].id]), crediting(ROWS[0], "1.00"))
        match moved:
            case "balance":
                await client.hset(KEYS.balance, "EUR:acme", "5")
            case "closed":
                await client.hset(KEYS.invoice(one.id), "closed", 0)
            case _:
                await client.hset(KEYS.credited(one.id), ROWS[0].id, "5")

        assert await operations.change(seen, change, "token") is None
        assert not await client.exists(KEYS.notes)

    async def test_paying_does_not_wait_for_a_quiet_balance(self, client: Redis, operations: Operations) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await operations.do(one.id, issuing)
        seen, change = decided(await operations.read(one.id), paying)
        await client.hset(KEYS.balance, "EUR:acme", "5")

        assert await operations.change(seen, change, "token") is not None

    async def test_who_is_never_the_faster_one_is_told(self, client: Redis, operations: Operations) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)

        def overtaken(seen: Snapshot) -> Decision:
            return issuing(
                Snapshot(**{name: getattr(seen, name) for name in seen.__struct_fields__} | {"invoice": old})
            )

        old = replace(one, revision=7)
        with pytest.raises(StoreRefused, match="modified concurrently"):
            await operations.do(one.id, overtaken)


class TestLostReplies:
    @pytest.mark.parametrize("decide", [issuing, crediting(ROWS[0], "1.00")])
    async def test_a_change_sent_twice_is_written_once(
        self, client: Redis, operations: Operations, decide: Callable[[Snapshot], Decision]
    ) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        seen, change = decided(await operations.read(one.id, [ROWS[0].id]), decide)
        first = await operations.change(seen, change, "token")
        before = await snapshot(client)

        second = await operations.change(seen, change, "token")

        assert first is not None
        assert second is not None
        assert (first.repeated, second.repeated) == (False, True)
        assert (first.made, first.at, first.invoice) == (second.made, second.at, second.invoice)
        assert await snapshot(client) == before

    async def test_even_after_others_have_changed_it(self, client: Redis, operations: Operations) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        seen, change = decided(await operations.read(one.id, [ROWS[0].id]), crediting(ROWS[0], "1.00"))
        await operations.change(seen, change, "token")
        await operations.do(one.id, issuing)

        again = await operations.change(seen, change, "token")

        assert again is not None
        assert (again.repeated, again.invoice.status, again.invoice.credited) == (True, "issued", 1)

    async def test_a_named_operation_is_done_once_ever(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)

        first = await done(store, one.id, crediting(ROWS[0]), rows=[ROWS[0].id], token="refund")
        second = await done(store, one.id, crediting(ROWS[0]), rows=[ROWS[0].id], token="refund")
        other = await store.do(one.id, crediting(ROWS[0]), rows=[ROWS[0].id], token="other")

        assert (first.repeated, second.repeated, second.made) == (False, True, first.made)
        assert isinstance(other, Refusal)

    async def test_silence_after_the_write_is_asked_about(
        self, client: Redis, store: Invoices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await done(store, one.id, issuing)
        run = invoice_change._CHANGE.run
        lost = 0

        async def losing(*words: Any) -> object:
            nonlocal lost
            answer = await run(*words)
            if lost < 2:
                lost += 1
                raise StoreUnavailable("the reply was lost")
            return answer

        monkeypatch.setattr(invoice_change._CHANGE, "run", losing)

        made = await done(store, one.id, crediting(ROWS[0], "1.00"), rows=[ROWS[0].id])

        assert (made.repeated, made.invoice.noted, made.invoice.notes) == (True, 1, 1)
        assert (made.invoice.notes_applied, made.invoice.due) == (1, 9)

    async def test_a_server_that_is_gone_is_told_of(self, server: Callable[..., Server]) -> None:
        mine = server()
        async with connect(mine.url) as client:
            one = await write(client, draft("acme", ROWS), ROWS)
            mine.kill()

            with pytest.raises(StoreUnavailable):
                await Invoices(client, KEYS, 1).do(one.id, issuing)

    async def test_a_full_server_refuses_all_of_it(self, server: Callable[..., Server]) -> None:
        mine = server()
        async with connect(mine.url) as client:
            store = Invoices(client, KEYS, 1)
            one = await write(client, draft("acme", ROWS), ROWS)
            await done(store, one.id, issuing)
            before = await snapshot(client)
            await client.config_set("maxmemory", "1")

            with pytest.raises(StoreRefused, match="memory"):
                await store.do(one.id, crediting(ROWS[0]), rows=[ROWS[0].id])

            assert await snapshot(client) == before


class TestFinding:
    async def test_by_number_by_id_and_by_its_beginning(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        invoice = (await done(store, one.id, issuing)).invoice
        made = (await done(store, one.id, crediting(ROWS[0]), rows=[ROWS[0].id])).made
        invoice = await store.get(one.id)

        for text in ("INV-000001", one.id, one.id[:6], one.id[:20]):
            assert await store.find(text) == invoice
        for text in ("CN-000001", made, made[:6]):
            assert await store.find(text) == await store.note(made)
        for text in ("INV-000002", "ab" * 32, "abcdef", one.id[:5], "", "*"):
            assert await store.find(text) is None

    async def test_an_id_that_is_cut_too_short_is_told(self, client: Redis, store: Invoices) -> None:
        for letter in "ab":
            id_ = "123456" + letter * 58
            await write(client, replace(draft("acme", ROWS), id=id_))

        with pytest.raises(Ambiguous, match="2 ids start with 123456"):
            await store.find("123456")

    async def test_by_an_outcome(self, client: Redis, store: Invoices) -> None:
        assert await store.of_outcome("acme", "EUR", NOVEMBER.start) is None

        one = await write(client, draft("acme", ROWS), ROWS)

        assert await store.of_outcome("acme", "EUR", NOVEMBER.end - 1) == one
        assert await store.of_outcome("acme", "EUR", NOVEMBER.end) is None
        assert await store.of_outcome("acme", "USD", NOVEMBER.start) is None

    async def test_a_record_of_a_newer_witnd_is_not_guessed_at(self, client: Redis, store: Invoices) -> None:
        one = await write(client, draft("acme", ROWS), ROWS)
        await client.hset(KEYS.invoice(one.id), "format", 2)

        with pytest.raises(Unsafe, match="format 2"):
            await store.get(one.id)
        with pytest.raises(Unsafe, match="format 2"):
            decode_note("x", {b"format": b"2"})


class TestLists:
    @pytest.fixture
    async def year(self, client: Redis, store: Invoices) -> list[Invoice]:
        """Three customers, four months each: the newest first, as a list has them."""
        found = []
        for month in range(4):
            for customer in ("acme", "beta", "gamma"):
                at = NOVEMBER.start + (month * 31) * DAY_MS
                found.append(await write(client, draft(customer, ROWS, at=at, closed=month < 3), ROWS))
        await done(store, found[0].id, issuing)
        ids = [id_.decode() for id_ in await client.zrevrange(KEYS.invoices, 0, -1)]
        heads = [await store.get(id_) for id_ in ids]
        return [head for head in heads if head is not None]

    @staticmethod
    async def whole(store: Invoices, wanted: InvoiceFilter, limit: int) -> list[Invoice]:
        found: list[Invoice] = []
        after = None
        while True:
            page = await store.page(wanted, limit, after)
            assert len(page.data) <= limit
            found += page.data
            after = page.cursor
            if after is None:
                return found

    @pytest.mark.parametrize("size", [1, 2, 5, 100])
    @pytest.mark.parametrize("limit", [1, 5, 12, 100])
    async def test_pages_make_the_whole_list(
        self, store: Invoices, year: list[Invoice], limit: int, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoices, "PAGE", size)

        assert await self.whole(store, InvoiceFilter(), limit) == year

    @pytest.mark.parametrize(
        "wanted",
        [
            InvoiceFilter(customer="beta"),
            InvoiceFilter(stages=frozenset({"open"})),
            InvoiceFilter(stages=frozenset({"draft"})),
            InvoiceFilter(stages=frozenset({"issued", "open"}), customer="acme"),
            InvoiceFilter(currency="USD"),
            InvoiceFilter(around=NOVEMBER.end - 1),
            InvoiceFilter(around=NOVEMBER.end),
            InvoiceFilter(around=NOVEMBER.start - 1),
            InvoiceFilter(dates=parse_period("2026-11")),
            InvoiceFilter(dates=parse_period("2026")),
            InvoiceFilter(dates=parse_period("2026-11-30")),
            InvoiceFilter(dates=parse_period("2026-12-01")),
        ],
    )
    async def test_what_is_wanted(self, store: Invoices, year: list[Invoice], wanted: InvoiceFilter) -> None:
        expected = [
            one
            for one in year
            if wanted.customer in (None, one.customer_key)
            and wanted.currency in (None, one.currency)
            and (not wanted.stages or one.stage in wanted.stages)
            and (wanted.around is None or one.start <= wanted.around < one.end)
            and (
                wanted.dates is None
                or (wanted.dates.is_day and one.first_day <= wanted.dates.first <= one.last_day)
                or (not wanted.dates.is_day and wanted.dates.first <= one.first_day < wanted.dates.after)
            )
        ]

        assert await self.whole(store, wanted, 2) == expected

    async def test_a_list_goes_on_where_it_was_although_newer_ones_came(
        self, client: Redis, store: Invoices, year: list[Invoice]
    ) -> None:
        page = await store.page(InvoiceFilter(), 5)
        await write(client, draft("acme", ROWS, at=NOVEMBER.start + 400 * DAY_MS), ROWS)

        rest = await store.page(InvoiceFilter(), 100, page.cursor)

        assert page.data + rest.data == year

    async def test_a_walk_through_many_ends_with_a_cursor(
        self, store: Invoices, year: list[Invoice], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoices, "LOOKED_AT_MAX", 5)

        page = await store.page(InvoiceFilter(currency="USD"), 10)

        assert (page.data, page.cursor) == ([], year[4].id)

    async def test_a_cursor_of_another_list_is_refused(self, store: Invoices, year: list[Invoice]) -> None:
        acme = next(one for one in year if one.customer_key == "acme")

        for cursor in ("nonsense", acme.id):
            with pytest.raises(InvalidCursor):
                await store.page(InvoiceFilter(customer="beta"), 10, cursor)

    async def test_credit_notes_the_newest_first(self, client: Redis, store: Invoices) -> None:
        papers = [await write(client, draft(customer, ROWS), ROWS) for customer in ("acme", "beta")]
        for one in papers:
            await done(store, one.id, issuing)
        for amount in ("1.00", "2.00"):
            for one in papers:
                await done(store, one.id, crediting(ROWS[0], amount), rows=[ROWS[0].id])

        first = await store.notes(3)
        rest = await store.notes(3, first.cursor)

        notes = first.data + rest.data
        assert (len(first.data), rest.cursor) == (3, None)
        assert {note.number for note in notes} == {f"CN-{n:06d}" for n in range(1, 5)}
        assert [note.issued_at for note in notes] == sorted([note.issued_at for note in notes], reverse=True)
        assert [note.amount for note in (await store.notes(9, customer="beta")).data] in ([2, 1], [1, 2])
        (acme,) = (await store.page(InvoiceFilter(customer="acme"), 2)).data
        assert [(note.invoice, note.amount) for note in await store.notes_of(acme)] == [(acme.id, 1), (acme.id, 2)]


class TestRows:
    @staticmethod
    async def keys_of(store: Invoices, invoice: Invoice) -> list[str | None]:
        return [row.outcome_key async for row in store.rows.of_invoice(invoice)]

    @pytest.mark.parametrize("page", [1, 3, 7, 500])
    async def test_an_open_draft_has_those_of_all_partitions_in_one_order(
        self, client: Redis, page: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoice_rows, "PAGE", page)
        store = Invoices(client, KEYS, 3)
        # Five of each instant, in each partition in another order than that of their keys.
        rows = [outcome_row(f"tïcket-{n * 7 % 40}", at=NOVEMBER.start + n // 5) for n in range(40)]
        one = await write(client, draft("acme", rows, closed=False), rows, partitions=3)

        found = await self.keys_of(store, one)

        expected = sorted(rows, key=lambda row: (row.resolved_at, (row.outcome_key or "").encode()))
        assert found == [row.outcome_key for row in expected]

    @pytest.mark.parametrize("page", [1, 2, 500])
    async def test_a_closed_one_has_them_as_they_were_fixed(
        self, client: Redis, store: Invoices, page: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoice_rows, "PAGE", page)
        fee = outcome_row("x", "2.00", id="ef" * 32, kind="fee", outcome_key=None, resolved_at=None, unit=None)
        rows: Sequence[Row] = [outcome_row("b"), outcome_row("a"), fee]
        one = await write(client, draft("acme", rows), rows)
        await done(store, one.id, crediting(rows[2], "1.00"), rows=[fee.id])

        found = [row async for row in store.rows.of_invoice(one)]

        assert found[:3] == rows
        assert [(row.kind, row.corrects) for row in found[3:]] == [("credit", fee.id)]

    async def test_closing_meanwhile_is_told_of(
        self, client: Redis, store: Invoices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoice_rows, "PAGE", 2)
        rows = [outcome_row(f"ticket-{n}", at=NOVEMBER.start + n) for n in range(6)]
        one = await write(client, draft("acme", rows, closed=False), rows)

        found = store.rows.of_invoice(one)
        assert await anext(found) == rows[0]
        await close(client, one, rows)

        with pytest.raises(invoice_rows.ClosedMeanwhile):
            [row async for row in found]

    @pytest.mark.parametrize("closed", [False, True])
    async def test_one_is_found_by_its_outcome_and_by_its_id(self, client: Redis, closed: bool) -> None:
        store = Invoices(client, KEYS, 3)
        # The key of the one is in the other's record too.
        rows = [outcome_row("ticket-1"), outcome_row("ticket-10"), outcome_row("ticket-2")]
        if not closed:
            rows.reverse()  # rows of one instant are in no order before the period closes
        one = await write(client, draft("acme", rows, closed=closed), rows, partitions=3)

        assert await store.rows.of_outcome(one, "ticket-1", NOVEMBER.start) == outcome_row("ticket-1")
        assert await store.rows.find(one, derived_id("line", "ticket-2")) == outcome_row("ticket-2")
        assert await store.rows.of_outcome(one, "ticket", NOVEMBER.start) is None
        assert await store.rows.of_outcome(one, "ticket-1", NOVEMBER.start + 1) is None
        assert await store.rows.find(one, "ab" * 32) is None


async def test_the_amount_of_an_outcome_is_found_on_a_closed_invoice_of_any_size(client: Redis) -> None:
    store, keys = Invoices(client, KEYS, 1), KEYS
    rows = [outcome_row(f"ticket-{n:05}", None, at=NOVEMBER.start + n // 3) for n in range(10_002)]
    rated = [replace(row, amount="0.75", price_per_unit="0.75", amount_exact="0.75") for row in rows]
    one = await write(client, draft("acme", rated))
    await client.rpush(keys.lines(one.id), *[encode_row(row) for row in rated])
    for number in (0, 1, 5000, 10_001):
        row = rows[number]
        assert row.outcome_key is not None
        assert row.resolved_at is not None
        line = Line(
            id=row.id, outcome_key=row.outcome_key, customer_key="acme", agent_key=row.agent_key,
            resolved_at=instant.render(row.resolved_at), unit="1", price_per_unit=None, amount=None,
            amount_exact=None, currency="EUR", digits=2, rate_card=row.rate_card, price_hash=row.price_hash,
            contract_hash="cd" * 32, rated="at_close",
        )  # fmt: skip
        found = await on_invoice(store, line)
        assert found is not None
        assert (found.id, found.amount) == (one.id, "0.75")


async def test_the_calendar_in_use_is_the_billers(client: Redis, store: Invoices) -> None:
    assert await store.calendar() is None

    weeks = Calendar.of("month").with_rule("week", "UTC", NOVEMBER.start, lambda _: 0)
    one = await write(client, draft("acme", ROWS, at=NOVEMBER.end, calendar=weeks), ROWS, calendar=weeks)

    assert await store.calendar() == weeks
    assert await store.of_outcome("acme", "EUR", NOVEMBER.end + DAY_MS) == one


def test_a_credit_note_is_nothing_where_there_is_none() -> None:
    assert decode_note("x", {}) is None
    assert CreditNote.__struct_config__.frozen
