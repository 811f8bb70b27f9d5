"""Operations on invoices: reads, decides, and writes if nothing has changed meanwhile, else repeats.

`witnd.domain.invoices.operations` decides, and `change.lua` writes the result in one step. Each operation has a token,
and the invoice stores all tokens, so a retry after a lost reply has no further effect.
"""

import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import asdict
from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import Change, Decision, Refusal, Unchanged, issue
from witnd.domain.values.money import plain
from witnd.store.access.change_log import Change as Logged
from witnd.store.access.change_log import encode_change
from witnd.store.errors import LostData, StoreRefused, StoreUnavailable
from witnd.store.invoices.codec import decode_invoice, encode_row
from witnd.store.invoices.note_codec import note_fields
from witnd.store.journal.journal import RESTORE
from witnd.store.journal.marks import series_numbers
from witnd.store.keys import BillingKeys
from witnd.store.server.connection import redis_errors
from witnd.store.server.durability import Confirm, nothing_to_confirm
from witnd.store.server.scripts import Argument, Script

# How often an operation is decided again after a concurrent change.
ATTEMPTS: Final = 16
# How often an operation is repeated when the server does not answer.
SILENCES: Final = 2
# The token of the one operation that the schedule makes: issue.
SCHEDULE: Final = "schedule"

_CHANGE: Final = Script("invoices/change")
# The fields that operations set. The biller sets all others.
_FIELDS: Final = ("revision", "status", "reason", "credited", "noted", "notes", "carried", "total")


class Snapshot(Struct, frozen=True, kw_only=True):
    """The input of a decision, read in one transaction; texts are in stored form."""

    invoice: Invoice
    at: int  # the server's clock, ms
    row: str  # the id of the row of `credited`, '' for none
    balance_text: bytes
    credited_text: bytes
    record: bytes | None  # of the operation's token, if it was written before

    @property
    def balance(self) -> Decimal:
        return Decimal(self.balance_text.decode() or "0")

    @property
    def credited(self) -> Decimal:
        return Decimal(self.credited_text.decode() or "0")


class Operation(Struct, frozen=True, kw_only=True):
    """A written operation. `made` is the number of an issued invoice, or the id of a credit row or note."""

    invoice: Invoice  # after the operation
    operation: str
    at: int  # ms
    made: str
    repeated: bool  # an earlier request had written it


