"""What an invoice lacks for EN 16931, by the fields of its JSON form.

Each check names the rule of the standard that a file without the field would break.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.tax import TaxRow, tax_on
from witnd.domain.values.identifiers import has_country_prefix
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import difference, plain, to_minor

# BR-DEC-*: amounts have at most two digits after the point.
DIGITS_MAX: Final = 2
OUTSIDE_SCOPE: Final = "O"
REVERSE_CHARGE: Final = "AE"
INTRA_COMMUNITY: Final = "K"
EXPORT: Final = "G"
EXEMPT: Final = "E"


class Lack(Struct, frozen=True, kw_only=True):
    """A missing or unsuitable field. `is_required`: without it, there is no electronic invoice."""

    path: str
    problem: str
    remedy: str
    is_required: bool = True

    @property
    def mistake(self) -> Mistake:
        return Mistake(self.path, self.problem, self.remedy)

    def __str__(self) -> str:
        return f"{self.path} {self.problem}; {self.remedy}"


def lacks(data: IssueData, taxes: Sequence[TaxRow], currency: str, digits: int) -> list[Lack]:
    """Return what is missing. `taxes`: those of the invoice or credit note."""
    return [
        *_seller(data, taxes),
        *_buyer(data, taxes),
        *_taxes(taxes),
        *_currency(currency, digits),
        *_exchange_rate(data, taxes, currency),
    ]


def required(found: Iterable[Lack]) -> list[Lack]:
    return [one for one in found if one.is_required]


def _seller(data: IssueData, taxes: Sequence[TaxRow]) -> Iterator[Lack]:
    seller = data.seller
    if seller is None:
        yield Lack(path="seller", problem="is missing", remedy="add a [seller] to the catalogue")
        return
    if seller.country is None:  # BR-9
        yield Lack(path="seller.country", problem="is missing", remedy='set the country of [seller], such as "DE"')
    categories = {row.category for row in taxes}
    if OUTSIDE_SCOPE in categories:  # BR-CO-26; a VAT number must not be there (BR-O-2)
        if seller.registration is None and seller.tax_id is None:
            remedy = "set the registration of [seller], such as its number in the commercial register"
            yield Lack(path="seller.registration", problem="is missing", remedy=remedy)
        return
    if seller.tax_id is None:  # BR-S-2 and those of the other categories, BR-CO-26
        yield Lack(path="seller.tax_id", problem="is missing", remedy="set the tax_id of [seller]")
        return
    needs_vat = sorted(categories & {INTRA_COMMUNITY, EXPORT})  # BR-IC-2, BR-G-2
    if needs_vat and not has_country_prefix(seller.tax_id):
        problem = f"{seller.tax_id!r} is not a VAT number with the prefix of its country"
        remedy = f"set the VAT number of [seller], which taxes of category {' and '.join(needs_vat)} require"
        yield Lack(path="seller.tax_id", problem=problem, remedy=remedy)
    elif not has_country_prefix(seller.tax_id) and seller.registration is None:  # BR-CO-26
        remedy = "set the registration of [seller], because its tax_id is not a VAT number with the prefix of a country"
        yield Lack(path="seller.registration", problem="is missing", remedy=remedy)


def _buyer(data: IssueData, taxes: Sequence[TaxRow]) -> Iterator[Lack]:
    buyer = data.buyer
    if buyer is None or buyer.country is None:  # BR-10, BR-11
        remedy = "set billing.address, billing.city and billing.country of the customer"
        yield Lack(path="buyer.country", problem="is missing from the address", remedy=remedy)
    needs_id = sorted({row.category for row in taxes} & {REVERSE_CHARGE, INTRA_COMMUNITY})  # BR-AE-2, BR-IC-2
    tax_id = None if buyer is None else buyer.tax_id
    if needs_id and (tax_id is None or not has_country_prefix(tax_id)):
        problem = "is missing" if tax_id is None else f"{tax_id!r} is not a VAT number with the prefix of its country"
        remedy = f"set billing.tax_id of the customer, which taxes of category {' and '.join(needs_id)} require"
        yield Lack(path="buyer.tax_id", problem=problem, remedy=remedy)


def _taxes(taxes: Sequence[TaxRow]) -> Iterator[Lack]:
    if not taxes:  # BR-CO-4, BR-CO-18
        remedy = "set billing.tax of the customer to the key of a tax, even if nothing is taxed"
        yield Lack(path="tax_rows", problem="is empty: the lines have no tax", remedy=remedy)
    if len(taxes) > 1 and any(row.category == OUTSIDE_SCOPE for row in taxes):  # BR-O-11 to BR-O-14
        problem = "has a tax of category O together with others"
        yield Lack(path="tax_rows", problem=problem, remedy="bill what is outside the scope of tax separately")
    for place, row in enumerate(taxes):
        if row.category == EXEMPT and not row.note:  # BR-E-10
            remedy = f"add the reason of the exemption as the note of tax {row.name!r}"
            yield Lack(path=f"tax_rows[{place}].note", problem="is missing", remedy=remedy)
        if not _has_tax_of_rate(row):
            problem = f"is {plain(row.tax)}, which is not {plain(row.rate)} % of {plain(row.taxable)}"
            yield Lack(path=f"tax_rows[{place}].tax", problem=problem, remedy="send the PDF instead")


def _has_tax_of_rate(row: TaxRow) -> bool:
    """Return whether the official rules accept the tax (BR-CO-17, BR-S-9): it may differ by less than 1. A credit note
    differs by more if it gives back a line whose tax a discount or cap had reduced. Rates below 0.5 % count as 0.
    """
    if row.rate and to_minor(row.rate, 0) == 0:
        return to_minor(row.tax, 0) == 0
    return abs(difference(row.tax, tax_on(row.taxable, row.rate, DIGITS_MAX))) < 1


def _currency(currency: str, digits: int) -> Iterator[Lack]:
    if digits > DIGITS_MAX:
        problem = f"{currency} has {digits} digits after the point, and EN 16931 allows {DIGITS_MAX}"
        yield Lack(path="currency", problem=problem, remedy="send the PDF instead")


def _exchange_rate(data: IssueData, taxes: Sequence[TaxRow], currency: str) -> Iterator[Lack]:
    """The VAT directive (article 230) requires the tax in the currency of the seller's country; no rule of the
    standard can check that."""
    country = None if data.seller is None else data.seller.country
    if country is None or data.exchange is not None or not any(row.tax for row in taxes):
        return
    own = _currencies(country)
    if own and currency not in own:
        yield Lack(
            path="exchange_rate",
            problem=f"is missing: the invoice is in {currency}, and the seller reports its tax in {own[0]}",
            remedy=f"issue it with an exchange rate: how many {own[0]} one {currency} is worth",
            is_required=False,
        )


def _currencies(country: str) -> list[str]:
    from babel.numbers import get_territory_currencies  # noqa: PLC0415 - only needed to issue invoices

    return list(get_territory_currencies(country))
