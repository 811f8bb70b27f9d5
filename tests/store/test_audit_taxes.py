"""The audit of taxes and manual lines: silent about what the product made, loud about every field that was changed."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.billing.harness import CARDS, DAY, DIGITS, KEYS, BillingHarness, Confirmed
from tests.store.test_audit_invoices import audited, clean, told
from tests.support import catalogues
from tests.support.catalogues import append_entry
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.cancel import revise, void
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import Invoice, Row, edition_id, invoice_id
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_terms import issue_terms, tax_table
from witnd.domain.invoices.manual import NewLine, add_line, adjust, manual_rows, override_tax
from witnd.domain.invoices.operations import Series
from witnd.domain.values.period import Calendar
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.invoices.change import Operation
from witnd.store.invoices.codec import decode_invoice, decode_row, encode_row
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import connect

START = 20_000 * DAY  # 4 October 2024
ISSUED = "acme", "EUR", START
VOID = "acme", "EUR", START + DAY
OPEN = "acme", "EUR", START + 2 * DAY
DRAFT = "globex", "EUR", START
INV, CN = Series(name="INV"), Series(name="CN")
# Under the customer's tax, and under another.
BOOK = {"agent": "book", "kind": "flat", "price_per_unit": "3.335", "tax": "reduced"}


@pytest.fixture
def till(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[BillingHarness]:
    monkeypatch.setitem(CARDS, "EUR", [*CARDS["EUR"], BOOK])
    with closing(BillingHarness(redis_url)) as made:
        yield made


def write_catalogue(till: BillingHarness) -> None:
    """A seller, taxes of which one changes between the periods, two customers with fees, one with a commitment."""
    fee = {"key": "base", "name": "Base", "amount": "10", "tax": "zero", "starts": "2024-10-04"}
    card = {"currency": "EUR", "digits": DIGITS["EUR"], "entries": CARDS["EUR"], "fees": [fee]}
    least = {"period_minimum": "60", "starts": "2024-10-04"}
    entries = [
        catalogues.made("seller", "seller", 1, {"name": "Example Ltd.", "payment_terms_days": 10}, archived=False),
        catalogues.tax("full", 1, note="Includes 19 %"),
        catalogues.tax("full", START + DAY, rate="16"),
        catalogues.tax("reduced", 1, rate="7"),
        catalogues.tax("zero", 1, rate="0", category="Z"),
        catalogues.rate_card("card-eur", 1, **{name: card[name] for name in ("currency", "entries", "fees")}),
        catalogues.customer("acme", 1, rate_card="card-eur", billing={"tax": "full"}, commitment=least),
        catalogues.customer("globex", 1, rate_card="card-eur", billing={"tax": "full"}),
        catalogues.customer("globex", START + 3 * DAY, rate_card=None, billing={"tax": "reduced"}),
        catalogues.customer("acme", START + 3 * DAY, rate_card=None, billing={"tax": "full"}),
    ]
    for one in entries:
        append_entry(till.redis, msgspec.json.encode(one))


def bill(till: BillingHarness) -> None:
    write_catalogue(till)
    till.confirm(
        [
            Confirmed(0, START + 5, "flat-a", unit="2"),
            Confirmed(1, START + 6, "book-b", agent="book", unit="2"),
            *[Confirmed(0, START + 7 + n, f"capped-{n}", agent="capped") for n in range(3)],
            Confirmed(1, START + 8, "tiers-c", agent="tiers", unit="2"),
            Confirmed(0, START + 9, "globex-d", customer="globex", unit="9"),
            Confirmed(1, START + 9, "globex-e", customer="globex", agent="book", unit="4"),
        ]
    )
    till.applied(START + 100)
    till.work(automatic=False)
    do(till, ISSUED, adding("Setup", "4.005", "2.5", "reduced"))
    do(till, ISSUED, adding("Discount", "-3"))
    do(till, ISSUED, adding("Too much", "-500", tax="reduced"))
    do(till, ISSUED, crediting(("flat-a", "0.40")), "flat-a")
    do(till, DRAFT, adding("Too much", "-1000"))
    till.confirm(
        [Confirmed(0, START + DAY + 1, "flat-f", unit="3"), Confirmed(1, START + 2 * DAY + 1, "flat-g", unit="3")]
    )
    till.applied(START + 2 * DAY)
    till.work(automatic=False)
    for place in (ISSUED, DRAFT):
        do(till, place, lambda seen, catalogue: adjust(seen.invoice, tax_table(catalogue, seen.invoice, seen.at)))
    do(till, ISSUED, overriding("capped-1", "reduced"), "capped-1")
    do(till, ISSUED, crediting(("commitment", "2.00"), ("Setup", "1.00")), "commitment", "Setup")
    do(till, ISSUED, issuing)
    do(till, ISSUED, crediting(("commitment", "1.00"), ("book-b", "5.00")), "commitment", "book-b")
    do(till, ISSUED, crediting(("flat-a", None)), "flat-a")
    do(till, VOID, issuing)
    do(till, VOID, lambda seen, _: revise(seen.invoice, seen.balance, "wrong", CN, seen.today))
    do(till, second(till), issuing)
    do(till, second(till), lambda seen, _: void(seen.invoice, seen.balance, "sent twice", CN, seen.today))
    do(till, OPEN, adding("Later", "7"))
    do(till, OPEN, adding("Discount", "-100"))
    do(till, DRAFT, overriding("globex-e", "zero"), "globex-e")


def head_of(till: BillingHarness, place: Any, edition: int = 1) -> Invoice:
    """An edition of an invoice; the harness has only one of them."""
    id_ = edition_id(till.invoices()[place], edition)
    found = decode_invoice(id_, till.redis.hgetall(KEYS.invoice(id_)))
    assert found is not None
    return found


def second(till: BillingHarness) -> Invoice:
    """The second edition of the void invoice."""
    return head_of(till, VOID, 2)


Decide = Callable[[Any, Catalogue], Any]


def do(till: BillingHarness, place: Any, decide: Decide, *names: str, new: Invoice | None = None) -> None:
    """An operation on an invoice; `names` of the rows whose credits it needs, `new` if it does not exist yet."""
    head = place if isinstance(place, Invoice) else head_of(till, place)

    async def once() -> None:
        async with connect(till.url) as client:
            catalogue = Catalogue()
            await CatalogueStore(client, GlobalKeys("witn"), till.partitions).load(catalogue)
            rows = {name: row(till, head, name) for name in names}
            ROWS.update(rows)
            done = await Invoices(client, KEYS, till.partitions).do(
                head.id, lambda seen: decide(seen, catalogue), rows=[one.id for one in rows.values()], new=new
            )
            assert isinstance(done, Operation), done

    asyncio.run(once())


ROWS: dict[str, Row] = {}


def row(till: BillingHarness, head: Invoice, name: str) -> Row:
    """A row by its outcome, kind, or description."""
    rows = [*till.rows(head), *manual_rows(head)]
    return next(one for one in rows if name in (one.outcome_key, one.kind, one.description))


def issuing(seen: Any, catalogue: Catalogue) -> Any:
    return issue(
        seen.invoice, seen.balance, INV, seen.at, issue_terms(catalogue, seen.invoice, seen.at), today=seen.today
    )


def adding(description: str, price: str, quantity: str = "1", tax: str = "") -> Decide:
    new = NewLine(description=description, quantity=Decimal(quantity), unit_price=Decimal(price), tax=tax)
    return lambda seen, catalogue: add_line(seen.invoice, new, tax_table(catalogue, seen.invoice, seen.at), seen.at)


def own(one: Row) -> str:
    return "reduced" if one.agent_key == "book" else one.tax or ""


def crediting(*items: tuple[str, str | None]) -> Decide:
    def decide(seen: Any, catalogue: Catalogue) -> Any:
        moved = {one.row: one.tax for one in seen.invoice.overrides}
        wanted = [
            Item(
                row=ROWS[name],
                credited=seen.credited(ROWS[name].id),
                tax=moved.get(ROWS[name].id, own(ROWS[name])),
                amount=None if amount is None else Decimal(amount),
            )
            for name, amount in items
        ]
        table = tax_table(catalogue, seen.invoice, seen.at)
        return credit(
            seen.invoice, wanted, "wrong", balance=seen.balance, series=CN, at=seen.at, today=seen.today, table=table
        )

    return decide


def overriding(name: str, tax: str) -> Decide:
    def decide(seen: Any, catalogue: Catalogue) -> Any:
        table, one = tax_table(catalogue, seen.invoice, seen.at), ROWS[name]
        return override_tax(seen.invoice, one, own(one), tax, "a book", table, credited=seen.credited(one.id))

    return decide


@pytest.mark.parametrize("quick", [False, True])
def test_what_the_product_made_is_clean(till: BillingHarness, quick: bool) -> None:
    bill(till)
    heads = till.invoices()
    one, draft, void_ = heads[ISSUED], heads[DRAFT], heads[VOID]
    # So that the scenario has everything that is changed below.
    assert one.sums is not None
    assert one.sums.commitment > 0
    assert any(group.cap for group in one.sums.groups)
    assert (len(one.tax_rows), len(one.overrides), one.notes) == (3, 1, 2)
    assert one.manual[2].amount < one.manual[2].applied < 0
    assert draft.manual[0].amount < draft.manual[0].applied < 0
    assert (void_.notes, len(void_.tax_rows)) == (1, 2)

    books = audited(till, quick=quick)

    assert clean(books), books.differences


def test_before_its_discounts_are_adjusted_a_draft_is_clean_while_it_waits_for_that(till: BillingHarness) -> None:
    """The period of the open invoice closes; the harness only takes it from the list."""
    bill(till)
    till.applied(START + 3 * DAY)
    till.work(automatic=False)
    head = till.invoices()[OPEN]
    assert head.closed
    assert head.manual[1].applied == -100
    till.redis.zadd(KEYS.to_adjust, {head.id: head.end})

    books = audited(till)

    assert clean(books), books.differences
    till.redis.zrem(KEYS.to_adjust, head.id)
    assert any(told(one, head.id, "", "manual line ") for one in audited(till).differences)
    till.redis.zadd(KEYS.to_adjust, {head.id: head.end})
    do(till, OPEN, lambda seen, catalogue: adjust(seen.invoice, tax_table(catalogue, seen.invoice, seen.at)))
    assert clean(audited(till))


def test_an_invoice_that_exists_only_for_a_manual_line_is_clean(till: BillingHarness) -> None:
    bill(till)
    customer, period = "initech", Calendar.of("day").period_at(START + 2 * DAY)
    one = Invoice(
        id=invoice_id(customer, "EUR", period),
        customer_key=customer,
        currency="EUR",
        digits=2,
        start=period.start,
        end=period.end,
        period=period.kind,
        zone=period.zone,
        first_day=period.first_day,
        last_day=period.last_day,
        lines=0,
        unrated=0,
        subtotal=Decimal(0),
        closed=False,
    )
    do(till, one, adding("Setup", "5"), new=one)
    assert clean(audited(till))

    till.applied(START + 3 * DAY)
    till.work(automatic=False)
    for place in (OPEN, (customer, "EUR", one.start)):
        do(till, place, lambda seen, catalogue: adjust(seen.invoice, tax_table(catalogue, seen.invoice, seen.at)))
    assert till.redis.zscore(KEYS.to_issue, one.id)
    books = audited(till)
    assert clean(books), books.differences


@pytest.mark.parametrize(
    "name",
    [
        "the sum of a tax key",
        "credits by tax key",
        "its applied amount",
        "the amount of a row",
        "a taxable amount",
        "a tax of a note",
        "the total",
        "the latest date of a series",
    ],
)
def test_the_quick_audit_finds_it_too(till: BillingHarness, name: str) -> None:
    bill(till)
    TAMPERED[name][0](till)
    assert audited(till, quick=True).difference_count


# -- what was changed --------------------------------------------------------------------------------------------------


def part(till: BillingHarness, place: Any, name: str, change: Callable[[Any], Any]) -> None:
    """Change a part of a head that is stored as JSON."""
    head = place if isinstance(place, Invoice) else head_of(till, place)
    key = KEYS.invoice(head.id)
    value = json.loads(till.redis.hget(key, name))
    change(value)
    till.redis.hset(key, name, json.dumps(value))


def field(till: BillingHarness, place: Any, *words: Any) -> None:
    head = place if isinstance(place, Invoice) else head_of(till, place)
    till.redis.hset(KEYS.invoice(head.id), *words)


def note(till: BillingHarness, number: str, name: str, change: Callable[[Any], Any]) -> None:
    key = KEYS.note(till.redis.hget(KEYS.numbers, number).decode())
    value = json.loads(till.redis.hget(key, name))
    change(value)
    till.redis.hset(key, name, json.dumps(value))


def note_row(till: BillingHarness, number: str, **members: Any) -> None:
    key = KEYS.note(till.redis.hget(KEYS.numbers, number).decode())
    rows = msgspec.msgpack.decode(till.redis.hget(key, "rows"))
    rows[0] = encode_row(msgspec.structs.replace(decode_row(rows[0]), **members))
    till.redis.hset(key, "rows", msgspec.msgpack.encode(rows))


def set_(*path: Any) -> Callable[[Any], None]:
    """What sets the last word at the place that the others lead to."""

    def change(value: Any) -> None:
        for step in path[:-2]:
            value = value[step]
        value[path[-2]] = path[-1]

    return change


def tax_row(till: BillingHarness, number: int, name: str, value: Any) -> None:
    part(till, ISSUED, "issue_data", set_("tax_rows", number, name, value))


Tamper = Callable[[BillingHarness], Any]
# What is changed → where it is found, and what is said to differ.
TAMPERED: dict[str, tuple[Tamper, tuple[Any, str]]] = {
    "the sum of a tax key": (
        lambda t: part(t, ISSUED, "sums", set_("groups", 0, "sums", "reduced", 1, "7")), (ISSUED, "sums by tax key")),
    "the number of its rows": (
        lambda t: part(t, ISSUED, "sums", set_("groups", 0, "sums", "reduced", 0, 2)), (ISSUED, "sums by tax key")),
    "the tax key of a sum": (
        lambda t: part(t, DRAFT, "sums", lambda sums: sums["groups"][0]["sums"].update(
            zero=sums["groups"][0]["sums"].pop("reduced"))), (DRAFT, "sums by tax key")),
    "a cap in the sums": (
        lambda t: part(t, ISSUED, "sums", set_("groups", 1, "cap", "-2")), (ISSUED, "sums by tax key")),
    "an agent in the sums": (
        lambda t: part(t, ISSUED, "sums", set_("groups", 1, "agent", "x")), (ISSUED, "sums by tax key")),
    "a fee in the sums": (
        lambda t: part(t, ISSUED, "sums", set_("fees", "zero", 1, "11")), (ISSUED, "sums by tax key")),
    "the commitment in the sums": (
        lambda t: part(t, ISSUED, "sums", set_("commitment", "1")), (ISSUED, "sums by tax key")),
    "its tax in the sums": (
        lambda t: part(t, ISSUED, "sums", set_("commitment_tax", "zero")), (ISSUED, "sums by tax key")),
    "credits by tax key": (
        lambda t: part(t, ISSUED, "credit_sums", set_("reduced", "2")), (ISSUED, "credits by tax key")),
    "the tax key of credits": (
        lambda t: field(t, ISSUED, "credit_sums", '{"zero":"1.40"}'), (ISSUED, "credits by tax key")),
    "credits of the commitment": (
        lambda t: field(t, ISSUED, "commitment_credited", "3"), (ISSUED, "commitment_credited")),
    # Manual lines.
    "the amount of a line": (lambda t: part(t, OPEN, "manual", set_(0, "amount", "8")), (OPEN, "manual line ")),
    "its quantity": (lambda t: part(t, OPEN, "manual", set_(0, "quantity", "8")), (OPEN, "manual line ")),
    "its unit price": (lambda t: part(t, OPEN, "manual", set_(0, "unit_price", "8")), (OPEN, "manual line ")),
    "its applied amount": (lambda t: part(t, OPEN, "manual", set_(0, "applied", "6")), (OPEN, "manual line ")),
    "its id": (lambda t: part(t, OPEN, "manual", set_(0, "id", "ab" * 32)), (OPEN, "manual line abababababab: id")),
    "a line twice": (lambda t: part(t, OPEN, "manual", lambda lines: lines.append(lines[0])), (OPEN, "manual line ")),
    "a discount of an open invoice": (
        lambda t: part(t, OPEN, "manual", set_(1, "applied", "-1")), (OPEN, "manual line ")),
    "what remains of a discount of a draft": (
        lambda t: part(t, DRAFT, "manual", set_(0, "applied", "-1")), (DRAFT, "manual line ")),
    "the tax of a discount of a draft": (
        lambda t: part(t, DRAFT, "manual", set_(0, "tax", "zero")), (DRAFT, "manual line ")),
    "what remains of one that is issued": (
        lambda t: part(t, ISSUED, "manual", set_(2, "applied", "-1")), (ISSUED, "manual line ")),
    "the tax of a line that is issued": (
        lambda t: part(t, ISSUED, "manual", set_(1, "tax", "zero")), (ISSUED, "tax rows")),
    "a line that is gone": (lambda t: part(t, ISSUED, "manual", lambda lines: lines.pop(0)), (ISSUED, "tax rows")),
    # Overridden taxes.
    "the tax of a row": (lambda t: part(t, ISSUED, "overrides", set_(0, "tax", "zero")), (ISSUED, "tax rows")),
    "a tax that there is not": (
        lambda t: part(t, DRAFT, "overrides", set_(0, "tax", "none")), (DRAFT, "tax of row ")),
    "its own tax": (lambda t: part(t, ISSUED, "overrides", set_(0, "own", "zero")), (ISSUED, "tax of row ")),
    "the place of a row": (lambda t: part(t, ISSUED, "overrides", set_(0, "place", 0)), (ISSUED, "tax of row ")),
    "the amount of a row": (lambda t: part(t, ISSUED, "overrides", set_(0, "amount", "1")), (ISSUED, "tax of row ")),
    "the row": (lambda t: part(t, ISSUED, "overrides", set_(0, "row", "ab" * 32)), (ISSUED, "tax of row abababababab")),
    "the reason": (lambda t: part(t, ISSUED, "overrides", set_(0, "reason", "")), (ISSUED, "tax of row ")),
    "an override twice": (
        lambda t: part(t, ISSUED, "overrides", lambda all_: all_.append(all_[0])), (ISSUED, "tax of row ")),
    "no override": (lambda t: t.redis.hdel(KEYS.invoice(t.invoices()[ISSUED].id), "overrides"), (ISSUED, "tax rows")),
    # Taxes.
    "a taxable amount": (lambda t: tax_row(t, 0, "taxable", "1"), (ISSUED, "tax rows")),
    "a tax": (lambda t: tax_row(t, 0, "tax", "1"), (ISSUED, "tax rows")),
    "a category": (lambda t: tax_row(t, 0, "category", "E"), (ISSUED, "tax rows")),
    "a rate": (lambda t: tax_row(t, 0, "rate", "8"), (ISSUED, "tax rows")),
    "a name": (lambda t: tax_row(t, 0, "name", "Tax"), (ISSUED, "tax rows: name and note")),
    "a note": (lambda t: tax_row(t, 1, "note", "No tax"), (ISSUED, "tax rows: name and note")),
    "the order of taxes": (
        lambda t: part(t, ISSUED, "issue_data", lambda data: data["tax_rows"].reverse()), (ISSUED, "tax rows")),
    "a tax that is gone": (
        lambda t: part(t, ISSUED, "issue_data", lambda data: data["tax_rows"].pop()), (ISSUED, "tax rows")),
    "the rate of a key": (
        lambda t: part(t, ISSUED, "issue_data", set_("table", "terms", "full", "rate", "20")),
        (ISSUED, "terms of tax full")),
    "the note of a key": (
        lambda t: part(t, ISSUED, "issue_data", set_("table", "terms", "full", "note", "x")),
        (ISSUED, "terms of tax full")),
    "a key that there is not": (
        lambda t: part(t, ISSUED, "issue_data", lambda data: data["table"]["terms"].update(
            other=data["table"]["terms"]["full"])), (ISSUED, "terms of tax other")),
    "the tax of the customer": (
        lambda t: part(t, ISSUED, "issue_data", set_("table", "default", "reduced")), (ISSUED, "tax of the customer")),
    "the total": (lambda t: field(t, ISSUED, "total", "100"), (ISSUED, "total")),
    "the seller": (
        lambda t: part(t, ISSUED, "issue_data", set_("seller", "name", "Another Ltd.")), (ISSUED, "seller")),
    "the version of the seller": (
        lambda t: part(t, ISSUED, "issue_data", set_("seller_version", 2)), (ISSUED, "seller")),
    "the buyer": (lambda t: part(t, ISSUED, "issue_data", set_("buyer", "tax", "zero")), (ISSUED, "buyer")),
    "the name of the customer": (
        lambda t: part(t, ISSUED, "issue_data", set_("customer_name", "Globex")), (ISSUED, "buyer")),
    "the due date": (lambda t: field(t, ISSUED, "due_date", "2030-01-01"), (ISSUED, "due_date")),
    "an issue date that is none": (lambda t: field(t, ISSUED, "issue_date", "2024-10-05x"), (ISSUED, "issue_date")),
    "no data of the issue": (
        lambda t: t.redis.hdel(KEYS.invoice(t.invoices()[ISSUED].id), "issue_data"), (ISSUED, "")),
    "data of the issue of a draft": (
        lambda t: field(t, DRAFT, "note_taxes", t.redis.hget(KEYS.invoice(t.invoices()[ISSUED].id), "note_taxes")),
        (DRAFT, "note_taxes of a draft")),
    # Credit notes.
    "a tax of a note": (
        lambda t: note(t, "CN-000001", "tax_rows", set_(0, "tax", "1")), (ISSUED, "credit note CN-000001: tax rows")),
    "a taxable amount of a note": (
        lambda t: note(t, "CN-000001", "tax_rows", set_(0, "taxable", "1")),
        (ISSUED, "credit note CN-000001: tax rows")),
    "the name of a tax of a note": (
        lambda t: note(t, "CN-000001", "tax_rows", set_(0, "name", "x")),
        (ISSUED, "credit note CN-000001: tax rows: name and note")),
    "the tax of a credit": (lambda t: note_row(t, "CN-000002", tax="zero"), (ISSUED, "credit: tax")),
    "the taxes of all notes": (
        lambda t: part(t, ISSUED, "note_taxes", set_(0, "tax", "1")), (ISSUED, "note_taxes")),
    "what all notes gave back": (lambda t: field(t, ISSUED, "noted", "5"), (ISSUED, "noted")),
    "their net sum": (lambda t: field(t, ISSUED, "noted_net", "5"), (ISSUED, "noted_net")),
    "the taxes of a note that cancels": (
        lambda t: note(t, "CN-000003", "tax_rows", lambda rows: rows.pop()), (VOID, "credit note CN-000003: tax rows")),
    "what a note that cancels gave back": (lambda t: field(t, VOID, "noted", "0"), (VOID, "noted")),
    "no note that cancels": (
        lambda t: t.redis.delete(KEYS.note(t.redis.hget(KEYS.numbers, "CN-000004").decode())), ("second", "")),
    # Lists.
    "an open invoice that is not adjusted at close": (
        lambda t: t.redis.zrem(KEYS.to_adjust, t.invoices()[OPEN].id), (OPEN, "place in the list of drafts with")),
    "one that is adjusted at another time": (
        lambda t: t.redis.zadd(KEYS.to_adjust, {t.invoices()[OPEN].id: 1}),
        (OPEN, "place in the list of drafts with")),
    "an issued one that is adjusted": (
        lambda t: t.redis.zadd(KEYS.to_adjust, {t.invoices()[ISSUED].id: START}),
        (ISSUED, "place in the list of drafts with")),
    "nothing that is adjusted": (
        lambda t: t.redis.zadd(KEYS.to_adjust, {"ab" * 32: START}), (None, f"{'ab' * 32} in the list of drafts with")),
    "an unpaid one that is not listed": (
        lambda t: t.redis.zrem(KEYS.receivables, t.invoices()[ISSUED].id),
        (ISSUED, "day in the list of unpaid invoices")),
    "a paid one among the unpaid": (
        lambda t: t.redis.zadd(KEYS.receivables, {t.invoices()[DRAFT].id: 739_000}),
        (DRAFT, "day in the list of unpaid invoices")),
    "nothing that is unpaid": (
        lambda t: t.redis.zadd(KEYS.receivables, {"ab" * 32: 739_000}),
        (None, f"{'ab' * 32} in the list of unpaid invoices")),
    "a draft that does not wait": (
        lambda t: t.redis.zrem(KEYS.to_issue, t.invoices()[DRAFT].id), (DRAFT, "place in the list of drafts to be")),
    "the latest date of a series": (
        lambda t: t.redis.hset(KEYS.series_dates, "INV", "2030-01-01"), (None, "latest date in series INV")),
    "an earlier date of a series": (
        lambda t: t.redis.hset(KEYS.series_dates, "CN", "2001-01-01"), (None, "latest date in series CN")),
    "no date of a series": (lambda t: t.redis.hdel(KEYS.series_dates, "INV"), (None, "latest date in series INV")),
    "a date of no series": (
        lambda t: t.redis.hset(KEYS.series_dates, "X", "2024-10-10"), (None, "latest date in series X")),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_is_found_and_named(till: BillingHarness, name: str) -> None:
    bill(till)
    tamper, (place, what) = TAMPERED[name]
    ids = {where: head_of(till, where).id for where in till.invoices()} | {"second": second(till).id}
    before = till.redis.execute_command("DEBUG", "DIGEST")
    tamper(till)
    assert till.redis.execute_command("DEBUG", "DIGEST") != before
    invoice = "" if place is None else ids[place]

    books = audited(till)

    assert any(told(one, invoice, one.key, what) for one in books.differences), books.differences
    assert all(one.remedy for one in books.differences)
    assert {one.invoice for one in books.differences} <= {invoice, ""}, "no other invoice is blamed"
