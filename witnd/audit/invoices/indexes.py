"""Audit the keys and numbers of all invoices: each must have its invoice or credit note."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

from witnd.audit.findings import FOREIGN_WRITE, RESTORE, UNREADABLE, Findings, command_remedy
from witnd.domain.invoices.operations import note_ids, number_text
from witnd.store.invoices.codec import decode_invoice
from witnd.store.journal.marks import series_numbers
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import PAGE, Command, Reads

# Names of the keys of one invoice.
_INVOICE_KEYS: Final = (
    "rows",
    "row_ids",
    "lines",
    "credits",
    "credited",
    "changes",
    "payments",
    "reversals",
    "pending_reversals",
)


async def check_keys(reads: Reads, keys: BillingKeys, partitions: int, findings: Findings) -> None:
    """Check that every key belongs to a listed invoice, and that list members exist."""
    start = f"{keys.base}:"
    async for _, names in reads.scan(start):
        own: list[str] = []
        papers: list[tuple[str, str, str]] = []
        for name in map(bytes.decode, names):
            kind, _, rest = name.removeprefix(start).partition(":")
            if kind == "customer" and rest:
                await _check_customer(reads, keys, rest, findings)
            elif kind == "invoice":
                papers.append((keys.invoices, rest, f"invoice {rest}"))
            elif kind == "note":
                papers.append((keys.notes, rest, f"credit note {rest}"))
            elif kind in _INVOICE_KEYS and rest:
                own.append(name)
        await _check_listed(reads, papers, findings)
        await _check_invoice_keys(reads, keys, partitions, own, findings)
    lists = (
        ("open drafts", keys.open),
        ("drafts to be issued", keys.to_issue),
        ("drafts with manual lines", keys.to_adjust),
        ("unpaid invoices", keys.receivables),
        ("invoices that are not overdue", keys.not_overdue),
        ("reversed invoices", keys.reversed),
    )
    for what, zset in lists:
        async for page in reads.scan_scores(zset):
            await _check_members(reads, keys, zset, f"the list of {what}", [id_ for id_, _ in page], findings)
    async for page in reads.scan_scores(keys.notes):
        for id_, _ in page:
            await _check_note(reads, keys, id_, findings)


async def _check_listed(reads: Reads, papers: Sequence[tuple[str, str, str]], findings: Findings) -> None:
    if not papers:
        return
    scores = await reads.pipeline(*(("ZSCORE", zset, id_) for zset, id_, _ in papers))
    for (zset, _, what), score in zip(papers, scores, strict=True):
        if score is None:
            findings.differ(
                what, f"in {zset}", "not in it", f"put it back into {zset} if witnd made it; else {FOREIGN_WRITE}"
            )


async def _check_invoice_keys(
    reads: Reads, keys: BillingKeys, partitions: int, own: Sequence[str], findings: Findings
) -> None:
    """Check that the keys of rows match the invoice's status."""
    if not own:
        return
    ids = [name.removeprefix(f"{keys.base}:").split(":")[1] for name in own]
    commands: list[Command] = [("HGET", keys.state, "closing")]
    for name, id_ in zip(own, ids, strict=True):
        commands += (("EXISTS", name), ("HGET", keys.invoice(id_), "closed"))
    closing, *answers = await _results(reads, *commands)
    for name, id_, there, closed in zip(own, ids, answers[::2], answers[1::2], strict=True):
        kind, _, rest = name.removeprefix(f"{keys.base}:").partition(":")
        number = rest.partition(":")[2]
        if not there:
            continue  # the draft was closed meanwhile
        if closed is None:
            findings.differ(f"key {name}", f"an invoice {id_}", "none", RESTORE)
        elif kind == "rows" and (not number.isdigit() or int(number) >= partitions):
            findings.differ(f"key {name}", f"of a partition below {partitions}", number or "none", RESTORE)
        elif kind == "row_ids" and closed == b"1":
            findings.differ(
                f"key {name}", "none: the invoice is closed", "there is one", command_remedy("UNLINK", name)
            )
        elif kind == "lines" and closed != b"1" and closing != id_.encode():
            remedy = command_remedy("UNLINK", name)
            findings.differ(f"key {name}", "none: the invoice is open", "there is one", remedy)


