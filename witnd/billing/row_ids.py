"""A row id is taken once: a line that comes again under another number adds nothing to its draft.

witnd writes one line for each outcome, in the commit that makes it final, and a final outcome never changes. Line
numbers have no gaps and the biller's position is a number, so no line is read twice. A second line of an outcome can
only come from another program that changed the stored data. The ids of a draft are kept until its period closes.

A second line in a later period is not noticed here: that would need the ids of all lines ever billed. It takes another
program that deletes the record of a final outcome and its entries in every list (`Log._listed`), and a new event of the
key. Where one of them is left, the key goes on hold instead. `witnd audit` reports the two lines. A second line of a
period that is closed stops invoicing (`collect`).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from witnd.billing.closing import PAGE
from witnd.billing.collecting import Placed, row_of
from witnd.domain.invoices.invoice import Row
from witnd.store.errors import Unsafe
from witnd.store.invoices.ledger import Ledger

log = structlog.get_logger()


class Insist(Protocol):
    def __call__(self, doing: str, call: Callable[[], Awaitable[Any]]) -> Awaitable[Any]: ...


async def without_repeated(placed: Sequence[Placed], ledger: Ledger, call: Insist) -> list[Placed]:
    """The lines whose row ids are new in their drafts. Raises `Unsafe` for a known id with other content."""
    ids: dict[str, list[str]] = defaultdict(list)
    for one in placed:
        ids[one.invoice].append(one.new.line.id)
    taken: set[tuple[str, str]] = await call("reading row ids", partial(ledger.known_rows, ids))
    rows: dict[tuple[str, str], Row] = {}
    new: list[Placed] = []
    for one in placed:
        place, row = (one.invoice, one.new.line.id), row_of(one)
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
                "restore the data from a backup, or ask `witnd audit` which of the two lines is wrong",
            )
        log.warning(
            "billing.line_skipped",
            partition=one.new.partition,
            number=one.new.number,
            key=row.outcome_key,
            remedy="another program changed the data; run `witnd audit`",
        )
    return new


async def _stored_row(ledger: Ledger, one: Placed) -> Row | None:
    """The row of the draft with the id of a line, None where the draft has lost it."""
    start = 0
    while page := await ledger.draft_rows(one.invoice, one.new.partition, start, PAGE):
        for row, _ in page:
            if row.id == one.new.line.id:
                return row
        start += len(page)
    return None
