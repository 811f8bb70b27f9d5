"""The seller: who issues the invoices. A catalogue has at most one."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from witnd.domain.values.company import compacted, printed_text, read_company
from witnd.domain.values.fields import Table, text_problem
from witnd.domain.values.identifiers import compact_bic, compact_iban
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.png import MAX_BYTES, canonical_png

#: The key of the only seller.
SELLER_KEY: Final = "seller"
FIELDS: Final = (
    "name", "address", "postal_code", "city", "country", "tax_id", "registration", "email", "phone", "iban", "bic",
    "footer", "logo", "payment_terms_days", "locale",
)  # fmt: skip
DEFAULT_TERMS_DAYS: Final = 30
DEFAULT_LOCALE: Final = "en"
# A few lines at the end of a page.
MAX_FOOTER_LENGTH: Final = 1000
# Base64 with line breaks. Longer text is refused without decoding it.
_MAX_LOGO_LENGTH: Final = 10 * MAX_BYTES


class Seller(Struct, frozen=True, kw_only=True):
    """A version of the seller. `country`: an ISO 3166-1 code. `logo`: the base64 text of a PNG. `locale`: the
    language of its documents."""

    name: str
    address: tuple[str, ...] = ()
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    tax_id: str | None = None
    registration: str | None = None
    email: str | None = None
    phone: str | None = None
    iban: str | None = None
    bic: str | None = None
    footer: str | None = None
    logo: str | None = None
    payment_terms_days: int = DEFAULT_TERMS_DAYS
    locale: str = DEFAULT_LOCALE

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Seller":
        return cls(**{**content, "address": tuple(content.get("address", ()))})


def read_seller(raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the canonical content of the seller from user input, without absent fields, and its mistakes."""
    table = Table(raw, path, FIELDS)
    read = {"payment_terms_days": DEFAULT_TERMS_DAYS, "locale": DEFAULT_LOCALE} | read_company(table)
    read |= {
        "name": printed_text(table, "name", remedy="write the name of the company that issues the invoices"),
        "registration": printed_text(table, "registration"),
        "phone": printed_text(table, "phone"),
        "iban": compacted(table, "iban", printed_text(table, "iban"), compact_iban),
        "bic": compacted(table, "bic", printed_text(table, "bic"), compact_bic),
        "footer": printed_text(table, "footer", longest=MAX_FOOTER_LENGTH, has_lines=True),
        "logo": _logo(table),
    }
    content = {name: read[name] for name in FIELDS if read.get(name) is not None}
    return content, table.mistakes


def _logo(table: Table) -> str | None:
    value = table.get("logo")
    if value is None:
        return None
    problem = text_problem(value, _MAX_LOGO_LENGTH)
    try:
        if problem is None and isinstance(value, str):
            return canonical_png(value)
    except ValueError as wrong:
        problem = str(wrong)
    table.refuse("logo", problem or "")
    return None
