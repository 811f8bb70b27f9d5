"""What is stored with an invoice when it is issued, and never changes: its parties and the terms of its taxes; and the
JSON form of the parties."""

from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.tax import TaxRow, TaxTable, tax_sum
from witnd.domain.values.money import decimal_string, minor_text, plain, product, to_minor

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


class SellerJson(Struct, frozen=True, kw_only=True):
    """The seller of an invoice."""

    name: str
    address: tuple[str, ...]
    postal_code: str | None
    city: str | None
    country: str | None
    tax_id: str | None
    registration: str | None
    email: str | None
    phone: str | None
    iban: str | None
    bic: str | None
    footer: str | None
    payment_terms_days: int
    locale: str


class BuyerJson(Struct, frozen=True, kw_only=True):
    """The customer of an invoice, with its billing data. `tax`: the tax key of rows that have no other."""

    key: str
    name: str
    legal_name: str | None
    address: tuple[str, ...]
    postal_code: str | None
    city: str | None
    country: str | None
    tax_id: str | None
    purchase_order: str | None
    email: str | None
    payment_terms_days: int | None
    tax: str | None
    locale: str | None


class ExchangeJson(Struct, frozen=True, kw_only=True):
    """The exchange rate of an invoice: one unit of its currency is `rate` units of `currency`. `tax`: its tax in that
    currency."""

    currency: str
    rate: str
    tax: str


def seller_json(data: IssueData) -> SellerJson | None:
    if data.seller is None:
        return None
    fields = asdict(data.seller)
    return SellerJson(**{name: fields[name] for name in SellerJson.__struct_fields__})


def buyer_json(customer_key: str, data: IssueData) -> BuyerJson:
    fields = asdict(data.buyer or Buyer())
    fields["email"] = fields["email"] or data.customer_email
    return BuyerJson(key=customer_key, name=data.customer_name, **fields)


def exchange_json(data: IssueData) -> ExchangeJson | None:
    exchange = data.exchange
    if exchange is None:
        return None
    tax = minor_text(exchange.converted(tax_sum(data.tax_rows)), exchange.digits)
    return ExchangeJson(currency=exchange.currency, rate=plain(exchange.rate), tax=tax)
