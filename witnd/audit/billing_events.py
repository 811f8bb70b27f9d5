"""Audit billing events: each step of an invoice has one, and each event has its deliveries.

The events are read before the invoices, which only gain steps. So an event without a step is always a difference. A
step without an event is compared again with newer events. Needs some 100 bytes of memory for each event.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from witnd.audit.findings import FOREIGN_WRITE, RESTORE, Findings
from witnd.audit.partition.outcomes import check_delivery
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import note_ids
from witnd.domain.webhooks.billing_event import WrittenEvent, event_delivery, event_message, receivers
from witnd.domain.webhooks.message import Delivery
from witnd.domain.webhooks.sources import BILLING_SOURCES
from witnd.store.deliveries.outbox import decode_row
from witnd.store.errors import DamagedInvoice, Unreadable
from witnd.store.invoices.codec import decode_invoice
from witnd.store.keys import BillingKeys, Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import PAGE, Command, Reads
from witnd.store.records.event_codec import decode_event

# Type, subject, and how often it has happened.
_Step = tuple[str, str, int]
_COMMANDS: Final = 7  # for each delivery


async def check_billing_events(
    reads: Reads,
    keys: BillingKeys,
    partitions: Sequence[Keys],
    load_catalogue: Callable[[], Awaitable[Catalogue]],
    findings: Findings,
) -> None:
    audit = _EventAudit(reads, keys, partitions, load_catalogue, findings)
    await audit.run()


class _EventAudit:
    def __init__(
        self,
        reads: Reads,
        keys: BillingKeys,
        partitions: Sequence[Keys],
        load_catalogue: Callable[[], Awaitable[Catalogue]],
        findings: Findings,
    ) -> None:
        self._reads = reads
        self._keys = keys
        self._partitions = partitions
        self._load_catalogue = load_catalogue
        self._findings = findings
        self._found: dict[_Step, bool] = {}  # events of invoices; whether their step was found
        self._last = "-"  # the entry after which the stream is not read yet

    async def run(self) -> None:
        [queued] = await self._reads.pipeline(("GET", self._keys.events_queued))
        since = await self._log_start()
        await self._read(entry_id(queued) if queued else (0, 0), since)
        missing = [step async for step in self._missing()]
        await self._read((0, 0), since)  # those that were written meanwhile
        added, length = await self._reads.entry_counts(self._keys.events)
        if added != length:
            return  # some were trimmed
        for step in missing:
            if step not in self._found:
                self._differ(step, "one", "none")
            self._found[step] = True
        for step, has_step in self._found.items():
            if not has_step and await self._is_invalid(step):
                self._differ(step, "none: no step caused it", "one")

    def _differ(self, step: _Step, expected: str, found: str) -> None:
        type_, subject, count = step
        what = f"billing event {type_} {count} of {subject}"
        self._findings.differ(what, expected, found, RESTORE if found == "none" else FOREIGN_WRITE)

    async def _log_start(self) -> int | None:
        """Return the instant of the first entry of all logs (ms). Rules from before it are in effect since instant 0,
        so earlier events may have been processed before a rule existed."""
        answers = await self._reads.pipeline(
            *(("XRANGE", keys.events, "-", "+", "COUNT", 1) for keys in self._partitions)
        )
        return min((entry_id(found[0][0])[0] for found in answers if found), default=None)

    # -- the stream ----------------------------------------------------------------------------------------------------

    async def _read(self, queued: tuple[int, int], since: int | None) -> None:
        """Take the events after the last one that was read, and check the deliveries of those until `queued`."""
        while True:
            command = ("XRANGE", self._keys.events, self._last, "+", "COUNT", PAGE)
            [entries] = await self._reads.pipeline(command)
            expected: list[Delivery] = []
            for id_, fields in entries:
                self._last = f"({id_.decode()}"
                try:
                    event = decode_event(id_.decode(), fields[1] if len(fields) > 1 else None)
                except Unreadable as damaged:
                    what = f"billing event {id_.decode()}"
                    self._findings.differ(what, "readable", damaged.reason, FOREIGN_WRITE)
                    continue
                self._take(event)
                if entry_id(id_) <= queued:
                    expected += await self._deliveries(event, since)
            for at in range(0, len(expected), PAGE):
                await self._check_deliveries(expected[at : at + PAGE])
            if len(entries) < PAGE:
                return

    def _take(self, event: WrittenEvent) -> None:
        if event.type not in BILLING_SOURCES:
            return
        step = event.type, event.subject, event.count
        if step in self._found:
            self._differ(step, "one", "two")
        self._found.setdefault(step, False)

    async def _deliveries(self, event: WrittenEvent, since: int | None) -> list[Delivery]:
        catalogue = await self._load_catalogue()
        message = event_message(event)
        return [
            event_delivery(rule, event, message)
            for rule in receivers(catalogue.rules(event.at), event)
            if (since is not None and event.at > since)
            or any(0 < start <= event.at for start in catalogue.instants("notification_rule", rule.name))
        ]

    async def _check_deliveries(self, expected: Sequence[Delivery]) -> None:
        keys, report = self._keys, _Report(self._findings)
        commands: list[Command] = []
        for one in expected:
            commands += (
                ("HGET", keys.deliveries, one.id),
                ("HGET", keys.attempts, one.id),
                ("ZSCORE", keys.outbox(one.rule_id), one.id),
                ("ZSCORE", keys.parked(one.rule_id), one.id),
                ("ZSCORE", keys.dead, one.id),
                ("ZSCORE", keys.delivered, one.id),
                ("SISMEMBER", keys.outbox_rules, one.rule_id),
            )
        answers = await self._reads.transaction(*commands) if commands else []
        for place, one in enumerate(expected):
            record, *rest = answers[_COMMANDS * place : _COMMANDS * (place + 1)]
            check_delivery(report, _with_stored_link(one, record), [record, None, *rest], None)

    # -- the invoices --------------------------------------------------------------------------------------------------

    async def _missing(self) -> Any:
        """Yield the steps of all invoices whose event was not found, and mark the others."""
        async for page in self._reads.scan_scores(self._keys.invoices):
            for invoice in await self._invoices([id_ for id_, _ in page]):
                for step in _steps(invoice):
                    if step in self._found:
                        self._found[step] = True
                    else:
                        yield step

    async def _invoices(self, ids: Sequence[str]) -> list[Invoice]:
        answers = await self._reads.transaction_with_errors(*(("HGETALL", self._keys.invoice(id_)) for id_ in ids))
        found = []
        for id_, flat in zip(ids, answers, strict=True):
            if not isinstance(flat, Exception) and (invoice := _decode(id_, flat)) is not None:
                found.append(invoice)
        return found

    async def _is_invalid(self, step: _Step) -> bool:
        """Return whether an event has no step. Its invoice may have been added, or be unreadable, which is reported
        elsewhere."""
        type_, subject, _ = step
        if type_ == "credit_note_issued":
            [invoice] = await self._reads.pipeline(("HGET", self._keys.note(subject), "invoice"))
            subject = "" if invoice is None else invoice.decode()
        [flat] = await self._reads.transaction_with_errors(("HGETALL", self._keys.invoice(subject)))
        if isinstance(flat, Exception):
            return False
        if not flat:
            return True
        invoice = _decode(subject, flat)
        return invoice is not None and step not in _steps(invoice)


class _Report:
    """Differences of deliveries, as findings."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def differ(self, key: str, what: str, expected: object, found: object) -> None:
        self._findings.differ(f"{what} about {key}", expected, found, RESTORE)

    def compare(self, key: str, what: str, expected: object, found: object) -> None:
        if expected != found:
            self.differ(key, what, expected, found)


