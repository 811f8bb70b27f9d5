"""The deliveries of one outcome, one for each of its rules; each is made only when somebody asks for it."""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Final

from msgspec import Struct

from witnd.domain.webhooks.message import Delivery, Message, rule_json
from witnd.domain.webhooks.notification import NotificationRule

__all__ = ["FanOut"]

#: deliveries of one outcome up to which each is stored by itself
MAX_SEPARATE: Final = 32


class FanOut(Struct, frozen=True):
    """Its length is the number of deliveries; iterating makes them."""

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
        """Whether its deliveries are stored together, and made later."""
        return len(self.rules) > MAX_SEPARATE

    @property
    def cost(self) -> int:
        """What the commit of its deliveries costs, in deliveries that are stored by themselves (measured)."""
        count = len(self.rules)
        return MAX_SEPARATE + count // 32 if self.is_large else count

    def ids(self) -> list[str]:
        return ids(self.message, [rule.id for rule in self.rules])


def ids(message: Message, rules: list[str]) -> list[str]:
    """What `delivery_id` gives for each rule; the parts of the digest that many share are encoded once."""
    about = f"\0{message.outcome_key}\0{message.type}".encode()
    return [sha256(_digest_prefix(rule) + about).hexdigest() for rule in rules]


@lru_cache(maxsize=4096)
def _digest_prefix(rule: str) -> bytes:
    return f"delivery\0{rule}".encode()
