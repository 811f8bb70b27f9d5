"""Drop repeated lines: a line that appears again under another number adds nothing to its draft.

witnd writes one line for each outcome, in the commit that makes it final. Line numbers have no gaps and the biller's
position is a number, so no line is read twice. Only another program that changed the stored data can cause a second
line of an outcome. The ids of a draft are kept until its period closes.

A second line in a later period is not detected here, because that would need the ids of all lines ever billed. It
requires that another program deletes the record of a final outcome and its entries in every list, and then a new event
of the key; if one entry remains, the key goes on hold instead. `witnd audit` reports the two lines. A second line of a
closed period stops invoicing (`collect`).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from witnd.billing.closing import PAGE
from witnd.billing.collecting import AssignedLine, line_row
from witnd.domain.invoices.invoice import Row
from witnd.store.errors import Unsafe
from witnd.store.invoices.ledger import Ledger

log = structlog.get_logger()


class RetryCall(Protocol):
    def __call__(self, doing: str, call: Callable[[], Awaitable[Any]]) -> Awaitable[Any]: ...


async def drop_repeated_lines(assigned: Sequence[AssignedLine], ledger: Ledger, call: RetryCall) -> list[AssignedLine]:
    """Return the lines whose row ids are new in their drafts. Raises `Unsafe` for a known id with different content."""
    ids: dict[str, list[str]] = defaultdict(list)
    for one in assigned:
        ids[one.invoice].append(one.line.id)
    taken: set[tuple[str, str]] = await call("reading row ids", partial(ledger.known_rows, ids))
    rows: dict[tuple[str, str], Row] = {}
    new: list[AssignedLine] = []
    for one in assigned:
        place, row = (one.invoice, one.line.id), line_row(one)
        if place in taken:
            rows[place] = await call("reading a draft", partial(_stored_row, ledger, one))
            taken.discard(place)
        if place not in rows:
            rows[place] = row
            new.append(one)
            continue
        if rows[place] != row:
            raise Unsafe(
                f"line {one.new.number} of partition {one.new.partition} bills outcome {row.outcome_key!r} again "
                "with other content",
                "restore the data from a backup, or run `witnd audit` to see which line is wrong",
            )
        log.warning(
            "billing.line_skipped",
            partition=one.new.partition,
            number=one.new.number,
            key=row.outcome_key,
            remedy="another program changed the data; run `witnd audit`",
        )
    return new


async def _stored_row(ledger: Ledger, one: AssignedLine) -> Row | None:
    """Return the draft's row with the id of a line, or None if it is missing."""
    start = 0
    while page := await ledger.draft_rows(one.invoice, one.new.partition, start, PAGE):
        for row, _ in page:
            if row.id == one.line.id:
                return row
        start += len(page)
    return None
