"""Every export of the sample invoices, as it should look. `python -m tests.billing.golden_exports` writes them anew;
then look at the difference.

Pages are kept without their style sheet, which is the same in all of them and is judged by eye.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec.structs import replace

from tests.billing.bills import (
    ISSUED,
    all_of,
    cancelling_note,
    each,
    note,
    of_rows,
    opened,
    samples,
    taxed_note,
    taxed_samples,
    text,
)
from witnd.billing.export import csv_text, json_lines, stripe
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.page import invoice_page, note_page

GOLDEN = Path(__file__).parent / "golden"
COMMAND = "python -m tests.billing.golden_exports"
DAY = 86_400_000


async def exports() -> dict[str, str]:
    """File name → text."""
    bills = samples()
    several = bills["several"]
    rows = await all_of(several.rows())
    states = {
        "open": opened(several, rows),
        "paid": await head(
            bills["flat"],
            status="paid",
            paid_at=ISSUED + 9 * DAY,
            noted=several.invoice.credited,
            payments_applied=bills["flat"].invoice.total,
        ),
        "void": await head(bills["flat"], status="void", voided_at=ISSUED + DAY, reason="Sent to the wrong company"),
    }
    credit_note = note(several, rows[1], "-2.98")
    taxed = taxed_samples()
    taxed_credit = taxed_note(taxed["several-taxes"])
    everything = [*bills.values(), *states.values(), *taxed.values()]
    found = {
        "lines.csv": await text(csv_text.lines(each(*everything))),
        "invoices.csv": await text(csv_text.invoices(each(*everything))),
        "credit-notes.csv": await text(csv_text.notes(each_note(credit_note, taxed_credit))),
        "lines.jsonl": await text(json_lines.lines(each(*everything))),
        "invoices.jsonl": await text(json_lines.invoices(each(*everything))),
        "credit-notes.jsonl": await text(json_lines.notes(each_note(credit_note, taxed_credit))),
        "credit-note-german.html": unstyled(await text(note_page(taxed_note(taxed["german"])))),
        "credit-note-french.html": unstyled(await text(note_page(cancelling_note(taxed["french"])))),
        "stripe-lines.jsonl": await pushed(*bills.values(), *taxed.values(), what="lines"),
        "stripe-invoices.jsonl": await pushed(*bills.values(), *taxed.values(), what="invoices"),
        "credit-note.html": unstyled(await text(note_page(credit_note))),
        "credit-note-taxed.html": unstyled(await text(note_page(taxed_credit))),
        "credit-note-cancelling.html": unstyled(await text(note_page(cancelling_note(taxed["one-tax"])))),
    }
    for name, bill in {**bills, **states, **taxed}.items():
        found[f"{name}.html"] = unstyled(await text(invoice_page(bill)))
    found["summary.html"] = unstyled(await text(invoice_page(bills["several"], "summary")))
    return found


async def head(bill: Bill, **fields: object) -> Bill:
    rows = await all_of(bill.rows())
    prices = {row.price_hash: price for row in rows if (price := bill.price_of(row.price_hash)) is not None}
    return of_rows(replace(bill.invoice, **fields), rows, name=bill.customer_name, prices=prices)


async def pushed(*bills: Bill, what: str) -> str:
    return await text(stripe.requests(each(*bills), {"acme": "cus_Q4rT8vXkLm2N"}, what, rounded=True))


async def each_note(*papers: Note) -> AsyncIterator[Note]:
    for paper in papers:
        yield paper


def unstyled(page: str) -> str:
    return re.sub("<style>.*?</style>", "<style>…</style>", page, flags=re.DOTALL)


def write() -> None:
    for old in GOLDEN.iterdir():
        old.unlink()
    for name, content in asyncio.run(exports()).items():
        (GOLDEN / name).write_text(content, encoding="utf-8", newline="")


if __name__ == "__main__":
    write()
