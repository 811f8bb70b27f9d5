"""Operations on invoices: reads, decides, and writes if nothing has changed meanwhile, else repeats.

`witnd.domain.invoices.operations` decides, and `change.lua` writes the result in one step. Each operation has a token,
and the invoice stores all tokens, so a retry after a lost reply has no further effect.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import (
    Change,
    Decision,
    Refusal,
    Unchanged,
    number_text,
    with_instants,
)
from witnd.store.access.change_log import Change as Logged
from witnd.store.errors import LostData, StoreRefused, StoreUnavailable
from witnd.store.invoices.change_arguments import (
    Snapshot,
    balance_field,
    change_arguments,
    change_keys,
    made_by,
)
from witnd.store.invoices.codec import decode_invoice
from witnd.store.invoices.payment_codec import decode_payment
from witnd.store.journal.journal import RESTORE
from witnd.store.journal.marks import series_numbers
from witnd.store.keys import BillingKeys
from witnd.store.records import calendar
from witnd.store.server.connection import redis_errors
from witnd.store.server.durability import Confirm, nothing_to_confirm
from witnd.store.server.scripts import Script

# How often an operation is decided again after a concurrent change.
ATTEMPTS: Final = 16
# How often an operation is repeated when the server does not answer.
SILENCES: Final = 2
_CHANGE: Final = Script("invoices/change")


class Operation(Struct, frozen=True, kw_only=True):
    """A written operation. `made` is the number of an issued invoice, or the id of a credit row, credit note or
    payment."""

    invoice: Invoice  # after the operation
    operation: str
    at: int  # ms
    made: str
    repeated: bool  # an earlier request had written it
    preview: Change | None = None  # of a dry run, which wrote nothing


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
        rows: Sequence[str] = (),
        token: str | None = None,
        logged: Callable[[Change], Logged] | None = None,
        dry_run: bool = False,
        new: Invoice | None = None,
    ) -> Operation | Unchanged | Refusal:
        """Decide an operation and write it; repeat after a concurrent change. With `dry_run`, only decide it.

        `rows` are the rows whose credits the decision needs. `new` is the invoice if it does not exist yet. A `token`
        identifies the operation across calls: if it was written before, it is returned and not decided again. `logged`
        makes its entry of the change log, which is written with it. Raises `StoreUnavailable` if it is unknown whether
        it was written, or if it is not confirmed, and `StoreRefused` if nothing was written.
        """
        request = _Request(id_, decide, rows, token or secrets.token_hex(16), logged, dry_run, new)
        done = await self._do(request)
        if not isinstance(done, Refusal) and not dry_run:
            await self._confirm_kept(request, done)
        return done

    async def _confirm_kept(self, request: "_Request", done: Operation | Unchanged) -> None:
        """Wait until no failover can undo what was written, also by an earlier request: a number leaves only then."""
        await self._confirm()
        if self._confirm is nothing_to_confirm:
            return
        # A new primary may have confirmed, which does not have it.
        after = await self.read(request.id, token=request.token)
        is_kept = after is not None and after.invoice.revision >= done.invoice.revision
        if after is None or not is_kept or (isinstance(done, Operation) and after.record is None):
            raise StoreUnavailable("a failover has undone what was written")

    async def _do(self, request: "_Request") -> Operation | Unchanged | Refusal:
        moved = silent = 0
        while moved < ATTEMPTS:
            try:
                snapshot = await self.read(request.id, request.rows, request.token, request.new)
                if snapshot is None:
                    return Refusal(f"no such invoice: {request.id!r}", "run `witnd invoices` to list them")
                if snapshot.record is not None:
                    return _operation(snapshot.record, snapshot.invoice, repeated=True)
                verdict = request.decide(snapshot)
                if not isinstance(verdict, Change):
                    return verdict
                if request.dry_run:
                    return _preview(snapshot, verdict)
                logged = None if request.logged is None else request.logged(verdict)
                done = await self.change(snapshot, verdict, request.token, logged)
            except StoreUnavailable:
                silent += 1
                if silent > SILENCES:
                    raise
                continue
            if done is not None:
                return done
            moved += 1
        raise StoreRefused(f"invoice {request.id} is being modified concurrently", "retry")

    async def line_token(self, customer_key: str, token: str) -> str | None:
        """Return the id of the invoice to which a manual line was added for a customer with this token."""
        with redis_errors():
            id_ = cast("bytes | None", await self._client.hget(self._keys.line_tokens(customer_key), token))
        return None if id_ is None else id_.decode()

    async def next_number(self, change: Change) -> str | None:
        """Return the number that a decided change would get if it were written now, or None if it gets none."""
        if change.series is None:
            return None
        with redis_errors():
            last = cast("bytes | None", await self._client.hget(self._keys.series, change.series))
        if last is None:
            return number_text(change.series, change.first)
        numbers = series_numbers(self._keys, [change.series.encode(), last])
        return number_text(change.series, numbers[change.series] + 1)

    async def read(
        self, id_: str, rows: Sequence[str] = (), token: str = "", new: Invoice | None = None
    ) -> Snapshot | None:
        """Return an invoice with all that decisions need, or None if it does not exist. `new`: the invoice then."""
        keys = self._keys
        with redis_errors():
            raw = await self._client.hmget(keys.invoice(id_), ["currency", "customer_key"])
            currency, customer = cast("list[bytes | None]", raw)
            if new is not None and (currency, customer) == (None, None):
                currency, customer = new.currency.encode(), new.customer_key.encode()
            if currency is None or customer is None:
                # The invoice does not exist, or its head is damaged and this raises an error.
                decode_invoice(id_, cast("dict[bytes, bytes]", await self._client.hgetall(keys.invoice(id_))))
                return None
            # These two never change, so their balance can be read in one transaction with the rest.
            async with self._client.pipeline(transaction=True) as reads:
                reads.time()
                reads.hgetall(keys.invoice(id_))
                reads.hget(keys.balance, balance_field(customer.decode(), currency.decode()))
                reads.hmget(keys.credited(id_), ["", *rows])
                reads.lrange(keys.payments(id_), 0, -1)
                reads.hget(keys.changes(id_), token)
                reads.hgetall(keys.series_dates)
                reads.hget(keys.state, calendar.FIELD)
                reads.zrange(keys.pending_reversals(id_), 0, 0, withscores=True)
                time, head, balance, credited, payments, record, dates, periods, pending = await reads.execute()
        invoice = decode_invoice(id_, head) or new
        if invoice is None:
            return None
        return Snapshot(
            invoice=invoice,
            at=time[0] * 1000 + time[1] // 1000,
            calendar=calendar.calendar_or_first(periods),
            balance_text=balance or b"",
            credited_texts={row: text or b"" for row, text in zip(rows, credited[1:], strict=True)},
            payments=tuple(map(decode_payment, payments)),
            record=record,
            last_dates={series.decode(): date.decode() for series, date in dates.items()},
            is_new=not head,
            first_reversal=int(pending[0][1]) if pending else None,
        )

    async def change(
        self, snapshot: Snapshot, change: Change, token: str, logged: Logged | None = None
    ) -> Operation | None:
        """Write a change that was decided from a snapshot. Return None, with nothing written, if the data changed
        since.

        A repeated call with the same token is not written again.
        """
        invoice, known = change.before, self._last_number(change.series) if change.series else 0
        args = change_arguments(snapshot, change, token, logged, known)
        with redis_errors():
            reply = await _CHANGE.run(self._client, change_keys(self._keys, change), args)
        answer = cast("list[Any]", reply)
        if answer[0] == b"MOVED":
            return None
        if answer[0] == b"DAMAGED":
            series_numbers(self._keys, [(change.series or "").encode(), answer[1]])
        if answer[0] == b"LOST":
            series = change.series or ""
            raise LostData(
                f"Redis lost data: the last number of series {series} is {answer[1].decode()}, "
                f"but {known} was already issued",
                RESTORE,
            )
        flat = answer[2]
        now = decode_invoice(invoice.id, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
        return _operation(answer[1], now or change.after, repeated=answer[0] == b"DONE")


class _Request(NamedTuple):
    """The arguments of `Operations.do`."""

    id: str
    decide: Callable[[Snapshot], Decision]
    rows: Sequence[str]
    token: str
    logged: Callable[[Change], Logged] | None
    dry_run: bool
    new: Invoice | None


def _preview(snapshot: Snapshot, change: Change) -> Operation:
    """Return what an operation would do."""
    return Operation(
        invoice=with_instants(change, snapshot.at),
        operation=change.operation,
        at=snapshot.at,
        made=made_by(change),
        repeated=False,
        preview=change,
    )


def _operation(record: bytes, invoice: Invoice, *, repeated: bool) -> Operation:
    operation, at, made = record.decode().split(" ")
    return Operation(invoice=invoice, operation=operation, at=int(at), made=made, repeated=repeated)
