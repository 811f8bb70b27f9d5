"""The buyer: a customer's `billing` table, which documents print and invoices freeze."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from witnd.domain.values.company import printed_text, read_company
from witnd.domain.values.fields import Table, field_path

#: The field of a customer.
BILLING: Final = "billing"
FIELDS: Final = (
    "legal_name", "address", "postal_code", "city", "country", "tax_id", "purchase_order", "email",
    "payment_terms_days", "tax", "locale",
)  # fmt: skip


class Buyer(Struct, frozen=True, kw_only=True):
    """The billing data of a customer. `country`: an ISO 3166-1 code. `tax`: the key of the tax for everything that
    names no other. Without `payment_terms_days` or `locale`, those of the seller apply."""

    legal_name: str | None = None
    address: tuple[str, ...] = ()
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    tax_id: str | None = None
    purchase_order: str | None = None
    email: str | None = None
    payment_terms_days: int | None = None
    tax: str | None = None
    locale: str | None = None

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Buyer":
        return cls(**{**content, "address": tuple(content.get("address", ()))})


def read_billing(table: Table) -> dict[str, Any]:
    """Return the field `billing` of a customer in canonical form, without absent fields. Adds errors to the table's
    mistakes."""
    raw = table.get(BILLING)
    if raw is None:
        return {}
    inner = Table(raw, field_path(table.path, BILLING), FIELDS)
    read = read_company(inner) | {
        "legal_name": printed_text(inner, "legal_name"),
        "purchase_order": printed_text(inner, "purchase_order"),
        "tax": inner.optional_text("tax"),
    }
    table.mistakes.extend(inner.mistakes)
    return {name: read[name] for name in FIELDS if read.get(name) is not None}
