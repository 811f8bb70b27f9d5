"""Stored records: how outcomes, histories, held events and fates look in Redis.

MessagePack arrays, by position. What is stored is another type than what is live. The record of an outcome or a fate
begins with a format number. Another number than this version's stops the reader, because it is not damage.

Records that decide about money end with a checksum (`seal`): the record of an outcome and the items of its lists.
Without it, a changed byte could turn one valid record into another. It covers the outcome's key, so a record of
another outcome is damage. What cannot be decoded raises `Unreadable`.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.attribution import Tally
from witnd.domain.outcomes.outcome import STATUSES, Outcome, Status
from witnd.domain.pricing.ratecard import Price
from witnd.fold.history import items_of
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.records.sealed import CHECKSUM_BYTES, DAMAGE, seal

FORMAT = 2
HELD = len(STATUSES)  # the status number of a key whose events still wait to be placed
_STATUS_NUMBER = {status: number for number, status in enumerate(STATUSES)}

_pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode


class OutcomeRecord(Struct, array_like=True, frozen=True, gc=False):
    """An outcome as it is stored: everything that deciding needs, and the end of its history.

    The fields are the stored ones, in their order; what is spelt otherwise in memory is a property. Nothing is made of
    what nobody asks for, because nearly every load of an outcome is for one event.
    """

    format: int
    state: int
    holds: bool
    customer_key: str
    contract: bytes
    price: bytes
    opened_at: int
    settles_at: int
    processed_at: int | None
    events: int
    counts: list[int]
    values: list[str | bool | float | None]
    orders: list[int]
    total: tuple[int, str] | None
    lag: int  # how far the sorted set of deadlines is behind
    is_repaired: bool
    tailed: int
    tail: bytes  # so many items of the history, those that the list does not have, one behind the other

    @property
    def status(self) -> Status:
        return STATUSES[self.state]

    @property
    def contract_hash(self) -> str:
        return _hex_hash(self.contract)

    @property
    def price_hash(self) -> str:
        return _hex_hash(self.price)

    @property
    def tally(self) -> Tally:
        return None if self.total is None else (self.total[0], Decimal(self.total[1]))

    @property
    def billed_at(self) -> int:
        """The instant that decides about the period of a confirmed outcome."""
        return self.processed_at if self.is_repaired and self.processed_at is not None else self.settles_at

    @property
    def indexed_deadline(self) -> int:
        return self.settles_at - self.lag

    @property
    def items(self) -> list[bytes]:
        """Those items of the history one by one."""
        return items_of(self.tail, self.tailed)


class FateRecord(NamedTuple):
    """What became of an entry that was not applied; `raw` where nothing else keeps it."""

    fate: str
    reason: str | None
    key: str | None
    message: str | None
    raw: list[bytes] | None


_unpack_outcome = msgspec.msgpack.Decoder(OutcomeRecord).decode


@cache  # as many as the catalogue ever had versions, which are in memory anyway
def _raw_hash(digest: str) -> bytes:
    return bytes.fromhex(digest)


@cache  # likewise
def _hex_hash(digest: bytes) -> str:
    return digest.hex()


def encode_outcome(outcome: Outcome, indexed_deadline: int, tail: bytes, tailed: int) -> bytes:
    """Return the record of an outcome.

    `indexed_deadline` is its score in the sorted set of deadlines, stored as the distance to the deadline. `tail` is
    the end of its history, `tailed` items one after the other; the beginning is in the list.
    """
    tally = outcome.tally
    record = _pack(
        (
            FORMAT,
            _STATUS_NUMBER[outcome.status],
            outcome.holds,
            outcome.customer_key,
            _raw_hash(outcome.contract.hash),
            _raw_hash(outcome.price.hash),
            outcome.opened_at,
            outcome.settles_at,
            outcome.processed_at,
            outcome.events,
            outcome.counts,
            outcome.values,
            outcome.orders,
            None if tally is None else (tally[0], str(tally[1])),
            outcome.settles_at - indexed_deadline,
            outcome.is_repaired,
            tailed,
            tail,
        )
    )
    return record + crc32(record, crc32(outcome.key.encode())).to_bytes(CHECKSUM_BYTES)  # `seal`, without the call


_HELD_RECORD = _pack((FORMAT, HELD))


def held_record(key: str) -> bytes:
    """The record of a key that has held events only."""
    return seal(key, _HELD_RECORD)


def decode_outcome(key: str, sealed: bytes) -> OutcomeRecord | None:
    """The record of a key; None for a key that has held events only. Raises `Unreadable` for a damaged one."""
    record = sealed[:-CHECKSUM_BYTES]
    if crc32(record, crc32(key.encode())) != int.from_bytes(sealed[-CHECKSUM_BYTES:]):
        _check_other_format(sealed)
        raise Unreadable(key, "its checksum is wrong")
    if record == _HELD_RECORD:
        return None
    try:
        found = _unpack_outcome(record)
    except DAMAGE as wrong:
        _check_other_format(record)  # a newer record may well be built otherwise
        raise Unreadable(key, str(wrong)) from None
    _check_format(found.format)
    return found


def outcome_record(key: str, sealed: bytes | None) -> OutcomeRecord | Unreadable | None:
    """The same as a value, for readers that continue with the next key; None also for a key without a record."""
    try:
        return None if sealed is None else decode_outcome(key, sealed)
    except Unreadable as damaged:
        return damaged


def _check_other_format(record: bytes) -> None:
    """Raise `Unsafe` for a whole record of another format, which need not end with a checksum."""
    try:
        fields = _unpack(record)
    except DAMAGE:
        return
    if isinstance(fields, list) and fields and type(fields[0]) is int:
        _check_format(fields[0])


def terms_of(key: str, record: OutcomeRecord, catalogue: Catalogue) -> tuple[Contract, Price]:
    """The terms an outcome froze, by their digests. Raises `Unsafe` where the catalogue has lost them."""
    try:
        return catalogue.contract(_hex_hash(record.contract)), catalogue.price_by_hash(_hex_hash(record.price))
    except KeyError as missing:
        raise Unsafe(
            f"outcome {key!r} opened under terms {missing} that the catalogue does not have",
            "restore the catalogue of this deployment; it must never lose a version",
        ) from None


def encode_fate(fate: FateRecord) -> bytes:
    return _pack((FORMAT, *fate))


def decode_fate(record: bytes) -> FateRecord:
    """Raises `Unreadable` for a damaged record."""
    try:
        number, *fields = _unpack(record)
        _check_format(number)
        return FateRecord(*fields)
    except DAMAGE as wrong:
        raise Unreadable("", str(wrong)) from None


def _check_format(number: int) -> None:
    if number != FORMAT:
        age = "newer" if number > FORMAT else "older"
        raise Unsafe(
            f"a stored record has format {number}, and this witnd reads format {FORMAT}",
            f"run the {age} witnd that wrote it",
        )
