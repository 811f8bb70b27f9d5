"""Responses of read requests. Unknown members of newer servers are ignored. Amounts are decimal text, never floats."""

from typing import Any

from msgspec import Struct


class Outcome(Struct, frozen=True, kw_only=True):
    """An outcome. `amount` and `currency` are those of a confirmed one; `amount` is null until the period closes if
    the price needs the whole period. `reversed_at`: when an event reversed it, else null."""

    key: str
    partition: int
    status: str
    scheduled_resolution: str | None
    customer_key: str
    agent_key: str
    opened_at: str
    settles_at: str
    processed_at: str | None
    events_count: int
    unit: str | None
    amount: str | None
    currency: str | None
    grade: str | None = None
    reversed_at: str | None = None


class OutcomeDetail(Struct, frozen=True, kw_only=True):
    """An outcome with its explanation. `outcome` is null for a key with held events only. `on_hold` has the reason for
    an outcome on hold, `reversal` the event that reversed a confirmed one.

    The API reference describes the members. `story` has the events with every check of the condition after each; more
    follow if `events_next_cursor` is not null.
    """

    key: str
    partition: int
    outcome: Outcome | None = None
    terms: dict[str, Any] | None = None
    story: dict[str, Any] | None = None
    events_next_cursor: str | None = None
    resolution: dict[str, Any] | None = None
    line: dict[str, Any] | None = None
    invoice: dict[str, Any] | None = None
    deliveries: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    reversal: dict[str, Any] | None = None
    on_hold: dict[str, Any] | None = None


class Fate(Struct, frozen=True, kw_only=True):
    """The fate of an event: `applied`, `duplicate`, `conflict`, `reversed`, `late`, `held` or `rejected`, and `waiting`
    until it is processed. `reason` is a code, `message` its text. `action`, `customer_key` and `agent_key` are those
    of the event, if readable."""

    id: str
    partition: int
    accepted_at: str
    fate: str
    key: str | None = None
    reason: str | None = None
    message: str | None = None
    action: str | None = None
    customer_key: str | None = None
    agent_key: str | None = None


class Payment(Struct, frozen=True, kw_only=True):
    """A payment of an invoice. `applied` paid the invoice; the rest went to the customer's balance."""

    id: str
    amount: str
    applied: str
    date: str
    method: str | None = None
    reference: str | None = None
    reversed: bool = False


class TaxRow(Struct, frozen=True, kw_only=True):
    """The tax of a category of EN 16931 with a rate in percent."""

    category: str
    rate: str
    taxable: str
    tax: str
    name: str = ""
    note: str | None = None


class InvoiceGroup(Struct, frozen=True, kw_only=True):
    """The outcomes of an agent under entries with one grade, or without one. `amount` is null while the period is open,
    `estimate` after it has closed."""

    agent_key: str
    grade: str | None
    amount: str | None
    estimate: str | None


class Invoice(Struct, frozen=True, kw_only=True):
    """An invoice. `due` is null for an open, draft or void one. Only `invoice` returns its parties, payments, credit
    notes, groups and estimate, and only `issue_invoice` its `warnings`. Both return what it `lacks` to be an electronic
    invoice. `estimate`: while the period is open, the sum without tax as if it closed now. `revises` and `revised_by`
    are the ids of the editions before and after it."""

    id: str
    number: str | None
    status: str
    closed: bool
    customer_key: str
    currency: str
    period_start: str
    period_end: str
    time_zone: str
    first_day: str
    last_day: str
    subtotal: str
    credited: str
    tax: str | None = None
    tax_rows: list[TaxRow] = []
    total: str | None
    balance_used: str
    due: str | None
    issue_date: str | None = None
    due_date: str | None = None
    edition: int = 1
    revises: str | None = None
    revised_by: str | None = None
    seller: dict[str, Any] | None = None
    buyer: dict[str, Any] | None = None
    payments: list[Payment] = []
    credit_notes: list[dict[str, Any]] = []
    estimate: str | None = None
    estimated_at: str | None = None
    groups: list[InvoiceGroup] = []
    warnings: list[str] = []
    lacks: list[dict[str, Any]] = []
    exchange_rate: dict[str, str] | None = None


class InvoicePage(Struct, frozen=True, kw_only=True):
    """One page of invoices. `next_cursor` is null at the end. `unreadable`: ids of invoices whose data is damaged."""

    data: list[Invoice]
    next_cursor: str | None = None
    unreadable: list[str] = []


class LinePage(Struct, frozen=True, kw_only=True):
    """One page of the lines of an invoice. The API reference describes their members."""

    data: list[dict[str, Any]]
    next_cursor: str | None = None


class Ageing(Struct, frozen=True, kw_only=True):
    """What is due in one currency, by the days since the due date. `current` is not overdue. `customer_key` is null in
    totals."""

    currency: str
    invoices: int
    current: str
    days_1_30: str
    days_31_60: str
    over_60: str
    total: str
    customer_key: str | None = None


class AgeingReport(Struct, frozen=True, kw_only=True):
    """What is due on a date. `complete` is false if there are more unpaid invoices than one report reads; those with
    the latest due dates are omitted."""

    date: str
    totals: list[Ageing]
    customers: list[Ageing]
    complete: bool
    unreadable: list[str] = []


class LineResult(Struct, frozen=True, kw_only=True):
    """A line of an invoice, and the invoice afterwards. `quantity` and `unit_price` are null if it is not a manual
    line. `tax` is the key of its tax."""

    id: str
    kind: str
    description: str | None
    quantity: str | None
    unit_price: str | None
    amount: str | None
    currency: str
    tax: str | None
    working: dict[str, Any] | None
    invoice: Invoice


class PaymentResult(Payment, frozen=True, kw_only=True):
    """A payment, its invoice afterwards, and the customer's balance in its currency."""

    invoice: Invoice
    balance: str


class CreditResult(Struct, frozen=True, kw_only=True):
    """The lines of a credit, the credit note if the invoice was issued, and the customer's balance."""

    invoice: Invoice
    lines: list[dict[str, Any]]
    credit_note: dict[str, Any] | None
    balance: str


class Balance(Struct, frozen=True, kw_only=True):
    """A customer's balance in one currency."""

    currency: str
    balance: str


class RefundResult(Struct, frozen=True, kw_only=True):
    """A refund, and the customer's balance afterwards."""

    id: str
    customer_key: str
    currency: str
    amount: str
    date: str
    balance: str
    method: str | None = None
    reference: str | None = None


class Page(Struct, frozen=True, kw_only=True):
    """One page of outcomes. `next_cursor` is null at the end."""

    data: list[Outcome]
    next_cursor: str | None = None
