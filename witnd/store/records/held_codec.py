"""Encodes and decodes waiting events: held events, and those of an outcome on hold."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from witnd.domain.outcomes.event import EntryId, Event
from witnd.fold.history import value_of
from witnd.store.errors import Unreadable
from witnd.store.records.sealed import DAMAGE, seal, unseal

_pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode


def encode_held(entry: EntryId, event: Event) -> bytes:
    """Return the item of a waiting event, with its checksum."""
    return seal(
        event.key,
        _pack(
            (
                *entry,
                event.action,
                event.customer_key,
                event.agent_key,
                event.timestamp,
                event.value,
                None if event.attribution is None else str(event.attribution),
                event.pin,
                event.mark,
                event.content,
            )
        ),
    )


def decode_held(key: str, item: bytes) -> tuple[EntryId, Event]:
    """Return the entry id and the event of an item. Raises `Unreadable`."""
    record = unseal(key, item)
    try:
        (ms, seq, action, customer, agent, timestamp, value, attribution, pin, mark, content) = _unpack(record)
        event = Event(
            key,
            action,
            customer,
            agent,
            timestamp,
            value_of(value),
            None if attribution is None else Decimal(attribution),
            pin,
            mark,
            content,
        )
    except DAMAGE as wrong:
        raise Unreadable(key, str(wrong)) from None
    return (ms, seq), event