class Operations:
    """Operations on invoices. They work without a daemon.

    `last_number` returns the last known number of a series; if Redis has a lower one, it lost data.
    """

    def __init__(
        self,
        client: Redis,
        keys: BillingKeys,
        last_number: Callable[[str], int] = lambda _: 0,
        confirm: Confirm = nothing_to_confirm,
    ) -> None:
        self._client = client
        self._confirm = confirm
        self._keys = keys
        self._last_number = last_number

    async def do(
        self,
        id_: str,
        decide: Callable[[Snapshot], Decision],
        *,
        row: str = "",
        token: str | None = None,
        logged: Callable[[Change], Logged] | None = None,
    ) -> Operation | Unchanged | Refusal:
        """Decide an operation and write it; repeat after a concurrent change.

        `row` is the row whose credits the decision needs. A `token` identifies the operation across calls: if it was
        written before, it is returned and not decided again. `logged` makes its entry of the change log, which is
        written with it. Raises `StoreUnavailable` if it is unknown whether it was written, or if it is not confirmed,
        and `StoreRefused` if nothing was written.
        """
        token = token or secrets.token_hex(16)
        done = await self._do(id_, decide, row, token, logged)
        if isinstance(done, Refusal):
            return done
        # A number leaves only when no failover can undo it, also one that an earlier request wrote.
        await self._confirm()
        if self._confirm is not nothing_to_confirm:
            # A new primary may have confirmed, which does not have it.
            after = await self.read(id_, token=token)
            is_kept = after is not None and after.invoice.revision >= done.invoice.revision
            if after is None or not is_kept or (isinstance(done, Operation) and after.record is None):
                raise StoreUnavailable("a failover has undone what was written")
        return done

    async def _do(
        self,
        id_: str,
        decide: Callable[[Snapshot], Decision],
        row: str,
        token: str,
        logged: Callable[[Change], Logged] | None,
    ) -> Operation | Unchanged | Refusal:
        moved = silent = 0
        while moved < ATTEMPTS:
            try:
                snapshot = await self.read(id_, row, token)
                if snapshot is None:
                    return Refusal(f"no such invoice: {id_!r}", "run `witnd invoices` to list them")
                if snapshot.record is not None:
                    return _operation(snapshot.record, snapshot.invoice, repeated=True)
                verdict = decide(snapshot)
                if not isinstance(verdict, Change):
                    return verdict
                done = await self.change(snapshot, verdict, token, None if logged is None else logged(verdict))
            except StoreUnavailable:
                silent += 1
                if silent > SILENCES:
                    raise
                continue
            if done is not None:
                return done
            moved += 1
        raise StoreRefused(f"invoice {id_} is being modified concurrently", "retry")

    async def issue_due(self, id_: str, series: str) -> bool:
        """Issue a closed draft. Return whether it is issued now. The call may be repeated."""
        # One token: it is the same operation, also after a restart of the daemon.
        done = await self.do(id_, lambda snapshot: issue(snapshot.invoice, snapshot.balance, series), token=SCHEDULE)
        return not isinstance(done, Refusal)

    async def read(self, id_: str, row: str = "", token: str = "") -> Snapshot | None:
        """Return an invoice with all that decisions need, or None if it does not exist."""
        keys = self._keys
        with redis_errors():
            raw = await self._client.hmget(keys.invoice(id_), ["currency", "customer_key"])
            currency, customer = cast("list[bytes | None]", raw)
            if currency is None or customer is None:
                # The invoice does not exist, or its head is damaged and this raises an error.
                decode_invoice(id_, cast("dict[bytes, bytes]", await self._client.hgetall(keys.invoice(id_))))
                return None
            # These two never change, so their balance can be read in one transaction with the rest.
            async with self._client.pipeline(transaction=True) as reads:
                reads.time()
                reads.hgetall(keys.invoice(id_))
                reads.hget(keys.balance, _account(currency, customer))
                reads.hget(keys.credited(id_), row)
                reads.hget(keys.changes(id_), token)
                time, head, balance, credited, record = await reads.execute()
        invoice = decode_invoice(id_, head)
        if invoice is None:
            return None
        return Snapshot(
            invoice=invoice,
            at=time[0] * 1000 + time[1] // 1000,
            row=row,
            balance_text=balance or b"",
            credited_text=credited or b"",
            record=record,
        )

    async def change(
        self, snapshot: Snapshot, change: Change, token: str, logged: Logged | None = None
    ) -> Operation | None:
        """Write a change that was decided from a snapshot. Return None, with nothing written, if the data changed
        since.

        A repeated call with the same token is not written again.
        """
        note, invoice = change.note, change.before
        head = _changed_fields(change.before, change.after)
        needs_balance = change.balance is not None
        args: list[Argument] = [
            token,
            change.operation,
            invoice.id,
            invoice.revision,
            invoice.status,
            int(invoice.closed),
            _account(invoice.currency.encode(), invoice.customer_key.encode()) if needs_balance else "",
            snapshot.balance_text,
            "" if change.balance is None or change.balance == snapshot.balance else plain(change.balance),
            "" if change.credited is None else snapshot.row,
            snapshot.credited_text,
            "" if change.credited is None else plain(change.credited),
            "" if change.row is None else encode_row(change.row),
            change.series or "",
            "" if note is None else note.id,
            change.timestamp_field or "",
            "1" if change.is_issue else "",
            note.id if note is not None else change.row.id if change.row is not None else "",
            b"" if logged is None else encode_change(logged)[:-1],
            self._last_number(change.series) if change.series else 0,
            len(head),
            *head,
            *([] if note is None else note_fields(note)),
        ]
        with redis_errors():
            reply = await _CHANGE.run(self._client, self._names(invoice.id, note.id if note else None), args)
        answer = cast("list[Any]", reply)
        if answer[0] == b"MOVED":
            return None
        if answer[0] == b"DAMAGED":
            series_numbers(self._keys, [(change.series or "").encode(), answer[1]])
        if answer[0] == b"LOST":
            series = change.series or ""
            raise LostData(
                f"Redis lost data: the last number of series {series} is {answer[1].decode()}, "
                f"but {self._last_number(series)} was already issued",
                RESTORE,
            )
        flat = answer[2]
        now = decode_invoice(invoice.id, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
        return _operation(answer[1], now or change.after, repeated=answer[0] == b"DONE")

    def _names(self, id_: str, note: str | None) -> list[str]:
        keys = self._keys
        return [
            keys.invoice(id_),
            keys.changes(id_),
            keys.balance,
            keys.credited(id_),
            keys.credits(id_),
            keys.to_issue,
            keys.series,
            keys.numbers,
            keys.notes,
            keys.invoice(id_) if note is None else keys.note(note),
            keys.change_log,
        ]


def balance_field(customer_key: str, currency: str) -> str:
    """Return the field of a customer's balance in the hash of balances."""
    return f"{currency}:{customer_key}"


def _account(currency: bytes, customer: bytes) -> str:
    return balance_field(customer.decode(), currency.decode())


def _changed_fields(before: Invoice, after: Invoice) -> list[Argument]:
    """Return the fields that a change sets, as arguments of HSET."""
    old, new = asdict(before), asdict(after)
    words: list[Argument] = []
    for name in _FIELDS:
        value = new[name]
        if value != old[name]:
            words += [name, plain(value) if isinstance(value, Decimal) else value]
    return words


def _operation(record: bytes, invoice: Invoice, *, repeated: bool) -> Operation:
    operation, at, made = record.decode().split(" ")
    return Operation(invoice=invoice, operation=operation, at=int(at), made=made, repeated=repeated)
