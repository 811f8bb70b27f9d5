"""Entries of the change log for operations on invoices. The script adds the number and the instant."""

from collections.abc import Callable
from typing import Any

from witnd.domain.invoices.json_form import invoice_json, line_json
from witnd.domain.invoices.manual import manual_rows
from witnd.domain.invoices.operations import Change
from witnd.store.access.change_log import Author
from witnd.store.access.change_log import Change as Logged


def entry_maker(author: Author, operation: str | None = None) -> Callable[[Change], Logged]:
    """Return a function that makes the entry of an operation. `operation` replaces its name in the log."""

    def entry(change: Change) -> Logged:
        return author.change(
            f"invoice.{operation or change.operation}",
            change.before.id,
            before=invoice_json(change.before),
            after={"invoice": invoice_json(change.after)}
            | ({} if change.draft is None else {"draft": invoice_json(change.draft)})
            | _line(change)
            | _override(change),
        )

    return entry


def _line(change: Change) -> dict[str, Any]:
    """Return the manual line that a change adds or removes."""
    invoice = {"add_line": change.after, "remove_line": change.before}.get(change.operation)
    if invoice is None:
        return {}
    return {"line": next(line_json(invoice, row) for row in manual_rows(invoice) if row.id == change.made)}


def _override(change: Change) -> dict[str, Any]:
    """Return the row whose tax a change overrides, its tax key (null: its own), and the reason."""
    if change.operation != "override_tax":
        return {}
    override = next((one for one in change.after.overrides if one.row == change.made), None)
    tax, reason = (None, change.reason) if override is None else (override.tax, override.reason)
    return {"override": {"line": change.made, "tax": tax, "reason": reason}}
