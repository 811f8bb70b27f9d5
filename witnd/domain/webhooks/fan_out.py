"""The deliveries of one outcome, one for each rule, created on demand."""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Final

from msgspec import Struct

from witnd.domain.webhooks.message import Delivery, Message, rule_json
from witnd.domain.webhooks.notification import NotificationRule
from witnd.domain.webhooks.sources import REVERSED

__all__ = ["FanOut"]

#: up to this many deliveries of an outcome are stored separately
MAX_SEPARATE: Final = 32


class FanOut(Struct, frozen=True):
    """The deliveries of one outcome: `len` counts them, iteration creates them."""

    message: Message
    rules: tuple[NotificationRule, ...]

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[Delivery]:
        message = self.message
        for id_, rule in zip(self.ids(), self.rules, strict=True):
            yield message.delivery(id_, rule_json(rule.id, rule.name))

    @property
    def is_large(self) -> bool:
        """Whether its deliveries are stored together and created later. Not those of a reversal, because one message
        is stored with an outcome, and that of its resolution may be."""
        return len(self.rules) > MAX_SEPARATE and self.message.type != REVERSED

    @property
    def cost(self) -> int:
        """The cost of committing its deliveries, in separately stored deliveries (measured)."""
        count = len(self.rules)
        return MAX_SEPARATE + count // 32 if self.is_large else count

    def ids(self) -> list[str]:
        return ids(self.message, [rule.id for rule in self.rules])


def ids(message: Message, rules: list[str]) -> list[str]:
    """Return the `delivery_id` for each rule. Shared parts of the digest are encoded once."""
    about = f"\0{message.outcome_key}\0{message.type}".encode()
    return [sha256(_digest_prefix(rule) + about).hexdigest() for rule in rules]


@lru_cache(maxsize=4096)
def _digest_prefix(rule: str) -> bytes:
    return f"delivery\0{rule}".encode()
