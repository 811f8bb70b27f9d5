"""Types and ids of invoices: the rows of one customer in one currency for one period."""

from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.sums import Sums, TaxOverride
from witnd.domain.invoices.tax import ManualLine, Taxed, TaxRow
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.pricing.charge import Charge
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.rating import Adjustment
from witnd.domain.values import instant
from witnd.domain.values.money import difference, exact_sum, plain, plus
from witnd.domain.values.period import Period

# outcome: a confirmed outcome. fee, minimum, cap: adjustments of a group when the period closes. credit: reduces the
# row that it corrects. recurring: a fee for the period. commitment, commitment_cap: adjust the sum of the outcomes and
# of their adjustments. manual: added by a person. Stored rows have the place of their kind in this list.
Kind: TypeAlias = Literal[
    "outcome", "fee", "minimum", "cap", "credit", "recurring", "commitment", "commitment_cap", "manual"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Status: TypeAlias = Literal["draft", "issued", "paid", "void"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)


class Row(Struct, frozen=True, kw_only=True):
    """A row. Amounts and quantities are decimal strings; `amount` has exactly the currency's minor digits.

    The three prices are None if `rated` is "at_close" and the period is open. `agent_key` and `price_hash` are None for
    recurring fees, commitments and manual lines; `rate_card` is empty for manual lines.
    """

    id: str
    kind: Kind
    agent_key: str | None
    rate_card: str
    price_hash: str | None
    amount: str | None
    amount_exact: str | None
    rated: str
    price_per_unit: str | None = None
    # Of outcome rows and their credits.
    outcome_key: str | None = None
    resolved_at: int | None = None  # ms; of a credit: its creation, or that of the reversal
    contract_hash: str | None = None
    unit: str | None = None
    working: dict[str, Any] | None = None  # the calculation, None if it is unit × price
    corrects: str | None = None  # the id of the row that a credit is for
    reason: str | None = None
    repaired_at: int | None = None  # ms; when the outcome was repaired, if it was on hold at its deadline
    grade: str | None = None  # of an outcome, and of its credits
    tax: str | None = None  # its own tax key, if it is a recurring fee, commitment or manual line
    description: str | None = None  # of manual lines
    reversed_at: int | None = None  # ms; of an outcome that was reversed within its period, and of credits for that

    @property
    def counted_unit(self) -> str | None:
        """The quantity that counts for the price: 0 if the outcome was reversed before the end of its period."""
        return "0" if self.reversed_at is not None and self.kind == "outcome" else self.unit

    @property
    def billed_at(self) -> int:
        """The instant (ms) that orders rows. It lies in the period of the invoice."""
        return (self.resolved_at if self.repaired_at is None else self.repaired_at) or 0


class Invoice(Struct, frozen=True, kw_only=True):
    """The head of an invoice. Instants in ms. If `closed` is false, lines can still arrive.

    `digits`: the largest number of minor digits of its lines. `total` includes tax; all sums before it are net.
    """

    id: str
    customer_key: str
    currency: str
    digits: int
    # The period, as the calendar has it: a copy.
    start: int
    end: int
    period: str
    zone: str  # the IANA name of its time zone
    first_day: str  # local dates such as 2026-11-30
    last_day: str
    lines: int  # outcome rows
    unrated: int  # outcome rows without an amount yet
    subtotal: Decimal  # the sum of the rows' amounts, without manual lines and credits
    closed: bool
    reversed: int = 0  # outcome rows that were reversed before the end of the period
    sums: Sums | None = None  # by tax key; None until closed
    # The state after operations. `revision` counts them.
    revision: int = 0
    status: Status = "draft"
    number: str | None = None
    issued_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    reason: str | None = None  # for voiding it
    credited: Decimal = Decimal(0)  # by its credit rows
    credit_sums: dict[str, Decimal] = {}  # by tax key: `credited` without the commitment's part
    commitment_credited: Decimal = Decimal(0)  # the commitment's part of `credited`
    manual: tuple[ManualLine, ...] = ()  # in the order in which they were added
    overrides: tuple[TaxOverride, ...] = ()
    total: Decimal | None = None  # the net sum and its tax; None until issued
    issue_data: IssueData | None = None  # None until issued
    # All reversals that were accepted before this instant (ms) are credited by rows, those since then by credit notes.
    # It can grow until the invoice is issued.
    issued_through: int | None = None
    issue_date: str | None = None
    due_date: str | None = None
    # What pays it. The parts that were not applied to it are in the customer's balance.
    balance_used: Decimal = Decimal(0)  # from the customer's balance
    noted: Decimal = Decimal(0)  # by credit notes, with tax
    noted_net: Decimal = Decimal(0)
    note_taxes: tuple[TaxRow, ...] = ()  # by credit notes, for each category and rate
    notes_applied: Decimal = Decimal(0)
    notes: int = 0  # number of credit notes
    reversal_notes: dict[int, int] = {}  # those for reversals, by place: the start (ms) of the period of acceptance
    payments_total: Decimal = Decimal(0)  # of payments that are not reversed
    payments_applied: Decimal = Decimal(0)
    live_payments: int = 0  # number of payments that are not reversed
    payment_entries: int = 0  # number of payments and reversals
    paid_count: int = 0  # how often nothing remained due
    overdue_at: int | None = None  # when it was first found to be overdue
    # A revised invoice is void, and the next edition is a draft with the same rows.
    edition: int = 1
    revises: str | None = None  # the id of the edition before
    revises_number: str | None = None
    revised_by: str | None = None  # the id of the next edition
    opened_at: int | None = None  # when this edition was opened; None for the first one

    @property
    def stage(self) -> str:
        """The status for people: a draft whose period has not closed is `open`."""
        return "open" if self.status == "draft" and not self.closed else self.status

    @property
    def billed_period(self) -> Period:
        """Its period."""
        return Period(self.start, self.end, self.period, self.zone, self.first_day, self.last_day)

    @property
    def manual_sum(self) -> Decimal:
        """The sum of the applied amounts of its manual lines."""
        return exact_sum(line.applied for line in self.manual)

    @property
    def rows_sum(self) -> Decimal:
        """The sum of the amounts of all rows without credits."""
        return plus(self.subtotal, self.manual_sum) if self.manual else self.subtotal

    @property
    def net(self) -> Decimal:
        """The sum without tax, after its credit rows."""
        return difference(self.rows_sum, self.credited)

    @property
    def amount(self) -> Decimal:
        """The total; of a draft, the current net sum."""
        return self.net if self.total is None else self.total

    @property
    def tax_rows(self) -> tuple[TaxRow, ...]:
        """The tax of each category and rate; none before issue."""
        return () if self.issue_data is None else self.issue_data.tax_rows

    @property
    def taxed(self) -> Taxed:
        """What its tax is computed from. It must be closed."""
        assert self.sums is not None, self
        return Taxed(
            sums=self.sums,
            overrides=self.overrides,
            manual=self.manual,
            credited=self.credit_sums,
            commitment_credited=self.commitment_credited,
            digits=self.digits,
        )

    @property
    def due(self) -> Decimal | None:
        """The amount to pay, never below 0. None for an open, draft or void invoice."""
        if self.total is None or self.status in ("draft", "void"):
            return None
        return difference(self.total, exact_sum((self.payments_applied, self.notes_applied, self.balance_used)))

    @property
    def is_awaited(self) -> bool:
        """Whether its due date matters: it is not paid, and was not overdue before."""
        return self.status == "issued" and bool(self.due) and self.overdue_at is None


class PaymentEntry(Struct, frozen=True, kw_only=True):
    """A payment, or the reversal of one if `reverses` is set. `at`: the instant (ms) when it was recorded."""

    at: int
    amount: Decimal
    applied: Decimal
    date: str
    method: str | None = None
    reference: str | None = None
    reverses: int | None = None  # the index of the reversed entry

    @property
    def to_balance(self) -> Decimal:
        """The part that went to the customer's balance."""
        return difference(self.amount, self.applied)


class PeriodJson(Struct, frozen=True, kw_only=True):
    """The period of an invoice, as in its head."""

    period: str
    period_start: str
    period_end: str
    time_zone: str
    first_day: str
    last_day: str


def period_json(invoice: Invoice) -> dict[str, str]:
    """Return the fields of `PeriodJson`."""
    return {
        "period": invoice.period,
        "period_start": instant.render(invoice.start),
        "period_end": instant.render(invoice.end),
        "time_zone": invoice.zone,
        "first_day": invoice.first_day,
        "last_day": invoice.last_day,
    }


def invoice_id(customer_key: str, currency: str, period: Period) -> str:
    """Return the id of the first edition of an invoice."""
    return derived_id("invoice", customer_key, currency, instant.render(period.start))


def empty_invoice(customer_key: str, currency: str, digits: int, period: Period) -> Invoice:
    """Return an open draft of a period without lines."""
    return Invoice(
        id=invoice_id(customer_key, currency, period),
        customer_key=customer_key,
        currency=currency,
        digits=digits,
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


def edition_id(invoice: Invoice, edition: int) -> str:
    """Return the id of an edition of an invoice."""
    parts = (invoice.customer_key, invoice.currency, instant.render(invoice.start))
    return derived_id("invoice", *parts, *([] if edition == 1 else [str(edition)]))


def row_id(invoice: str, kind: str, *parts: str) -> str:
    """Return the id of a row. Outcome rows have the id of their line instead."""
    return derived_id("row", invoice, kind, *parts)


def adjustment_row(invoice: str, group: GroupKey, one: Adjustment) -> Row:
    """Return the row of a fee, minimum or cap. A group has at most one fee per tier, and one minimum or cap."""
    return Row(
        id=row_id(invoice, one.kind, *group.parts, str(one.working.get("tier", ""))),
        kind=one.kind,
        agent_key=group.agent,
        rate_card=one.price.rate_card,
        price_hash=one.price.hash,
        amount=format(one.amount, "f"),  # rounded already
        amount_exact=plain(one.exact),
        rated="at_close",
        working=one.working,
    )


def charge_row(invoice: str, one: Charge) -> Row:
    """Return the row of a recurring fee or commitment. An invoice has at most one per fee, and one of a commitment."""
    return Row(
        id=row_id(invoice, one.kind, one.key),
        kind=one.kind,
        agent_key=None,
        rate_card=one.card,
        price_hash=None,
        amount=format(one.amount, "f"),  # rounded already
        amount_exact=plain(one.exact),
        rated="at_close",
        working=one.working,
        tax=one.tax,
    )
