"""Plan the changes of a catalogue file: versions to write, and differences as text. Items that the file does not
name stay unchanged. Equal content creates no version.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.file import Item
from witnd.domain.catalogue.seller import SELLER_KEY
from witnd.domain.catalogue.versions.text import FieldDifference, differences, fields, line, text
from witnd.domain.pricing.recurring import CARD_SINCE, COMMITMENT, FEES, with_start_days
from witnd.domain.values import instant
from witnd.domain.webhooks.notification import SECRET_PREFIX
from witnd.domain.webhooks.rotation import OVERLAP

# Longer lists are truncated.
_MAX_UNCHANGED_NAMES = 5


class Change(Struct, frozen=True, kw_only=True):
    """A version to write. Its instant is assigned when it is written."""

    kind: str
    key: str
    archived: bool = False
    content: dict[str, Any]


class Difference(Struct, frozen=True, kw_only=True):
    """The difference between an item of the file and the catalogue. `mark`: `+` new, `~` changed, `=` unchanged."""

    mark: str
    kind: str
    key: str
    fields: tuple[FieldDifference, ...] = ()
    # Instants of later versions that stay scheduled.
    later: tuple[int, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """The versions to write. `secrets`: the generated ones by rule name, which are shown once."""

    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    secrets: dict[str, str]


def plan(catalogue: Catalogue, items: Sequence[Item], *, seed: bytes, at: int | None = None, today: str = "") -> Plan:
    """Return the changes against the versions in effect at `at`, by default the last versions. `seed`: random bytes for
    the secrets of new rules. `today`: the local date, for fees and commitments without `starts`.
    """
    start_days = _StartDays(catalogue, items, today)
    changes, differences, secrets = [], [], {}
    for item in items:
        old = catalogue.entry(item.kind, item.key, at)
        content = start_days.add_to(item, None if old is None else old.content)
        if item.kind == "notification_rule" and content["secret"] is None:
            if old is None:
                secrets[item.key] = generated_secret(seed, item.key)
            known = {"secret": secrets[item.key]} if old is None else _stored_secret(old)
            content = {**content, **known}
        change = Change(kind=item.kind, key=item.key, archived=item.archived, content=content)
        difference = _difference(catalogue, change, old, at, generated=item.key in secrets)
        differences.append(difference)
        if difference.mark != "=":
            changes.append(change)
    return Plan(changes=tuple(changes), differences=tuple(differences), secrets=secrets)


class _StartDays:
    """Adds the days from which fees and commitments without `starts` are charged to the items of one change.

    A fee of a card is charged from the day on which it was written, and not before the day on which the customer was
    assigned to the card. `today`: the local date in the billing time zone.
    """

    def __init__(self, catalogue: Catalogue, items: Sequence[Item], today: str) -> None:
        self._catalogue = catalogue
        self._today = today
        self._written = {item.key for item in items if item.kind == "rate_card" and _charges(item.content)}

    def add_to(self, item: Item, old: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the content of an item. What the version before has too keeps its day."""
        if item.kind not in ("customer", "rate_card"):
            return item.content
        content = with_start_days(item.content, old, self._today)
        card = content.get("rate_card")
        if item.kind == "rate_card" or card is None:
            return content
        if old is not None and old["rate_card"] == card:
            if CARD_SINCE in old:
                content[CARD_SINCE] = old[CARD_SINCE]
        elif self._has_charges(card):
            content[CARD_SINCE] = self._today
        return content

    def _has_charges(self, card: str) -> bool:
        return card in self._written or any(
            _charges(version.content) for version in self._catalogue.versions("rate_card", card)
        )


def _charges(content: Mapping[str, Any]) -> bool:
    return FEES in content or COMMITMENT in content


def _stored_secret(old: CatalogueEntry) -> dict[str, Any]:
    """Return the stored secret of a rule, and its overlap."""
    return {name: old.content[name] for name in ("secret", OVERLAP) if name in old.content}


def generated_secret(seed: bytes, name: str) -> str:
    """Return a secret of 32 bytes, the same for the same seed and name."""
    return SECRET_PREFIX + b64encode(hmac.digest(seed, name.encode(), sha256)).decode()


def _difference(
    catalogue: Catalogue,
    change: Change,
    old: CatalogueEntry | None,
    at: int | None,
    *,
    generated: bool,
) -> Difference:
    kind, key = change.kind, change.key
    before = {} if old is None else fields(old.content, archived=old.archived)
    after = fields(change.content, archived=change.archived)
    if old is not None and (old.content, old.archived) == (change.content, change.archived):
        return Difference(mark="=", kind=kind, key=key)
    if generated and kind == "notification_rule":
        after |= {"secret": "(generated)"}
    later = () if at is None else tuple(i for i in catalogue.instants(kind, key) if i > at)
    mark = "+" if old is None else "~"
    return Difference(mark=mark, kind=kind, key=key, fields=differences(before, after), later=later)


def lines(differences: Sequence[Difference]) -> list[str]:
    """Return the differences as text: one line per changed field, and one for all unchanged items."""
    found = []
    for difference in differences:
        if difference.mark == "=":
            continue
        found.append(f"{difference.mark} {_name(difference)}")
        found += [f"    {line(field)}" for field in difference.fields]
        found += [f"    ! stays scheduled from {instant.render(at)}" for at in difference.later]
    same = [_name(difference) for difference in differences if difference.mark == "="]
    if same:
        more = len(same) - _MAX_UNCHANGED_NAMES
        tail = f" and {more} more" if more > 0 else ""
        found.append(f"= unchanged: {', '.join(same[:_MAX_UNCHANGED_NAMES])}{tail}")
    return found


def _name(difference: Difference) -> str:
    word = difference.kind.replace("_", " ")
    return word if difference.key == SELLER_KEY == word else f"{word} {text(difference.key)}"
