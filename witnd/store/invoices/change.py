"""Operations on invoices: read, decide, write if all is still as read, else again.

`witnd.domain.invoices.operations` decides what may be done, and `change.lua` writes it in one step. Each operation has
a token, and the invoice keeps the tokens of all operations: one that is repeated after a lost reply is done once.
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
from witnd.store.server.scripts import Argument, Script

# How often an operation is decided again because others were faster.
ATTEMPTS: Final = 16
# How often it is asked again whether it was done, when the server did not answer.
SILENCES: Final = 2
# The token of what the schedule does to an invoice, which is one thing.
SCHEDULE: Final = "schedule"

_CHANGE: Final = Script("invoices/change")
# What operations set; all other fields of a head are the biller's.
_FIELDS: Final = ("revision", "status", "reason", "credited", "noted", "notes", "carried", "total")


class Snapshot(Struct, frozen=True, kw_only=True):
    """What an operation is decided from, read at one time; the texts are as they are stored."""

    invoice: Invoice
    at: int  # the server's clock, ms
    row: str  # the id of the row that `credited` is about, '' for none
    balance_text: bytes
    credited_text: bytes
    record: bytes | None  # of the operation's token: it was done before

    @property
    def balance(self) -> Decimal:
        return Decimal(self.balance_text.decode() or "0")

    @property
    def credited(self) -> Decimal:
        return Decimal(self.credited_text.decode() or "0")


class Operation(Struct, frozen=True, kw_only=True):
    """An operation that is written. `made` is the number of an issued invoice, or the id of a credit row or note."""

    invoice: Invoice  # as it stands now
    operation: str
    at: int  # ms
    made: str
    repeated: bool  # it had been written before it was asked for


class Operations:
    """Whoever may write to Redis may do them; the daemon is not needed.

    `given` returns the last number of a series that is known to be given: a series that is behind it lost data.
    """

    def __init__(self, client: Redis, keys: BillingKeys, given: Callable[[str], int] = lambda _: 0) -> None:
        self._client = client
        self._keys = keys
        self._given = given

    async def do(
        self,
        id_: str,
        decide: Callable[[Snapshot], Decision],
        *,
        row: str = "",
        token: str | None = None,
        logged: Callable[[Change], Logged] | None = None,
    ) -> Operation | Unchanged | Refusal:
        """Decide from what is there and write it; again where it moved meanwhile.

        `row` is the row whose credits are of interest. A `token` names the operation across calls: one that was done
        under it is answered and not decided again. `logged` makes its entry of the change log,
        which is written with it. Raises `StoreUnavailable` where it is unknown whether it was done,
        `StoreRefused` where nothing was.
        """
        token = token or secrets.token_hex(16)
        moved = silent = 0
        while moved < ATTEMPTS:
            try:
                snapshot = await self.read(id_, row, token)
                if snapshot is None:
                    return Refusal(f"there is no invoice {id_}", "`witnd invoices` lists those there are")
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
        raise StoreRefused(f"others keep changing invoice {id_}", "try again when they are done")

    async def issue_due(self, id_: str, series: str) -> bool:
        """Issue a closed draft. Whether it is issued now, by whomever; may be asked again."""
        # One token for whoever does it: it is the same operation, in another life of the daemon too.
        done = await self.do(id_, lambda snapshot: issue(snapshot.invoice, snapshot.balance, series), token=SCHEDULE)
        return not isinstance(done, Refusal)

    async def read(self, id_: str, row: str = "", token: str = "") -> Snapshot | None:
        """An invoice with all that operations depend on; None where there is none."""
        keys = self._keys
        with redis_errors():
            raw = await self._client.hmget(keys.invoice(id_), ["currency", "customer_key"])
            currency, customer = cast("list[bytes | None]", raw)
            if currency is None or customer is None:
                # There is none, or its head is damaged, which this raises.
                decode_invoice(id_, cast("dict[bytes, bytes]", await self._client.hgetall(keys.invoice(id_))))
                return None
            # These two never change, so what they name can be read together with everything else.
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
        """Write a change that was decided from what was snapshot; None where that has moved, and nothing is written.

        Sent again with the same token it is not written again.
        """
        note, invoice = change.note, change.before
        head = _changed_fields(change.before, change.after)
        depends = change.balance is not None
        args: list[Argument] = [
            token,
            change.operation,
            invoice.id,
            invoice.revision,
            invoice.status,
            int(invoice.closed),
            _account(invoice.currency.encode(), invoice.customer_key.encode()) if depends else "",
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
            self._given(change.series) if change.series else 0,
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
                f"but {self._given(series)} was already issued",
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
    """Where a customer's balance in a currency stands in the hash of balances."""
    return f"{currency}:{customer_key}"


def _account(currency: bytes, customer: bytes) -> str:
    return balance_field(customer.decode(), currency.decode())


def _changed_fields(before: Invoice, after: Invoice) -> list[Argument]:
    """The fields that a change sets, as words of an HSET."""
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
