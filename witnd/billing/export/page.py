"""Render an invoice or credit note as one self-contained HTML page to print.

It has no scripts, fonts or requests, and no image but the seller's logo, which is part of it. It is streamed while the
rows are read.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from witnd.billing.export.bill import Bill, Note, in_chunks
from witnd.billing.export.note_view import note_rows, note_view
from witnd.billing.export.page_view import SectionView, credit_views, invoice_view, section_view
from witnd.billing.export.sections import InvoiceSummary, credit_rows, outcomes, summarise

#: Whether a document lists every outcome, or only the sums of each agent and price.
Detail: TypeAlias = Literal["full", "summary"]

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    enable_async=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


async def invoice_page(bill: Bill, detail: Detail = "full") -> AsyncIterator[str]:
    found = await summarise(bill.rows, bill.tax_of)
    parts = _TEMPLATES.get_template("invoice.html").generate_async(
        view=invoice_view(bill, found, lists_outcomes=detail == "full"),
        sections=_sections(bill, found),
        credits=credit_views(bill, credit_rows(bill.rows)),
        zone=bill.times.zone,
        running=css_string(f"{bill.words('invoice')} {bill.title}"),
    )
    async for chunk in in_chunks(parts):
        yield chunk


async def note_page(paper: Note) -> AsyncIterator[str]:
    parts = _TEMPLATES.get_template("credit_note.html").generate_async(
        view=note_view(paper),
        rows=note_rows(paper),
        running=css_string(f"{paper.words('credit_note')} {paper.title}"),
    )
    async for chunk in in_chunks(parts):
        yield chunk


async def _sections(bill: Bill, found: InvoiceSummary) -> AsyncIterator[SectionView]:
    async for group, rows in outcomes(bill.rows, found.groups):
        yield section_view(bill, group, rows)


def css_string(text: str) -> str:
    """Escape text for a quoted CSS string inside a style element."""
    return "".join([one if one.isalnum() and one.isascii() else f"\\{ord(one):x} " for one in text])