def _steps(invoice: Invoice) -> Iterator[_Step]:
    """Return the steps of an invoice that have an event."""
    if invoice.closed and invoice.edition == 1:
        yield "invoice_closed", invoice.id, 1
    if invoice.total is not None:
        yield "invoice_issued", invoice.id, 1
    for count in range(invoice.paid_count):
        yield "invoice_paid", invoice.id, count + 1
    if invoice.overdue_at is not None:
        yield "invoice_overdue", invoice.id, 1
    if invoice.status == "void":
        yield "invoice_voided", invoice.id, 1
    for id_ in note_ids(invoice):
        yield "credit_note_issued", id_, 1


def _decode(id_: str, flat: Sequence[bytes]) -> Invoice | None:
    try:
        return decode_invoice(id_, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
    except DamagedInvoice:
        return None  # reported with the invoice


def _with_stored_link(expected: Delivery, record: bytes | None) -> Delivery:
    """Return the expected delivery with the link of the stored one: it depends on a setting of that time."""
    try:
        stored = None if record is None else decode_row(expected.id, record)
        if stored is None:
            return expected
        body = msgspec.json.decode(stored.body)
        link = body["data"].pop("url", None)
    except (Unreadable, msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return expected
    is_same = body == msgspec.json.decode(expected.body) and (link is None or isinstance(link, str))
    return replace(expected, body=stored.body) if is_same else expected
