"""Entries of the change log for operations on invoices. The number and the instant, the script adds."""

from collections.abc import Callable

from witnd.domain.invoice_json import invoice_json
from witnd.domain.invoicing import Change
from witnd.store.changes import Author
from witnd.store.changes import Change as Logged


def entry_maker(author: Author, operation: str | None = None) -> Callable[[Change], Logged]:
    """What makes the entry of an operation. `operation`: its name in the log, if not that of the domain."""

    def entry(change: Change) -> Logged:
        return author.change(
            f"invoice.{operation or change.operation}",
            change.before.id,
            before=invoice_json(change.before),
            after={"invoice": invoice_json(change.after)},
        )

    return entry
