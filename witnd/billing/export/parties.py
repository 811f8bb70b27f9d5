"""The seller and the customer on a printed document."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from witnd.billing.export.words import Words, show_control_characters
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.values.identifiers import has_vat_prefix

# ISO 13616 prints an IBAN in groups of four.
_IBAN_GROUP: Final = 4


class SellerView(Struct, frozen=True, kw_only=True):
    """The seller at the top of a document, and what is printed at its end. `logo`: a data URL."""

    name: str
    address: list[str]
    contact: list[str]
    foot: list[str]
    logo: str | None


class BuyerView(Struct, frozen=True, kw_only=True):
    """The customer of a document."""

    name: str
    address: list[str]
    email: str | None
    tax_id: str | None = None
    tax_label: str = ""
    purchase_order: str | None = None


def seller_view(data: IssueData | None, logo: str | None, words: Words) -> SellerView | None:
    """Return the seller; None without one. `logo`: the base64 text of a PNG."""
    if data is None or data.seller is None:
        return None
    seller = data.seller
    return SellerView(
        name=show_control_characters(seller.name),
        address=_address(seller, words),
        contact=_shown(seller.email, seller.phone),
        foot=list(_foot(seller, words)),
        logo=None if logo is None else f"data:image/png;base64,{logo}",
    )


def buyer_view(data: IssueData | None, name: str, email: str | None, words: Words) -> BuyerView:
    """Return the customer. `name` and `email` are those of a customer without billing data."""
    buyer = None if data is None else data.buyer
    if buyer is None:
        return BuyerView(name=show_control_characters(name), address=[], email=_one(email))
    return BuyerView(
        name=show_control_characters(buyer.legal_name or name),
        address=_address(buyer, words),
        email=_one(buyer.email or email),
        tax_id=_one(buyer.tax_id),
        tax_label=_tax_label(buyer.tax_id, words),
        purchase_order=_one(buyer.purchase_order),
    )


def _address(party: Seller | Buyer, words: Words) -> list[str]:
    city = " ".join(_shown(party.postal_code, party.city))
    country = None if party.country is None else words.country(party.country)
    return _shown(*party.address, city or None, country)


def _foot(seller: Seller, words: Words) -> Iterator[str]:
    """Yield the lines at the end of a page: identifiers, the bank account, and the seller's own text."""
    if seller.tax_id is not None:
        yield f"{_tax_label(seller.tax_id, words)} {show_control_characters(seller.tax_id)}"
    if seller.registration is not None:
        yield show_control_characters(seller.registration)
    if seller.iban is not None:
        iban = " ".join(seller.iban[at : at + _IBAN_GROUP] for at in range(0, len(seller.iban), _IBAN_GROUP))
        yield show_control_characters(f"IBAN {iban}" + ("" if seller.bic is None else f", BIC {seller.bic}"))
    elif seller.bic is not None:
        yield show_control_characters(f"BIC {seller.bic}")
    if seller.footer is not None:
        yield from _shown(*seller.footer.split("\n"))


def _tax_label(tax_id: str | None, words: Words) -> str:
    return words("vat_id" if has_vat_prefix(tax_id or "") else "tax_id")


def _shown(*texts: str | None) -> list[str]:
    """Return the texts that exist, with visible control characters."""
    return [show_control_characters(text) for text in texts if text]


def _one(text: str | None) -> str | None:
    return None if text is None else show_control_characters(text)
