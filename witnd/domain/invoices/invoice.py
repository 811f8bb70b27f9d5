"""An invoice: what one customer owes in one currency for one period, row by row.

Types and ids. How rows are priced is in `rating`, what may be done to an invoice in `invoicing`.
"""

from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference
from witnd.domain.values.period import Period

# outcome: a confirmed outcome. fee, minimum, cap: what the whole group of a price adds or takes when the period
# closes. credit: takes back (part of) the row that it corrects.
Kind: TypeAlias = Literal["outcome", "fee", "minimum", "cap", "credit"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Status: TypeAlias = Literal["draft", "issued", "paid", "void"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)


class Row(Struct, frozen=True, kw_only=True):
    """One row. Amounts and quantities are decimal strings; `amount` has exactly the currency's minor digits.

    The three prices are None while `rated` is "at_close" and the period has not closed.
    """

    id: str
    kind: Kind
    agent_key: str
    rate_card: str
    price_hash: str
    amount: str | None
    amount_exact: str | None
    rated: str
    price_per_unit: str | None = None
    # Of an outcome, and of a credit for one.
    outcome_key: str | None = None
    resolved_at: int | None = None  # ms; of a credit: when it was given
    contract_hash: str | None = None
    unit: str | None = None
    working: dict[str, Any] | None = None  # how the amount came about, where unit × price does not say it
    corrects: str | None = None  # the id of the row that a credit is for
    reason: str | None = None
    repaired_at: int | None = None  # ms; when the outcome was repaired, if it was on hold when it was due

    @property
    def billed_at(self) -> int:
        """The instant that rows are ordered by, and that lies in the period of their invoice."""
        return (self.resolved_at if self.repaired_at is None else self.repaired_at) or 0


class Invoice(Struct, frozen=True, kw_only=True):
    """The head of an invoice. Instants in ms. While `closed` is false, lines still arrive.

    `digits`: the most digits after the point that one of its lines has.
    """

    id: str
    customer_key: str
    currency: str
    digits: int
    start: int
    end: int
    period: str
    lines: int  # outcome rows
    unrated: int  # of them without an amount yet
    subtotal: Decimal  # of the rows that have an amount, credits not counted
    closed: bool
    # From here on: what was done to it. `revision` counts that.
    revision: int = 0
    status: Status = "draft"
    number: str | None = None
    issued_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    reason: str | None = None  # why it was voided
    credited: Decimal = Decimal(0)  # by credit rows of its own
    noted: Decimal = Decimal(0)  # by credit notes
    notes: int = 0  # how many of them there are
    carried: Decimal = Decimal(0)  # paid by the customer's credit
    total: Decimal | None = None  # what is to be paid; None until it is issued

    @property
    def stage(self) -> str:
        """The status for people, who want to know whether lines still arrive."""
        return "open" if self.status == "draft" and not self.closed else self.status

    @property
    def payable(self) -> Decimal:
        """What is to be paid of it: of a draft so far, and before the customer's credit pays its part."""
        owed = difference(difference(self.subtotal, self.credited), self.carried)
        return owed if self.total is None else self.total


def invoice_id(customer_key: str, currency: str, period: Period) -> str:
    return derived_id("invoice", customer_key, currency, instant.render(period.start))


def row_id(invoice: str, kind: str, *parts: str) -> str:
    """The id of a row that is no outcome's: those have the id of their line."""
    return derived_id("row", invoice, kind, *parts)
