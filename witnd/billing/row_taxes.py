"""The tax keys of the rows of an invoice, as the API and documents show them."""

from functools import cached_property

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_terms import default_tax
from witnd.domain.invoices.sums import is_split
from witnd.domain.invoices.tax import key_of
from witnd.domain.pricing.ratecard import Price
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import RESTORE


class RowTaxes:
    """The tax keys of an invoice. `at`: the instant (ms) of the customer's key, for a draft.

    Raises `DamagedInvoice` for a row with a price that the catalogue does not have."""

    def __init__(self, catalogue: Catalogue, invoice: Invoice, at: int) -> None:
        self._catalogue = catalogue
        self._invoice = invoice
        self._at = at

    @cached_property
    def default(self) -> str | None:
        """The key of the rows without one of their own: the customer's, at issue or now."""
        if self._invoice.issue_data is not None:
            return self._invoice.issue_data.table.default
        return default_tax(self._catalogue, self._invoice, self._at)

    def own(self, row: Row) -> str:
        """Return the key of a row without its override; empty for that of the customer."""
        if row.price_hash is None:
            return row.tax or ""
        return self._price(row.price_hash).tax or ""

    def group_grade(self, row: Row) -> str | None:
        """Return the grade that the entry of a row's price names."""
        return None if row.price_hash is None else self._price(row.price_hash).grade

    def key(self, row: Row) -> str:
        """Return the key of a row with its override; empty for that of the customer."""
        return key_of(row.id, self.own(row), self._invoice.overrides)

    def shown(self, row: Row) -> str | None:
        """Return the key of a row or credit. None if it has no tax, or those of the rows that it acts on."""
        if row.kind in ("cap", "commitment_cap"):
            return None
        if row.kind == "credit":
            return key_of(row.corrects or "", row.tax or "", self._invoice.overrides) or self.default
        key = self.key(row)
        if row.kind == "commitment" and not key and self._invoice.sums is not None and is_split(self._invoice.sums):
            return None
        return key or self.default

    def _price(self, digest: str) -> Price:
        try:
            return self._catalogue.price_by_hash(digest)
        except KeyError:
            raise DamagedInvoice(
                f"a row of invoice {self._invoice.id} has the price {digest[:12]}, which the catalogue does not have",
                RESTORE,
            ) from None
