"""Types and ids of invoices: the rows of one customer in one currency for one period."""

from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference, exact_sum
from witnd.domain.values.period import Period

# outcome: a confirmed outcome. fee, minimum, cap: adjustments of a group when the period closes. credit: reduces the
# row that it corrects. recurring: a fee for the period. commitment, commitment_cap: adjust the sum of the outcomes and
# of their adjustments. Stored rows have the place of their kind in this list.
Kind: TypeAlias = Literal["outcome", "fee", "minimum", "cap", "credit", "recurring", "commitment", "commitment_cap"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Status: TypeAlias = Literal["draft", "issued", "paid", "void"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)


class Row(Struct, frozen=True, kw_only=True):
    """A row. Amounts and quantities are decimal strings; `amount` has exactly the currency's minor digits.

    The three prices are None if `rated` is "at_close" and the period is open. `agent_key` and `price_hash` are None for
    recurring fees and commitments.
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
    resolved_at: int | None = None  # ms; of a credit: its creation
    contract_hash: str | None = None
    unit: str | None = None
    working: dict[str, Any] | None = None  # the calculation, None if it is unit × price
    corrects: str | None = None  # the id of the row that a credit is for
    reason: str | None = None
    repaired_at: int | None = None  # ms; when the outcome was repaired, if it was on hold at its deadline

    @property
    def billed_at(self) -> int:
        """The instant (ms) that orders rows. It lies in the period of the invoice."""
        return (self.resolved_at if self.repaired_at is None else self.repaired_at) or 0


class Invoice(Struct, frozen=True, kw_only=True):
    """The head of an invoice. Instants in ms. If `closed` is false, lines can still arrive.

    `digits`: the largest number of minor digits of its lines.
    """

    id: str
    customer_key: str
    currency: str
    digits: int
    start: int
    end: int
    period: str
    lines: int  # outcome rows
    unrated: int  # outcome rows without an amount yet
    subtotal: Decimal  # the sum of the rows' amounts, without credits
    closed: bool
    # The state after operations. `revision` counts them.
    revision: int = 0
    status: Status = "draft"
    number: str | None = None
    issued_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    reason: str | None = None  # for voiding it
    credited: Decimal = Decimal(0)  # by its credit rows
    total: Decimal | None = None  # the subtotal without its credit rows; None until issued
    issue_date: str | None = None
    due_date: str | None = None
    # What pays it. The parts that were not applied to it are in the customer's balance.
    balance_used: Decimal = Decimal(0)  # from the customer's balance
    noted: Decimal = Decimal(0)  # by credit notes
    notes_applied: Decimal = Decimal(0)
    notes: int = 0  # number of credit notes
    payments_total: Decimal = Decimal(0)  # of payments that are not reversed
    payments_applied: Decimal = Decimal(0)
    live_payments: int = 0  # number of payments that are not reversed
    payment_entries: int = 0  # number of payments and reversals
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
    def amount(self) -> Decimal:
        """The total; of a draft, the current one."""
        return difference(self.subtotal, self.credited) if self.total is None else self.total

    @property
    def due(self) -> Decimal | None:
        """The amount to pay, never below 0. None for an open, draft or void invoice."""
        if self.total is None or self.status in ("draft", "void"):
            return None
        return difference(self.total, exact_sum((self.payments_applied, self.notes_applied, self.balance_used)))


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


def invoice_id(customer_key: str, currency: str, period: Period) -> str:
    """Return the id of the first edition of an invoice."""
    return derived_id("invoice", customer_key, currency, instant.render(period.start))


def edition_id(invoice: Invoice, edition: int) -> str:
    """Return the id of an edition of an invoice."""
    parts = (invoice.customer_key, invoice.currency, instant.render(invoice.start))
    return derived_id("invoice", *parts, *([] if edition == 1 else [str(edition)]))


def row_id(invoice: str, kind: str, *parts: str) -> str:
    """Return the id of a row. Outcome rows have the id of their line instead."""
    return derived_id("row", invoice, kind, *parts)