async def _check_customer(reads: Reads, keys: BillingKeys, customer: str, findings: Findings) -> None:
    """Check that a customer's list has only its own invoices."""
    zset = keys.customer(customer)
    async for page in reads.scan_scores(zset):
        heads = await _results(reads, *(("HGET", keys.invoice(id_), "customer_key") for id_, _ in page))
        for (id_, _), owner in zip(page, heads, strict=True):
            if owner != customer.encode():
                found = "no invoice" if owner is None else f"one of {owner.decode()}"
                findings.differ(
                    f"{id_} in {zset}", f"an invoice of {customer}", found, command_remedy("ZREM", zset, id_)
                )


async def _check_members(
    reads: Reads, keys: BillingKeys, zset: str, what: str, ids: Sequence[str], findings: Findings
) -> None:
    answers = await reads.pipeline(*(("EXISTS", keys.invoice(id_)) for id_ in ids))
    for id_, there in zip(ids, answers, strict=True):
        if not there:
            findings.differ(f"{id_} in {what}", "an invoice", "none", command_remedy("ZREM", zset, id_))


async def _check_note(reads: Reads, keys: BillingKeys, id_: str, findings: Findings) -> None:
    """Check that a credit note belongs to its invoice, which checks its content."""
    invoice = (await _results(reads, ("HGET", keys.note(id_), "invoice")))[0]
    if invoice is None:
        remedy = command_remedy("ZREM", keys.notes, id_)
        findings.differ(f"{id_} in the list of notes", "a credit note", "none", remedy)
        return
    flat = (await _results(reads, ("HGETALL", keys.invoice(invoice.decode()))))[0] or []
    try:
        head = decode_invoice(invoice.decode(), {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
    except UNREADABLE:
        return  # reported with the invoice
    ids = [] if head is None else note_ids(head)
    if id_ not in ids:
        expected = f"one of the {len(ids)} of invoice {invoice.decode()}"
        findings.differ(f"credit note {id_}", expected, "another", RESTORE)


# -- numbers -----------------------------------------------------------------------------------------------------------


async def check_numbers(reads: Reads, keys: BillingKeys, findings: Findings) -> None:
    """Check that every series has the numbers from its first to its counter, each of one invoice or credit note.

    Skips numbers of lost invoices that `witnd repair journal` has recorded.
    """
    counters, given, gone, begun = await reads.transaction(
        ("HGETALL", keys.series),
        ("HLEN", keys.numbers),
        ("HGETALL", keys.lost_numbers),
        ("HGETALL", keys.first_numbers),
    )
    firsts = series_numbers(keys, begun)
    series, lost = series_numbers(keys, counters), {name: _spans(text) for name, text in _pairs(gone).items()}
    for name, last in series.items():
        for start in range(firsts.get(name, 1), last + 1, PAGE):
            page = range(start, min(start + PAGE, last + 1))
            spans = lost.get(name, ())
            numbers = [number_text(name, n) for n in page if not any(n in span for span in spans)]
            await _check_number_owners(reads, keys, numbers, findings)
    assigned = sum(last - firsts.get(name, 1) + 1 for name, last in series.items())
    if assigned - sum(len(span) for spans in lost.values() for span in spans) != given:
        await _check_unknown_numbers(reads, keys, firsts, findings)


def _spans(text: str) -> list[range]:
    """Parse ranges such as `3-7 12-12`."""
    ends = [span.split("-") for span in text.split()]
    return [range(int(first), int(last) + 1) for first, last in ends]


class SeriesDates:
    """The latest date in each series of numbers: `start` before all documents are read, `add` each, then `check`."""

    def __init__(self, reads: Reads, keys: BillingKeys) -> None:
        self._reads = reads
        self._keys = keys
        self._before: dict[str, str] = {}
        self._latest: dict[str, str] = {}

    async def start(self) -> None:
        self._before = await self._stored()

    def add(self, documents: Iterable[tuple[str, str]]) -> None:
        """Add the numbers and the dates of an invoice and its credit notes."""
        for number, date in documents:
            name = number.rpartition("-")[0]
            self._latest[name] = max(date, self._latest.get(name, ""))

    async def check(self, findings: Findings) -> None:
        """Compare the stored dates with the latest ones. Meanwhile, documents may have got numbers."""
        after = await self._stored()
        for name in sorted({*self._before, *self._latest, *after}):
            latest = self._latest.get(name, "")
            if not self._before.get(name, "") <= latest <= after.get(name, ""):
                words = ("HSET", latest) if latest else ("HDEL",)
                remedy = command_remedy(words[0], self._keys.series_dates, name, *words[1:])
                found = after.get(name, "none")
                findings.differ(f"latest date in series {name}", latest or "none", found, remedy)

    async def _stored(self) -> dict[str, str]:
        return _pairs((await self._reads.pipeline(("HGETALL", self._keys.series_dates)))[0])


async def _check_number_owners(reads: Reads, keys: BillingKeys, numbers: Sequence[str], findings: Findings) -> None:
    ids = (await reads.pipeline(("HMGET", keys.numbers, *numbers)))[0] if numbers else []
    bearers: list[tuple[str, str]] = []
    for number, id_ in zip(numbers, ids, strict=True):
        if id_ is None:
            remedy = f"find the invoice or credit note with this number and write it to {keys.numbers}; {RESTORE}"
            findings.differ(f"number {number}", "an invoice or credit note", "none: a gap", remedy)
        else:
            bearers.append((number, id_.decode()))
    commands: list[Command] = []
    for _, id_ in bearers:
        commands += (("HGET", keys.invoice(id_), "number"), ("HGET", keys.note(id_), "number"))
    answers = await _results(reads, *commands) if commands else []
    for (number, id_), on_invoice, on_note in zip(bearers, answers[::2], answers[1::2], strict=True):
        borne = on_invoice if on_note is None else on_note
        if borne is None or borne.decode() != number:
            found = "one without a number" if borne is None else f"one with the number {borne.decode()}"
            findings.differ(f"number {number}", f"on the invoice or credit note {id_}", found, RESTORE)


async def _check_unknown_numbers(
    reads: Reads, keys: BillingKeys, firsts: Mapping[str, int], findings: Findings
) -> None:
    """Report numbers that no series has assigned."""
    async for page in _hash_pages(reads, keys.numbers):
        # Read again, because new numbers may have been assigned.
        series = series_numbers(keys, (await reads.pipeline(("HGETALL", keys.series)))[0])
        for number, id_ in page.items():
            name, _, count = number.rpartition("-")
            last = series.get(name, 0)
            if not (
                count.isdigit()
                and firsts.get(name, 1) <= int(count) <= last
                and number_text(name, int(count)) == number
            ):
                expected = (
                    f"none: series {name} has given {last}" if name in series else "none: there is no such series"
                )
                findings.differ(f"number {number}", expected, f"of {id_}", RESTORE)


async def _hash_pages(reads: Reads, name: str) -> AsyncIterator[dict[str, str]]:
    cursor = "0"
    while True:
        after, flat = (await reads.pipeline(("HSCAN", name, cursor, "COUNT", PAGE)))[0]
        yield _pairs(flat)
        cursor = after.decode()
        if cursor == "0":
            return


async def _results(reads: Reads, *commands: Command) -> list[Any]:
    """Return the results; a key of another type gives None, because the snapshot reports it."""
    return [None if isinstance(one, Exception) else one for one in await reads.transaction_with_errors(*commands)]


def _pairs(flat: Sequence[Any]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
