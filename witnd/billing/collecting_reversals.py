"""Add reversals to the invoices of their lines.

An outcome that was reversed before the end of its period does not count when that closes. Unless it is rated then, its
line is also credited, as are all lines that were reversed later: these reversals are pending.
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from witnd.billing.collecting import InvoiceFinder
from witnd.billing.row_ids import RetryCall
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.store.errors import Unsafe
from witnd.store.invoices.ledger import Ledger, NewLine
from witnd.store.invoices.reversal_codec import encode_reversal
from witnd.store.invoices.reversals import known_reversals
from witnd.store.partition.commit import Commit

log = structlog.get_logger()


class AssignedReversal:
    """A reversal with the newest edition of its invoice."""

    __slots__ = ("invoice", "line", "new")

    def __init__(self, new: NewLine, line: ReversalLine, finder: InvoiceFinder) -> None:
        self.new = new
        self.line = line
        self.invoice, _ = finder.find(line.customer_key, line.currency, line.billed_at)


async def unknown_reversals(
    ledger: Ledger, reversals: Sequence[AssignedReversal], call: RetryCall
) -> list[AssignedReversal]:
    """Return the reversals that their invoices do not have yet. Only another program can repeat one. Raises `Unsafe` if
    its content differs."""
    wanted: dict[str, list[str]] = {}
    for one in reversals:
        wanted.setdefault(one.invoice, []).append(one.line.outcome_key)
    known: dict[tuple[str, str], bytes] = await call("reading reversals", partial(known_reversals, ledger, wanted))
    new: list[AssignedReversal] = []
    for one in reversals:
        place, stored = (one.invoice, one.line.outcome_key), encode_reversal(one.line)
        if place not in known:
            known[place] = stored
            new.append(one)
            continue
        if known[place] != stored:
            raise Unsafe(
                f"line {one.new.number} of partition {one.new.partition} reverses outcome {one.line.outcome_key!r} "
                "again with other content",
                "restore the data from a backup, or run `witnd audit` to see which line is wrong",
            )
        log.warning(
            "billing.line_skipped",
            partition=one.new.partition,
            number=one.new.number,
            key=one.line.outcome_key,
            remedy="another program changed the data; run `witnd audit`",
        )
    return new


def add_reversals(
    step: Commit,
    ledger: Ledger,
    reversals: Iterable[AssignedReversal],
    heads: Mapping[str, Invoice],
    drafts: MutableMapping[str, Invoice],
) -> list[str]:
    """Add reversals to a step. `drafts` are the heads that it writes; their numbers of reversed rows grow. Return the
    invoices on which reversals are pending."""
    keys, pending = ledger.keys, dict[str, None]()
    for one in reversals:
        line, id_ = one.line, one.invoice
        head = drafts.get(id_) or heads.get(id_)
        if head is None:
            raise _lost_line(line)
        step.add("HSET", keys.reversals(id_), line.outcome_key, encode_reversal(line))
        is_before_end = line.at < head.end
        if is_before_end:
            if head.closed:
                raise _lost_line(line)
            drafts[id_] = replace(head, reversed=head.reversed + 1)
        if not is_before_end or line.rated == "at_settlement":
            step.add("ZADD", keys.pending_reversals(id_), line.at, line.outcome_key)
            step.add("ZADD", keys.reversed, "LT", line.at, id_)
            pending[id_] = None
    return list(pending)


async def newest_editions(
    ledger: Ledger,
    reversals: Iterable[AssignedReversal],
    heads: dict[str, Invoice],
    call: RetryCall,
) -> None:
    """Assign reversals to the newest editions of their invoices, and add these to the heads."""
    for one in reversals:
        while (head := heads.get(one.invoice)) is not None and head.revised_by is not None:
            one.invoice = head.revised_by
            if one.invoice not in heads:
                heads |= await call("reading drafts", partial(ledger.find_invoices, [one.invoice]))


def _lost_line(line: ReversalLine) -> Unsafe:
    return Unsafe(
        f"the reversal of outcome {line.outcome_key!r} is of {line.reversed_at}, and its line is not in an "
        "invoice that was open then",
        "restore the newer data, or run `witnd audit` to see what is wrong",
    )
