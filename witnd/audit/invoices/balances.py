"""Audit payments and customers' balances."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from witnd.audit.findings import FOREIGN_WRITE, RESTORE, UNREADABLE, Findings, command_remedy, decode_amount
from witnd.audit.invoices.snapshot import InvoiceSnapshot
from witnd.domain.invoices.invoice import PaymentEntry
from witnd.domain.values.money import difference, exact_sum, plain
from witnd.store.invoices.change_arguments import balance_field
from witnd.store.invoices.payment_codec import decode_payment, decode_refund
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import PAGE, Reads

_ZERO: Final = Decimal(0)
# Fields of a head whose amounts went to the balance, and those that did not or that it paid.
_GAINED: Final = ("payments_total", "noted")
_SPENT: Final = ("payments_applied", "notes_applied", "balance_used")


def check_payments(keys: BillingKeys, snapshot: InvoiceSnapshot, findings: Findings) -> None:
    """Check the payments of an invoice, their reversals, and the sums of them in its head."""
    invoice = snapshot.invoice
    live: dict[int, PaymentEntry] = {}
    for index, record in enumerate(snapshot.payments):
        try:
            entry = decode_payment(record)
        except UNREADABLE:
            findings.differ(f"payment {index}", "one that witnd wrote", "unreadable", RESTORE)
            continue
        if entry.reverses is None:
            live[index] = entry
            if not _ZERO <= entry.applied <= entry.amount:
                findings.differ(
                    f"payment {index}: applied", f"0 to {plain(entry.amount)}", plain(entry.applied), RESTORE
                )
            continue
        paid = live.pop(entry.reverses, None)
        found = f"payment {entry.reverses}"
        if paid is None:
            findings.differ(f"payment that entry {index} reverses", "one that is not reversed", found, RESTORE)
        elif (paid.amount, paid.applied) != (entry.amount, entry.applied):
            must = f"{plain(paid.amount)}, {plain(paid.applied)} of it applied"
            wrong = f"{plain(entry.amount)}, {plain(entry.applied)} of it applied"
            findings.differ(f"reversal {index}", must, wrong, RESTORE)
    head = keys.invoice(invoice.id)
    sums = {
        "payments_total": exact_sum(one.amount for one in live.values()),
        "payments_applied": exact_sum(one.applied for one in live.values()),
    }
    for name, amount in sums.items():
        remedy = command_remedy("HSET", head, name, plain(amount))
        findings.compare(name, plain(amount), plain(getattr(invoice, name)), remedy)
    counts = {"live_payments": len(live), "payment_entries": len(snapshot.payments)}
    for name, count in counts.items():
        findings.compare(name, count, getattr(invoice, name), command_remedy("HSET", head, name, count))


class Balances:
    """Checks the balances of accounts (customer and currency): the parts of payments and credit notes that were not
    applied, minus the amounts that invoices used and that were refunded."""

    def __init__(self, reads: Reads, keys: BillingKeys, findings: Findings) -> None:
        self._reads = reads
        self._keys = keys
        self._findings = findings
        self._seen: set[tuple[str, str]] = set()  # checked accounts
        self.sums: dict[str, tuple[int, Decimal]] = {}  # by currency: number and sum of balances above 0

    async def walk(self) -> None:
        """Check all stored balances."""
        cursor = "0"
        while True:
            after, flat = (await self._reads.pipeline(("HSCAN", self._keys.balance, cursor, "COUNT", PAGE)))[0]
            for field in _texts(flat):
                currency, _, customer = field.partition(":")
                await self.check(customer, currency)
            cursor = after.decode()
            if cursor == "0":
                return

    async def check(self, customer: str, currency: str) -> None:
        """Check a balance, unless it was checked before."""
        if (customer, currency) in self._seen:
            return
        self._seen.add((customer, currency))
        keys, field = self._keys, balance_field(customer, currency)
        ids = (await self._reads.pipeline(("ZRANGE", keys.customer(customer), 0, -1)))[0]
        names = [keys.invoice(id_.decode()) for id_ in ids]
        # A new invoice cannot have used a balance, so concurrent ones do not matter.
        raw, *rest = await self._reads.transaction(
            ("HGET", keys.balance, field),
            ("LRANGE", keys.refunds(customer), 0, -1),
            ("HGET", keys.currencies(customer), currency),
            *(("HMGET", name, "currency", *_GAINED, *_SPENT) for name in names),
        )
        refunds, digits, *heads = rest
        must = _ZERO
        for unit, *amounts in heads:
            if unit is not None and unit.decode() == currency:
                # An unreadable head is reported with the invoice.
                values = [decode_amount(amount) or _ZERO for amount in amounts]
                gained = exact_sum(values[: len(_GAINED)])
                must = exact_sum((must, difference(gained, exact_sum(values[len(_GAINED) :]))))
        must = difference(must, self._refunded(customer, currency, refunds))
        found = decode_amount(raw)
        what = f"balance of {customer} in {currency}"
        self._findings.compare(
            what, plain(must), _plain(found), command_remedy("HSET", keys.balance, field, plain(must))
        )
        if found is not None and found < 0:
            self._findings.differ(what, "0 or more", plain(found), FOREIGN_WRITE)
        if found is not None and raw is not None and digits is None:
            self._findings.differ(f"digits of {what}", "known", "none", RESTORE)
        if found:
            count, amount = self.sums.get(currency, (0, _ZERO))
            self.sums[currency] = (count + 1, exact_sum((amount, found)))

    def _refunded(self, customer: str, currency: str, records: Sequence[bytes]) -> Decimal:
        """Return the sum of a customer's refunds in a currency."""
        total = _ZERO
        for index, record in enumerate(records):
            try:
                refund = decode_refund(customer, index, record)
            except UNREADABLE:
                what = f"refund {index} of {customer}"
                self._findings.differ(what, "one that witnd wrote", "unreadable", RESTORE)
                continue
            if refund.currency == currency:
                total = exact_sum((total, refund.amount))
        return total


def _plain(amount: Decimal | None) -> str:
    return "no number" if amount is None else plain(amount)


def _texts(flat: Sequence[bytes]) -> Iterator[str]:
    return (field.decode() for field in flat[::2])
