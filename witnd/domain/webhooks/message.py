"""The frozen message of a delivery, and the shared part of the messages about one outcome."""

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

__all__ = ["Delivery", "Message", "RuleName", "rule_json", "rule_of"]

_json: Final = msgspec.json.Encoder().encode


class Delivery(Struct, frozen=True):
    """One message to one endpoint. It never changes."""

    id: str
    rule_id: str
    rule_name: str
    outcome_key: str
    type: str
    created_ms: int
    body: bytes


class Message(Struct, frozen=True):
    """The shared part of all deliveries of an outcome: `head` before the rule, `rest` after it."""

    outcome_key: str
    type: str
    created_ms: int
    head: bytes
    rest: bytes

    def delivery(self, id_: str, rule: bytes) -> Delivery:
        """Return the delivery to a rule, which is encoded by `rule_json`."""
        named = rule_of(rule)
        body = b"".join((b'{"id":"', id_.encode(), self.head, rule, self.rest))
        return Delivery(id_, named.id, named.name, self.outcome_key, self.type, self.created_ms, body)


class RuleName(Struct, frozen=True):
    id: str
    name: str


rule_of: Final = msgspec.json.Decoder(RuleName).decode


@lru_cache(maxsize=4096)
def rule_json(id: str, name: str) -> bytes:  # noqa: A002
    """Return the JSON of a rule inside a message."""
    return _json(RuleName(id, name))
