"""Encodes and decodes the deliveries of an outcome with many rules.

Few deliveries are queued by the commit, each with its message (`encode_row` in `witnd.store.deliveries.outbox`). For
more (`FanOut.is_large`), the commit writes two records: the shared part of the messages, and the rules. From these the
relay creates and queues the rows, in slices. So an outcome with a thousand rules settles like any other, and its
deliveries are still committed with it.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from witnd.domain.webhooks.fan_out import FanOut, ids
from witnd.domain.webhooks.message import Delivery, Message, rule_json, rule_of
from witnd.domain.webhooks.notification import NotificationRule
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.records.sealed import DAMAGE

FORMAT: Final = 1
# The first bytes of a row that shares its message: an array of three members. A row with its own message has seven.
_ROW_START: Final = bytes([0x93, FORMAT])

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class QueueRow(NamedTuple):
    """A delivery to be queued, and its row."""

    rule_id: str
    id: str
    row: bytes


class UnqueuedDeliveries(NamedTuple):
    """The deliveries of one outcome that are not queued yet, and the record of their shared message."""

    created_ms: int
    message: bytes
    rows: list[QueueRow]


def outcome_of(row: bytes | None) -> str | None:
    """Return the outcome whose shared message a row needs; None if it has its own message, or is damaged."""
    if row is None or not row.startswith(_ROW_START):
        return None
    try:
        return str(_unpack(row)[2])
    except DAMAGE:
        return None


def rule_and_outcome(row: bytes) -> tuple[str, str]:
    """Return the id of a row's rule and the key of its outcome, without its message. Raises `Unreadable`."""
    try:
        fields = members(row)
        if len(fields) == 2:
            return _rule_id(fields[0]), str(fields[1])
        return str(fields[0]), str(fields[2])
    except DAMAGE as wrong:
        raise Unreadable("the row of a delivery", str(wrong)) from None


def decode_shared_row(id_: str, row: list[Any], message: bytes | None) -> Delivery:
    """Return the delivery from the members of its row and the record of its message. Raises `Unreadable`."""
    rule, outcome_key = row
    if message is None:
        raise Unreadable(f"the message of delivery {id_}", "it is missing")
    return decode_message(outcome_key, message).delivery(id_, rule.encode())


def encode_message(message: Message) -> bytes:
    return _pack((FORMAT, message.type, message.created_ms, message.head, message.rest))


def decode_message(outcome_key: str, record: bytes) -> Message:
    """Return the shared part of messages. Raises `Unreadable`."""
    try:
        type_, created_ms, head, rest = members(record)
        return msgspec.convert((outcome_key, type_, created_ms, head, rest), _Message).message()
    except DAMAGE as wrong:
        raise Unreadable(f"the message about outcome {outcome_key}", str(wrong)) from None


class _Message(msgspec.Struct, array_like=True, frozen=True):
    outcome_key: str
    type: str
    created_ms: int
    head: bytes
    rest: bytes

    def message(self) -> Message:
        return Message(self.outcome_key, self.type, self.created_ms, self.head, self.rest)


def encode_rules(fan_out: FanOut) -> bytes:
    rules = fan_out.rules
    # Outcomes of one agent share their rules. With many rules, encoding them takes longer than the rest of the step.
    if (known := _encoded.get(id(rules))) is not None and known[0] is rules:
        return known[1]
    record = _pack((FORMAT, [rule_json(rule.id, rule.name).decode() for rule in rules]))
    if len(_encoded) >= _ENCODED_MAX:
        _encoded.clear()
    _encoded[id(rules)] = (rules, record)
    return record


_ENCODED_MAX: Final = 64
_encoded: dict[int, tuple[tuple[NotificationRule, ...], bytes]] = {}


@lru_cache(maxsize=4096)
def _rule_id(text: str) -> str:
    return rule_of(text.encode()).id


def decode_unqueued(outcome_key: str, rules: bytes, message: bytes | None) -> UnqueuedDeliveries:
    """Return the deliveries to queue for an outcome. Raises `Unreadable` if a record is damaged or missing."""
    if message is None:
        raise Unreadable(f"the message about outcome {outcome_key}", "it is missing")
    shared = decode_message(outcome_key, message)
    try:
        (texts,) = members(rules)
        rule_ids = [_rule_id(text) for text in texts]
        outcome = _pack(outcome_key)
        rows = [
            QueueRow(rule, id_, _ROW_START + _pack(text) + outcome)
            for rule, id_, text in zip(rule_ids, ids(shared, rule_ids), texts, strict=True)
        ]
    except DAMAGE as wrong:
        raise Unreadable(f"the rules of outcome {outcome_key}", str(wrong)) from None
    return UnqueuedDeliveries(shared.created_ms, message, rows)


def members(record: bytes) -> list[Any]:
    """Return the members of a record after its format number. Raises `Unsafe` for a newer format."""
    fields: list[Any] = _unpack(record)
    number = fields.pop(0)
    if number > FORMAT:
        raise Unsafe(
            f"a stored delivery has format {number}, and this witnd reads formats up to {FORMAT}",
            "run the newer witnd that wrote it",
        )
    return fields
