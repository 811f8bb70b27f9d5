"""The JSON form of what is stored with an issued invoice: its seller, its buyer and its exchange rate."""

from msgspec import Struct
from msgspec.structs import asdict

from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.tax import tax_sum
from witnd.domain.values.money import minor_text, plain


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
