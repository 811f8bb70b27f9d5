"""The content of an electronic invoice in the terms of EN 16931; comments name its business terms (BT)."""

from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

INVOICE: Final = "380"  # codes of UNTDID 1001
CREDIT_NOTE: Final = "381"


class Party(Struct, frozen=True, kw_only=True):
    """The seller or buyer. `vat_id`: with the prefix of its country; `tax_number`: any other tax registration."""

    name: str  # BT-27, BT-44
    trading_name: str | None = None  # BT-28, BT-45
    registration: str | None = None  # BT-30
    vat_id: str | None = None  # BT-31, BT-48
    tax_number: str | None = None  # BT-32
    email: str | None = None
    phone: str | None = None
    address: tuple[str, ...] = ()
    postal_code: str | None = None
    city: str | None = None
    country: str


class Line(Struct, frozen=True, kw_only=True):
    """A line. `quantity` may be negative, `price` is not. `net` = quantity × price, rounded. `rate` is None outside
    the scope of tax."""

    number: int
    name: str  # BT-153
    description: str | None = None  # BT-154
    quantity: str
    price: str
    net: Decimal
    category: str
    rate: Decimal | None


class TaxPart(Struct, frozen=True, kw_only=True):
    """The tax of a category and rate. `reason` and `reason_code`: why there is none."""

    category: str
    rate: Decimal | None
    taxable: Decimal
    tax: Decimal
    reason: str | None = None  # BT-120
    reason_code: str | None = None  # BT-121


class OtherCurrency(Struct, frozen=True, kw_only=True):
    """The tax in the currency in which the seller reports it."""

    currency: str  # BT-6
    digits: int
    tax: Decimal  # BT-111


class Account(Struct, frozen=True, kw_only=True):
    """Where to pay. `means`: 58 (SEPA) or 30 (another credit transfer), of UNTDID 4461."""

    means: Literal["30", "58"]
    iban: str
    bic: str | None
    owner: str


class EInvoice(Struct, frozen=True, kw_only=True):
    """An invoice or credit note. Dates are texts such as 2026-11-30; amounts are at most 2 digits after the point."""

    type_code: str
    number: str
    issue_date: str
    due_date: str | None
    terms: str | None  # BT-20
    currency: str
    digits: int
    notes: tuple[str, ...]
    purchase_order: str | None
    corrects: str | None  # BT-25: the number of the invoice that a credit note is for
    corrects_date: str | None
    seller: Party
    buyer: Party
    first_day: str | None  # BT-73
    last_day: str | None  # BT-74, included; also BT-72, when the services were completed
    delivered_to: str | None  # BT-80: a country
    account: Account | None
    lines: tuple[Line, ...]
    taxes: tuple[TaxPart, ...]
    net: Decimal  # BT-106 and BT-109: there are no charges or allowances on the document
    tax: Decimal  # BT-110
    total: Decimal  # BT-112
    paid: Decimal  # BT-113
    due: Decimal  # BT-115
    other_currency: OtherCurrency | None = None
