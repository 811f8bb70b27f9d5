"""Reads the reversals of outcomes by their invoices: all of them, and those that are not credited yet."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import RESTORE
from witnd.store.invoices.ledger import Ledger
from witnd.store.invoices.reversal_codec import StoredReversal, decode_reversals, reversed_in_period
from witnd.store.invoices.rows import Rows
from witnd.store.keys import BillingKeys
from witnd.store.server.connection import redis_errors

# Invoices per page.
PAGE: Final = 1000


class PendingReversal(NamedTuple):
    """A reversal that is not credited yet, by its instant (ms) and the row of its outcome."""

    outcome_key: str
    reversed_at: int
    row: Row


class Reversals:
    """Reads reversals. It works without a daemon."""

    def __init__(self, client: Redis, keys: BillingKeys, rows: Rows) -> None:
        self._client = client
        self._keys = keys
        self._rows = rows

    async def of_invoice(self, id_: str) -> dict[str, StoredReversal]:
        """Return all reversals of an invoice by outcome key. Raises `DamagedInvoice`."""
        with redis_errors():
            fields = await self._client.hgetall(self._keys.reversals(id_))
        return decode_reversals(id_, cast("dict[bytes, bytes]", fields))

    async def pending_keys(self, id_: str, before: int | None = None) -> list[tuple[str, int]]:
        """Return the outcome keys of reversals that are not credited yet, with their instants (ms), in the order
        (instant, key). `before`: only those before an instant."""
        end = "+inf" if before is None else f"({before}"
        with redis_errors():
            found = await self._client.zrangebyscore(self._keys.pending_reversals(id_), "-inf", end, withscores=True)
        return [(key.decode(), int(at)) for key, at in cast("list[tuple[bytes, float]]", found)]

    async def pending(self, invoice: Invoice, keys: Sequence[tuple[str, int]]) -> list[PendingReversal]:
        """Return reversals with the rows of their outcomes. Raises `DamagedInvoice` if a row is missing."""
        stored = await self.of_invoice(invoice.id)
        if missing := [key for key, _ in keys if key not in stored]:
            raise DamagedInvoice(f"the reversal of {missing[0]!r} is missing from invoice {invoice.id}", RESTORE)
        rows = await self._rows.of_outcomes(invoice, {key: stored[key].billed_at for key, _ in keys})
        if missing := [key for key, _ in keys if key not in rows]:
            raise DamagedInvoice(f"the row of {missing[0]!r} is missing from invoice {invoice.id}", RESTORE)
        return [PendingReversal(key, at, rows[key]) for key, at in keys]

    async def waiting(self) -> list[str]:
        """Return the invoices with reversals that are not credited yet, those with the earliest first."""
        ids: dict[str, None] = {}
        while True:
            with redis_errors():
                page = await self._client.zrange(self._keys.reversed, len(ids), len(ids) + PAGE - 1)
            ids |= dict.fromkeys(id_.decode() for id_ in cast("list[bytes]", page))
            if len(page) < PAGE:
                return list(ids)


# -- reads of the biller -----------------------------------------------------------------------------------------------


async def known_reversals(ledger: Ledger, ids: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], bytes]:
    """Return the stored reversals of outcomes, by invoice and outcome key."""
    answers = await ledger.ask(*[("HMGET", ledger.keys.reversals(id_), *keys) for id_, keys in ids.items()])
    return {
        (id_, key): stored
        for (id_, keys), found in zip(ids.items(), answers, strict=True)
        for key, stored in zip(keys, found, strict=True)
        if stored is not None
    }


async def reversed_outcomes(ledger: Ledger, invoice: Invoice) -> dict[str, int]:
    """Return the outcomes that were reversed before the end of an invoice's period, with the instants (ms)."""
    [flat] = await ledger.ask(("HGETALL", ledger.keys.reversals(invoice.id)))
    fields = {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)}
    return reversed_in_period(invoice, decode_reversals(invoice.id, fields))
