"""Types and ids of invoices: the rows of one customer in one currency for one period."""

from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference
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
    noted: Decimal = Decimal(0)  # by credit notes
    notes: int = 0  # number of credit notes
    carried: Decimal = Decimal(0)  # paid from the customer's balance
    total: Decimal | None = None  # the amount to pay; None until issued

    @property
    def stage(self) -> str:
        """The status for people: a draft whose period has not closed is `open`."""
        return "open" if self.status == "draft" and not self.closed else self.status

    @property
    def payable(self) -> Decimal:
        """The amount to pay; of a draft, the current amount before the balance is applied."""
        owed = difference(difference(self.subtotal, self.credited), self.carried)
        return owed if self.total is None else self.total


def invoice_id(customer_key: str, currency: str, period: Period) -> str:
    return derived_id("invoice", customer_key, currency, instant.render(period.start))


def row_id(invoice: str, kind: str, *parts: str) -> str:
    """Return the id of a row. Outcome rows have the id of their line instead."""
    return derived_id("row", invoice, kind, *parts)
