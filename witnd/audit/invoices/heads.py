"""The part of an audit about the head of an invoice: its period, its life, and the lists that it must be in."""

from decimal import Decimal
from typing import Final

from witnd.audit.findings import OTHERS, RESTORE, Findings, by_command
from witnd.audit.invoices.seen import END_OF_TIME, Seen, score_of
from witnd.domain.invoices.invoice import Invoice, invoice_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference, plain
from witnd.domain.values.period import Calendar
from witnd.store.invoices.change import balance_field
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import Reads

_ZERO: Final = Decimal(0)
# What is known of an invoice, by what was done to it.
_STAMPS: Final = {
    "draft": (),
    "issued": ("issued_at",),
    "paid": ("issued_at", "paid_at"),
    "void": ("issued_at", "voided_at", "reason"),
}


def check_head(keys: BillingKeys, seen: Seen, calendar: Calendar, closed_to: int, findings: Findings) -> None:
    """What one time's view decides."""
    invoice = seen.invoice
    period = calendar.period_at(invoice.start)
    findings.compare("id", invoice_id(invoice.customer_key, invoice.currency, period), invoice.id, RESTORE)
    for name, must in (("start", period.start), ("end", period.end)):
        found = getattr(invoice, name)
        remedy = by_command("HSET", keys.invoice(invoice.id), name, must)
        findings.compare(f"{name} of the period", instant.render(must), instant.render(found), remedy)
    findings.compare("kind of period", period.kind, invoice.period, RESTORE)
    _check_lists(keys, seen, findings)
    _check_life(keys, seen, findings)
    # Periods close in the order of their ends; of those that end last, some may still be waiting for their turn.
    if not invoice.closed and invoice.end < closed_to:
        until = instant.render(closed_to)
        found = f"open until {instant.render(invoice.end)}"
        remedy = f"{RESTORE}; it does not get closed any more, because later periods are"
        findings.differ("closed", f"closed: all until {until} are", found, remedy)


def _check_lists(keys: BillingKeys, seen: Seen, findings: Findings) -> None:
    invoice = seen.invoice
    waits = invoice.closed and invoice.status == "draft"
    places = [
        ("the list of invoices", keys.invoices, seen.listed, invoice.start),
        ("the list of open drafts", keys.open, seen.open, None if invoice.closed else invoice.end),
    ]
    # Whether an invoice over nothing is to be issued is a setting, which may have been another one then.
    if not (waits and seen.to_issue is None and not invoice.subtotal):
        must = invoice.end if waits else None
        places.append(("the list of drafts to be issued", keys.to_issue, seen.to_issue, must))
    for name, key, found, place in places:
        remedy = by_command("ZREM", key, invoice.id) if place is None else by_command("ZADD", key, place, invoice.id)
        findings.compare(f"place in {name}", _place(place), _place(found), remedy)
    if invoice.closed and any(seen.rows):
        remedy = by_command("UNLINK", *(keys.rows(invoice.id, number) for number in range(len(seen.rows))))
        findings.differ("rows of a draft", "none: it is closed", sum(seen.rows), remedy)


def _place(ms: int | None) -> str:
    if ms is None:
        return "not in it"
    return instant.render(ms) if 0 <= ms < END_OF_TIME else str(ms)


def _check_life(keys: BillingKeys, seen: Seen, findings: Findings) -> None:
    invoice, head = seen.invoice, keys.invoice(seen.invoice.id)
    findings.compare("revision", seen.changes, invoice.revision, OTHERS)
    stamps = _STAMPS.get(invoice.status)
    if stamps is None:
        findings.differ("status", "draft, issued, paid or void", invoice.status, RESTORE)
        return
    for name in ("issued_at", "paid_at", "voided_at", "reason"):
        found = getattr(invoice, name)
        if (found is not None) != (name in stamps):
            expected = "known" if name in stamps else "none"
            findings.differ(f"{name} where the status is {invoice.status}", expected, found or "none", RESTORE)
    if invoice.status == "draft":
        for name in ("number", "total"):
            findings.compare(f"{name} of a draft", None, getattr(invoice, name), RESTORE)
        findings.compare("carried to a draft", "0", plain(invoice.carried), RESTORE)
        if invoice.notes or invoice.noted:
            findings.differ("credit notes of a draft", "none", invoice.notes, RESTORE)
        return
    if not invoice.closed:
        findings.differ("closed", f"closed: it is {invoice.status}", "open", RESTORE)
    if invoice.status == "void" and invoice.noted:
        findings.differ("credit notes of a void invoice", "none", plain(invoice.noted), RESTORE)
    total = difference(difference(invoice.subtotal, invoice.credited), invoice.carried)
    found = "none" if invoice.total is None else plain(invoice.total)
    findings.compare("total", plain(total), found, by_command("HSET", head, "total", plain(total)))
    if total < _ZERO or invoice.carried < _ZERO:
        findings.differ(
            "total", "0 or more, with 0 or more carried", f"{plain(total)}, {plain(invoice.carried)}", RESTORE
        )


async def check_named(reads: Reads, keys: BillingKeys, invoice: Invoice, findings: Findings) -> bool:
    """What others say of it; all of that was written before or together with the head. Answers whether there is a
    balance, where one must be."""
    commands = (
        ("ZSCORE", keys.customer(invoice.customer_key), invoice.id),
        ("HGET", keys.numbers, invoice.number or ""),
        ("HEXISTS", keys.balance, balance_field(invoice.customer_key, invoice.currency)),
    )
    score, name, balance = await reads.pipeline(*commands)
    listed = score_of(score)
    list_ = keys.customer(invoice.customer_key)
    remedy = by_command("ZADD", list_, invoice.start, invoice.id)
    findings.compare("place in the list of its customer", _place(invoice.start), _place(listed), remedy)
    if invoice.status != "draft":
        if invoice.number is None:
            findings.differ("number", f"one: it is {invoice.status}", "none", RESTORE)
        else:
            found = "none" if name is None else name.decode()
            remedy = by_command("HSET", keys.numbers, invoice.number, invoice.id)
            findings.compare(f"number {invoice.number}", f"of invoice {invoice.id}", f"of invoice {found}", remedy)
    return bool(balance) or not (invoice.noted or invoice.carried)
