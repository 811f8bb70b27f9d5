"""The generated parts of the page on exports: its columns, and samples of what the command writes."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from tests.billing.bills import VAT, bill, each, price, text
from witnd.billing.export import csv_text, json_lines, stripe
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.tax import TaxRow, TaxTable

#: What a column or member means. `csv` and `jsonl` have the same names.
MEANINGS = {
    "id": "of the invoice, line or credit note: [derived](ids.md), the same for ever",
    "number": "given when it is issued",
    "status": "`draft`, `issued`, `paid` or `void`",
    "closed": "false while lines still arrive",
    "customer_key": "whose it is",
    "currency": "ISO 4217 code",
    "period": "`month`, `week`, `day` or `hour`",
    "period_start": "first instant of the period",
    "period_end": "first instant behind it",
    "time_zone": "the IANA name of the billing time zone in this period",
    "first_day": "the first local date of the period",
    "last_day": "its last local date",
    "resolved_local": "`resolved_at` as a local time, with its offset from UTC",
    "lines": "of an invoice: how many outcomes it has; of a credit note: its lines, as JSON",
    "unrated": "how many of them get their amounts when the period closes",
    "subtotal": "sum of all lines but credits, without tax",
    "credited": "taken off by credit lines of this invoice, without tax",
    "tax": "of an invoice or credit note: the sum of its taxes; of a line: the key of its tax",
    "tax_rows": "JSON Lines only: the tax of each category and rate, see [taxes](invoices.md#taxes)",
    "total": "`subtotal` − `credited` + `tax`, from when it is issued; of a credit note `amount` + `tax`",
    "balance_used": "paid by the customer's balance when it was issued",
    "payments_applied": "paid by payments that are not reversed",
    "noted": "given back by credit notes after it was issued, with tax",
    "notes_applied": "the part of that which reduced what was due",
    "due": "what is to be paid; while it is issued or paid",
    "issue_date": "date of the issue: today in the billing time zone, or an earlier one that was chosen",
    "due_date": "until when it is to be paid",
    "issued_at": "when it was issued",
    "paid_at": "when it was recorded as paid",
    "voided_at": "when it was voided",
    "reason": "why it was voided, or why a credit was given",
    "issued_through": "reversals that were accepted before this instant are credited on the invoice",
    "counted_unit": "the quantity that counts for the price: 0 if it was reversed before the end of its period",
    "reversed_at": "when an event reversed the outcome; on its line only if that was before the end of its period",
    "repaired_at": "when an outcome that was due while on hold was repaired. The line is in the period of the repair",
    "edition": "1, or more for an invoice that replaces a revised one",
    "revises": "id of the edition before",
    "revises_number": "number of that edition",
    "revised_by": "id of the edition that replaces it",
    "applied": "of a credit note: what reduced the amount due of its invoice; the rest went to the customer's balance",
    "revision": "how often something was done to it",
    "customer_name": "as it was when the invoice or credit note was issued",
    "customer_email": "likewise",
    "invoice_id": "which invoice it belongs to; of a credit note, which it corrects",
    "invoice_number": "number of that invoice",
    "invoice_status": "status of that invoice",
    "kind": "`outcome`, `fee`, `minimum`, `cap`, `recurring`, `commitment`, `commitment_cap`, `manual` or `credit`",
    "outcome_key": "which outcome; empty for a line without one",
    "agent_key": "which agent; empty for a recurring fee, a commitment and a manual line",
    "agent_name": "its name when the invoice was issued",
    "resolved_at": "when the outcome was confirmed, the manual line added, the credit given, or the outcome reversed",
    "unit": "billed quantity",
    "price_per_unit": "where there is one price for all of the quantity",
    "amount": "without tax, rounded to the minor unit; those of an invoice's lines add up to `subtotal` − `credited`",
    "amount_exact": "before rounding",
    "rated": "`at_settlement`, `at_close` or `manual`",
    "rate_card": "rate card with the price; empty for a manual line",
    "price_hash": "which version of it; empty where `agent_key` is",
    "contract_hash": "which version of the agent",
    "working": "how the amount came about, as JSON; see [rate cards](rate-cards.md)",
    "corrects": "of a credit: the id of the line that it is for",
    "grade": "the grade of the outcome, or of the outcome that it credits",
    "description": "of a manual line",
    "quantity": "of a manual line",
    "unit_price": "of a manual line; negative for a discount, of which `amount` can be a part: see `working`",
}

COLUMNS = {
    "lines": csv_text.LINE_COLUMNS,
    "invoices": csv_text.INVOICE_COLUMNS,
    "credit notes": csv_text.NOTE_COLUMNS,
}


# JSON Lines have more members.
MEMBERS = {
    "lines": csv_text.LINE_COLUMNS,
    "invoices": (*csv_text.INVOICE_COLUMNS, "tax_rows"),
    "credit notes": (*csv_text.NOTE_COLUMNS, "tax_rows"),
}


def columns_rows() -> list[tuple[str, ...]]:
    """Every column with where it is and what it means."""
    return [
        (f"`{name}`", ", ".join(what for what, shape in MEMBERS.items() if name in shape), meaning)
        for name, meaning in MEANINGS.items()
    ]


def orders_block() -> str:
    """The columns of each table, in their order."""
    return "\n".join(f"- {what}: {', '.join(f'`{name}`' for name in columns)}" for what, columns in COLUMNS.items())


def _sample() -> Any:
    row = TaxRow(category="S", rate=Decimal(19), taxable=Decimal("2.49"), tax=Decimal("0.47"), name="VAT 19%")
    data = IssueData(customer_name="Acme Robotics GmbH", table=TaxTable("vat", {"vat": VAT}), tax_rows=(row,))
    return replace(
        bill([("ticket", price(price_per_unit="0.995"), ["2.5"])], issue_data=data, total=Decimal("2.96")),
        tax_of=lambda _: "vat",
    )


def _first(made: Callable[[Any], Any]) -> str:
    return asyncio.run(text(made(each(_sample()))))


def csv_block() -> str:
    return "```csv\n" + _first(csv_text.lines).replace("\r\n", "\n") + "```"


def _json(made: Callable[[Any], Any]) -> str:
    [line] = _first(made).splitlines()
    assert json.loads(line)
    return "```json\n" + msgspec.json.format(line, indent=2) + "\n```"


def line_block() -> str:
    return _json(json_lines.lines)


def invoice_block() -> str:
    return _json(json_lines.invoices)


def stripe_block() -> str:
    """The item of the first line."""
    items = _first(lambda bills: stripe.requests(bills, {"acme": "cus_Q4rT8vXkLm2N"})).splitlines()
    return "```json\n" + msgspec.json.format(items[0], indent=2) + "\n```"
