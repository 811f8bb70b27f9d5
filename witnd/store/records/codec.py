"""Encodes and decodes the records of outcomes and fates.

A record is a MessagePack array. Stored types differ from live ones. The record of an outcome or a fate starts with a
format number. A reader stops at another number than its own, because that is not damage.

Records that decide about money end with a checksum (`seal`): the record of an outcome and the items of its lists.
Without it, a changed byte could turn one valid record into another. The checksum covers the outcome's key, so the
record of another outcome is damage. A record that cannot be decoded raises `Unreadable`.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.attribution import Tally
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.outcome import STATUSES, Outcome, Status
from witnd.domain.pricing.ratecard import Price
from witnd.fold.history import decode_history, items_of
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.records.sealed import CHECKSUM_BYTES, DAMAGE, seal

FORMAT = 4
DIGEST_BYTES = 32
HELD = len(STATUSES)  # the status number of a key with held events and no outcome
_STATUS_NUMBER = {status: number for number, status in enumerate(STATUSES)}

_pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode


class OutcomeRecord(Struct, array_like=True, frozen=True, gc=False):
    """A stored outcome: all that decisions need, and the end of its history.

    The fields have the stored order. Properties convert them, only when they are read: most loads of an outcome are for
    one event.
    """

    format: int
    state: int
    holds: bool
    customer_key: str
    contract: bytes
    prices: bytes  # the digests of the price, or of the prices of all grades
    opened_at: int
    settles_at: int
    processed_at: int | None
    events: int
    counts: list[int]
    values: list[str | bool | float | None]
    orders: list[int]
    total: tuple[int, str] | None
    lag: int  # settles_at minus the score in the index of deadlines, ms
    is_repaired: bool
    grade: int | None  # the place of the grade of a confirmed outcome
    reversal: bytes  # the history item of the event that reversed it, else empty
    tailed: int
    tail: bytes  # the last `tailed` items of the history, concatenated; the list does not have them

    @property
    def status(self) -> Status:
        return STATUSES[self.state]

    @property
    def contract_hash(self) -> str:
        return _hex_hash(self.contract)

    @property
    def price_hash(self) -> str:
        """The digest of its price; before settlement, of the price of the first grade."""
        return _hex_hash(price_digests(self.prices)[self.grade or 0])

    @property
    def price_hashes(self) -> list[str]:
        """The digests of its price, or of the prices of all grades."""
        return [_hex_hash(digest) for digest in price_digests(self.prices)]

    @property
    def tally(self) -> Tally:
        return None if self.total is None else (self.total[0], Decimal(self.total[1]))

    @property
    def billed_at(self) -> int:
        """The instant that decides in which period a confirmed outcome is billed."""
        return self.processed_at if self.is_repaired and self.processed_at is not None else self.settles_at

    @property
    def reversed_by(self) -> EntryId | None:
        """The entry of the event that reversed it."""
        return decode_history(self.reversal).entry if self.reversal else None

    @property
    def reversed_at(self) -> int | None:
        """The instant (ms) at which that event reversed it."""
        return decode_history(self.reversal).begins_at if self.reversal else None

    @property
    def indexed_deadline(self) -> int:
        return self.settles_at - self.lag

    @property
    def items(self) -> list[bytes]:
        """The items of `tail`."""
        return items_of(self.tail, self.tailed)


class FateRecord(NamedTuple):
    """The fate of an entry that was not applied. `raw` has its fields if nothing else stores them."""

    fate: str
    reason: str | None
    key: str | None
    message: str | None
    raw: list[bytes] | None


_unpack_outcome = msgspec.msgpack.Decoder(OutcomeRecord).decode


@cache  # at most one for each version in the catalogue, which is in memory anyway
def _raw_hash(digest: str) -> bytes:
    return bytes.fromhex(digest)


def _raw_hashes(prices: Sequence[Price]) -> bytes:
    return b"".join([_raw_hash(price.hash) for price in prices])


def price_digests(packed: bytes) -> list[bytes]:
    """Return the digests of an outcome's prices."""
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]


