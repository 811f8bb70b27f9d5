"""Customers' balances and their refunds. It works without a daemon."""

import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.invoices.operations import Refusal
from witnd.domain.invoices.payment import Received, Refund, refund_id, refund_refusal
from witnd.domain.values.money import difference, plain
from witnd.store.access.change_log import Change as Logged
from witnd.store.access.change_log import encode_change
from witnd.store.errors import DamagedInvoice, StoreRefused, StoreUnavailable
from witnd.store.invoices.change import ATTEMPTS, SILENCES
from witnd.store.invoices.change_arguments import balance_field
from witnd.store.invoices.codec import RESTORE, finite
from witnd.store.invoices.payment_codec import decode_refund, encode_refund
from witnd.store.keys import BillingKeys
from witnd.store.page import InvalidCursor, Page
from witnd.store.records import calendar
from witnd.store.server.connection import redis_errors
from witnd.store.server.durability import Confirm
from witnd.store.server.scripts import Script

_REFUND: Final = Script("invoices/refund")


class Balance(Struct, frozen=True, kw_only=True):
    """A customer's balance in one currency with `digits` minor digits."""

    currency: str
    digits: int
    amount: Decimal


class Refunded(Struct, frozen=True, kw_only=True):
    """A written refund, and the balance after it. `repeated`: an earlier request had written it."""

    refund: Refund
    balance: Decimal
    repeated: bool


class Accounts:
    """Reads balances and writes refunds. `confirm` waits until a written refund is durable."""

    def __init__(self, client: Redis, keys: BillingKeys, confirm: Confirm) -> None:
        self._client = client
        self._keys = keys
        self._confirm = confirm

    async def balances(self, customer_key: str) -> list[Balance]:
        """Return the balances of a customer, by currency: each currency that ever had one."""
        with redis_errors():
            raw = await self._client.hgetall(self._keys.currencies(customer_key))
            digits = {
                currency.decode(): int(text) for currency, text in sorted(cast("dict[bytes, bytes]", raw).items())
            }
            if not digits:
                return []
            fields = [balance_field(customer_key, currency) for currency in digits]
            texts = cast("list[bytes | None]", await self._client.hmget(self._keys.balance, fields))
        return [
            Balance(currency=currency, digits=digits[currency], amount=_amount(customer_key, currency, text))
            for currency, text in zip(digits, texts, strict=True)
        ]

    async def receivables(self, most: int) -> list[str]:
        """Return the ids of unpaid invoices, the earliest due date first."""
        with redis_errors():
            found = cast("list[bytes]", await self._client.zrange(self._keys.receivables, 0, most - 1))
        return [id_.decode() for id_ in found]

    async def refunds(self, customer_key: str, limit: int, after: str | None = None) -> Page[Refund]:
        """Return a page of a customer's refunds, newest first. The cursor is the number of older ones."""
        name = self._keys.refunds(customer_key)
        with redis_errors():
            last = int(await self._client.llen(name))
            if after is not None:
                if not (after.isascii() and after.isdigit() and len(after) <= len(str(last)) and int(after) <= last):
                    raise InvalidCursor(after)
                last = int(after)
            first = max(0, last - limit)
            records = cast("list[bytes]", await self._client.lrange(name, first, last - 1) if last else [])
        found = [decode_refund(customer_key, index, record) for index, record in enumerate(records, first)]
        return Page(found[::-1], str(first) if first else None)

    async def refund(
        self,
        customer_key: str,
        currency: str,
        digits: int,
        given: Received,
        *,
        token: str | None,
        logged: Callable[[Refund], Logged],
    ) -> Refunded | Refusal:
        """Refund a part of a balance. A `token` identifies the refund across calls. Raises `StoreUnavailable` if it is
        unknown whether it was written, or if it is not confirmed, and `StoreRefused` if nothing was written."""
        token = token or secrets.token_hex(16)
        moved = silent = 0
        while moved < ATTEMPTS:
            try:
                done = await self._try_refund(customer_key, currency, digits, given, token, logged)
            except StoreUnavailable:
                silent += 1
                if silent > SILENCES:
                    raise
                continue
            if done is not None:
                if isinstance(done, Refunded):
                    await self._confirm()
                return done
            moved += 1
        raise StoreRefused(f"the balance of customer {customer_key} is being modified concurrently", "retry")

    async def _try_refund(
        self,
        customer_key: str,
        currency: str,
        digits: int,
        given: Received,
        token: str,
        logged: Callable[[Refund], Logged],
    ) -> Refunded | Refusal | None:
        """Return None, with nothing written, if the balance changed meanwhile."""
        keys, field = self._keys, balance_field(customer_key, currency)
        names = [keys.balance, keys.refunds(customer_key), keys.refund_tokens(customer_key), keys.change_log]
        with redis_errors():
            async with self._client.pipeline(transaction=True) as reads:
                reads.time()
                reads.hget(keys.balance, field)
                reads.llen(keys.refunds(customer_key))
                reads.hget(keys.refund_tokens(customer_key), token)
                reads.hget(keys.state, calendar.FIELD)
                time, text, count, record, periods = await reads.execute()
        balance = _amount(customer_key, currency, text)
        if record is not None:
            return await self._repeated(customer_key, int(record), balance)
        wrong = refund_refusal(given.amount, balance, currency, digits)
        if wrong is not None:
            return wrong
        at = time[0] * 1000 + time[1] // 1000
        refund = Refund(
            id=refund_id(customer_key, count),
            customer_key=customer_key,
            currency=currency,
            digits=digits,
            amount=given.amount,
            date=given.date or calendar.calendar_or_first(periods).day_at(at).date,
            method=given.method,
            reference=given.reference,
            recorded_at=at,
        )
        left = difference(balance, given.amount)
        args = [
            token, field, text or b"", plain(left), count, encode_refund(refund), str(count),
            encode_change(logged(refund)),
        ]  # fmt: skip
        with redis_errors():
            answer = cast("list[Any]", await _REFUND.run(self._client, names, args))
        if answer[0] == b"MOVED":
            return None
        if answer[0] == b"DONE":
            return await self._repeated(customer_key, int(answer[1]), left)
        return Refunded(refund=refund, balance=left, repeated=False)

    async def _repeated(self, customer_key: str, index: int, balance: Decimal) -> Refunded:
        with redis_errors():
            record = cast("bytes | None", await self._client.lindex(self._keys.refunds(customer_key), index))
        if record is None:
            raise DamagedInvoice(f"refund {index} of customer {customer_key!r} is missing", RESTORE)
        return Refunded(refund=decode_refund(customer_key, index, record), balance=balance, repeated=True)


def _amount(customer_key: str, currency: str, text: bytes | None) -> Decimal:
    try:
        return finite((text or b"0").decode())
    except (ValueError, ArithmeticError) as wrong:
        raise DamagedInvoice(f"the balance of {customer_key!r} in {currency} is unreadable: {wrong}", RESTORE) from None
