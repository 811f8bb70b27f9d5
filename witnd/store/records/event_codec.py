"""Encodes and decodes billing events: one JSON text in an entry of their stream.

The instant of an event is that of its entry. A script adds what only it can determine: the number that it
assigned to a document, or how often something has happened.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from witnd.domain.webhooks.billing_event import BillingEvent, EventType, WrittenEvent
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.records.sealed import DAMAGE

FORMAT: Final = 1
# The fields for a number that the step assigns: it fills the first one that is null.
_NUMBERS: Final = ("creditNoteNumber", "invoiceNumber")


class _Record(Struct, frozen=True, kw_only=True):
    v: int
    type: EventType
    subject: str
    facts: dict[str, Any]
    details: dict[str, dict[str, Any]]
    count: int
    number: str | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Record).decode


def event_head(event: BillingEvent) -> bytes:
    """Return the JSON of an event without its end: a script adds members and the closing brace."""
    record: dict[str, Any] = {
        "v": FORMAT,
        "type": event.type,
        "subject": event.subject,
        "facts": event.facts,
        "details": event.details,
    }
    if event.count is not None:
        record["count"] = event.count
    return _encode(record)[:-1]


def count_field(event: BillingEvent) -> str:
    """Return the field of the number of times that an event has happened to its subject."""
    return f"{event.type} {event.subject}"


def whole_event(event: BillingEvent) -> bytes:
    """Return the JSON of an event to which no script adds anything."""
    return event_head(event) + b"}"


def decode_event(id_: str, record: bytes | None) -> WrittenEvent:
    """Return the event of an entry. Raises `Unreadable`."""
    try:
        found = _decode(record or b"")
        _check_format(id_, found.v)
        return WrittenEvent(
            at=int(id_.partition("-")[0]),
            type=found.type,
            subject=found.subject,
            count=found.count,
            facts=_with_number(found.facts, found.number),
            details=found.details,
        )
    except DAMAGE as wrong:
        raise Unreadable(f"billing event {id_}", str(wrong)) from None


def _check_format(id_: str, number: int) -> None:
    if number > FORMAT:
        raise Unsafe(
            f"billing event {id_} has format {number}, and this witnd reads formats up to {FORMAT}",
            "run the newer witnd that wrote it",
        )


def _with_number(facts: dict[str, Any], number: str | None) -> dict[str, Any]:
    name = next((name for name in _NUMBERS if name in facts and facts[name] is None), None)
    return facts if number is None or name is None else {**facts, name: number}
