"""The lines of an invoice as people read them: in parts, each with how its amount came about."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Final

from msgspec import Struct

from witnd.billing.export.bill import manual_descriptions
from witnd.billing.export.page_view import row_price
from witnd.billing.export.wording import ENGLISH
from witnd.domain.invoices.credit import CREDITABLE
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import LineJson
from witnd.domain.pricing.working import adjustment_title, working_text
from witnd.domain.values.money import minor_text
from witnd.web.dashboard.present.words import link

_ADJUSTED: Final = "adjustment"
_NAMES: Final = {
    "outcome": "Confirmed outcomes",
    "credit": "Credits",
    "manual": "Manual lines",
    _ADJUSTED: "Fees, minimums and caps",
}
# Caps have the taxes of the lines that they reduce, and credits that of their line.
_UNTAXED: Final = ("cap", "commitment_cap", "credit")


class LineView(Struct, frozen=True, kw_only=True):
    """A line. `given`: what was given back of it, where anything was; `credit`: where more of it can be. Of a draft,
    `remove`: where a manual line is removed, and `tax`: where its tax is changed."""

    line: LineJson
    name: str  # of one that is no outcome's; of a credit without an outcome, what it is for
    price: str
    how: str
    given: str | None
    credit: str | None
    choice: str  # the value of its box, for a credit of several lines
    remove: str | None
    tax: str | None


class Section(Struct, frozen=True, kw_only=True):
    """Lines of one kind. `code`: `outcome`, `credit`, `manual` or `adjustment`."""

    code: str
    name: str
    lines: list[LineView]

    @property
    def creditable(self) -> bool:
        return any(line.credit is not None for line in self.lines)


def sections(invoice: Invoice, found: Sequence[LineJson], given: Sequence[Decimal]) -> list[Section]:
    """Lines in the order in which they are found. `given`: how much was given back of each."""
    both = zip(found, given, strict=True)
    return [
        Section(code=code, name=_NAMES[code], lines=[_shown(invoice, line, back) for line, back in group])
        for code, group in groupby(both, key=lambda one: one[0].kind if one[0].kind in _NAMES else _ADJUSTED)
    ]


def _shown(invoice: Invoice, line: LineJson, given: Decimal) -> LineView:
    asks = line.kind in CREDITABLE and line.amount is not None and Decimal(line.amount) > given
    is_draft = invoice.status == "draft"
    return LineView(
        line=line,
        name=_name(line, manual_descriptions(invoice)),
        price=row_price(line, invoice.digits, ENGLISH),
        how="".join(_how(line)),
        given=minor_text(-given, invoice.digits) if given else None,
        choice=f"outcome:{line.outcome_key}" if line.kind == "outcome" else "line",
        credit=_address(invoice, line, "credit") if asks and invoice.status != "void" else None,
        remove=link("invoices", invoice.id, "lines", line.id, "remove") if is_draft and line.kind == "manual" else None,
        tax=_address(invoice, line, "tax") if is_draft and invoice.closed and line.kind not in _UNTAXED else None,
    )


def _name(line: LineJson, descriptions: Mapping[str, str]) -> str:
    if line.kind == "manual":
        return line.description or ""
    return adjustment_title(line.kind, line.working) if line.kind != "credit" else credited_name(line, descriptions)


def credited_name(line: LineJson, descriptions: Mapping[str, str]) -> str:
    """Return what a credit without an outcome is for. `descriptions`: of manual lines, by their ids."""
    if line.agent_key is not None:
        return f"the period adjustment of {line.agent_key}"
    return descriptions.get(line.corrects or "") or "a fee or commitment"


def _address(invoice: Invoice, line: LineJson, form: str) -> str:
    """Where a form about a line is. The line of an outcome is found by its key in invoices of any size."""
    name = invoice.number or invoice.id
    if line.kind == "outcome":
        return link("invoices", name, form, outcome=line.outcome_key)
    return link("invoices", name, form, row=line.id)


def _how(line: LineJson) -> Iterator[str]:
    if line.working is not None:
        yield working_text(line.working)
    elif line.kind == "outcome" and line.amount is None:
        yield "The price depends on all outcomes of the period and is calculated when the period closes."
    elif line.kind == "outcome":
        yield f"{line.unit} × {line.price_per_unit} = {line.amount_exact}"
        if Decimal(line.amount or 0) != Decimal(line.amount_exact or 0):
            yield f", rounded to {line.amount}"