@cache  # the same
def _hex_hash(digest: bytes) -> str:
    return digest.hex()


def encode_outcome(outcome: Outcome, indexed_deadline: int, tail: bytes, tailed: int, reversal: bytes = b"") -> bytes:
    """Return the record of an outcome.

    `indexed_deadline` is its score in the index of deadlines; the record stores the distance to the deadline. `tail` is
    the end of its history, `tailed` concatenated items; the list has the beginning.
    """
    tally = outcome.tally
    record = _pack(
        (
            FORMAT,
            _STATUS_NUMBER[outcome.status],
            outcome.holds,
            outcome.customer_key,
            _raw_hash(outcome.contract.hash),
            _raw_hash(outcome.price.hash) if outcome.graded is None else _raw_hashes(outcome.graded),
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
            outcome.grade,
            reversal,
            tailed,
            tail,
        )
    )
    return record + crc32(record, crc32(outcome.key.encode())).to_bytes(CHECKSUM_BYTES)  # `seal`, inlined


_HELD_RECORD = _pack((FORMAT, HELD))


def held_record(key: str) -> bytes:
    """Return the record of a key with held events and no outcome."""
    return seal(key, _HELD_RECORD)


def decode_outcome(key: str, sealed: bytes) -> OutcomeRecord | None:
    """Return the record of a key, or None for a key with held events only. Raises `Unreadable`."""
    record = sealed[:-CHECKSUM_BYTES]
    if crc32(record, crc32(key.encode())) != int.from_bytes(sealed[-CHECKSUM_BYTES:]):
        _check_other_format(sealed)
        raise Unreadable(key, "its checksum is wrong")
    if record == _HELD_RECORD:
        return None
    try:
        found = _unpack_outcome(record)
    except DAMAGE as wrong:
        _check_other_format(record)  # a newer format may have other fields
        raise Unreadable(key, str(wrong)) from None
    _check_format(found.format)
    return found


def outcome_record(key: str, sealed: bytes | None) -> OutcomeRecord | Unreadable | None:
    """Decode a record and return damage as a value, for readers that continue with the next key. None also means that
    the key has no record."""
    try:
        return None if sealed is None else decode_outcome(key, sealed)
    except Unreadable as damaged:
        return damaged


def _check_other_format(record: bytes) -> None:
    """Raise `Unsafe` for an intact record of another format, which may have no checksum."""
    try:
        fields = _unpack(record)
    except DAMAGE:
        return
    if isinstance(fields, list) and fields and type(fields[0]) is int:
        _check_format(fields[0])


def terms_of(key: str, record: OutcomeRecord, catalogue: Catalogue) -> tuple[Contract, Price]:
    """Return the contract and price of an outcome; before settlement, the price of the first grade. Raises `Unsafe` if
    the catalogue lost them."""
    contract, prices = frozen_terms(key, record, catalogue)
    return contract, prices[record.grade or 0]


def frozen_terms(key: str, record: OutcomeRecord, catalogue: Catalogue) -> tuple[Contract, tuple[Price, ...]]:
    """Return the contract of an outcome and its price, or the prices of all grades, by their digests. Raises `Unsafe`
    if the catalogue lost them."""
    try:
        contract, packed = catalogue.contract(_hex_hash(record.contract)), record.prices
        if len(packed) == DIGEST_BYTES:
            return contract, (catalogue.price_by_hash(_hex_hash(packed)),)
        return contract, tuple([catalogue.price_by_hash(_hex_hash(one)) for one in price_digests(packed)])
    except KeyError as missing:
        raise Unsafe(
            f"outcome {key!r} was opened under terms {missing}, which the catalogue does not have",
            "restore the catalogue of this deployment with `witnd repair catalogue`",
        ) from None


def encode_fate(fate: FateRecord) -> bytes:
    return _pack((FORMAT, *fate))


def decode_fate(record: bytes) -> FateRecord:
    """Return a fate. Raises `Unreadable`."""
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
