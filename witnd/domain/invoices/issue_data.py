"""What is stored with an invoice when it is issued, and never changes: its parties and the terms of its taxes."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.tax import TaxRow, TaxTable
from witnd.domain.values.money import decimal_string, product, to_minor

# More than any central bank publishes.
MAX_RATE_DIGITS: Final = 10


def parse_rate(text: str) -> Decimal:
    """Parse an exchange rate, such as "0.9213". Raises ValueError with the reason."""
    rate = decimal_string(text)
    if not rate:
        raise ValueError("must be greater than 0")
    if len(text.partition(".")[2]) > MAX_RATE_DIGITS:
        raise ValueError(f"has too many digits after the point; write at most {MAX_RATE_DIGITS}")
    return rate


class Exchange(Struct, frozen=True, kw_only=True):
    """An exchange rate for the tax: one unit of the invoice's currency is `rate` units of `currency`, which has
    `digits` minor digits."""

    currency: str
    digits: int
    rate: Decimal

    def converted(self, amount: Decimal) -> Decimal:
        """Return an amount in the other currency, halves rounded away from zero."""
        return to_minor(product(amount, self.rate), self.digits)


class IssueData(Struct, frozen=True, kw_only=True):
    """The parties and taxes of an issued invoice. The seller is without its logo; `seller_version` is the instant (ms)
    of the version of the catalogue that has it. `exchange`: for the tax in the seller's currency, if one was given."""

    customer_name: str
    customer_email: str | None = None
    seller: Seller | None = None
    seller_version: int | None = None
    buyer: Buyer | None = None
    table: TaxTable = TaxTable()
    tax_rows: tuple[TaxRow, ...] = ()
    exchange: Exchange | None = None
