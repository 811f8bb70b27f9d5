"""Entries of the change log for operations on invoices. The script adds the number and the instant."""

from collections.abc import Callable

from witnd.domain.invoices.json_form import invoice_json
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
            | ({} if change.draft is None else {"draft": invoice_json(change.draft)}),
        )

    return entry
