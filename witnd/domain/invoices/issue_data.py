"""What is stored with an invoice when it is issued, and never changes: its parties and the terms of its taxes."""

from msgspec import Struct

from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.tax import TaxRow, TaxTable


class IssueData(Struct, frozen=True, kw_only=True):
    """The parties and taxes of an issued invoice. The seller is without its logo; `seller_version` is the instant (ms)
    of the version of the catalogue that has it."""

    customer_name: str
    customer_email: str | None = None
    seller: Seller | None = None
    seller_version: int | None = None
    buyer: Buyer | None = None
    table: TaxTable = TaxTable()
    tax_rows: tuple[TaxRow, ...] = ()
