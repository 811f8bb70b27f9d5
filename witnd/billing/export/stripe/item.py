"""The form of the items that Stripe accepts."""

from msgspec import Struct


class ItemPeriod(Struct, frozen=True):
    """Seconds since 1970. Stripe includes the end, so it is the last second of the period."""

    start: int
    end: int


class Item(Struct, frozen=True, kw_only=True):
    """The parameters of one invoice item."""

    customer: str
    amount: int
    currency: str
    description: str
    period: ItemPeriod
    metadata: dict[str, str]


class Request(Struct, frozen=True, kw_only=True):
    """One line of the export: the `Idempotency-Key` header and the body."""

    idempotency_key: str
    invoice_item: Item
