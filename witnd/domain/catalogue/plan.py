"""What a catalogue file would change: the versions to write, and the difference as people read it.

What the file names is made so; what it does not name is left alone. What is equal makes no version.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.file import Item
from witnd.domain.catalogue.text import FieldDifference, differences, fields, line, text
from witnd.domain.values import instant
from witnd.domain.webhooks.notification import SECRET_PREFIX
from witnd.domain.webhooks.rotation import OVERLAP

# More names than this in one line are not read by anybody.
_MAX_UNCHANGED_NAMES = 5


class Change(Struct, frozen=True, kw_only=True):
    """A version to write; its instant is decided when it is written."""

    kind: str
    key: str
    archived: bool = False
    content: dict[str, Any]


class Difference(Struct, frozen=True, kw_only=True):
    """One item of the file against the catalogue. `mark`: `+` new, `~` changed, `=` as it is."""

    mark: str
    kind: str
    key: str
    fields: tuple[FieldDifference, ...] = ()
    # Instants of versions that stay scheduled behind this one.
    later: tuple[int, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """`secrets`: the generated ones by rule name, to be shown once."""

    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    secrets: dict[str, str]


def plan(catalogue: Catalogue, items: Sequence[Item], *, seed: bytes, at: int | None = None) -> Plan:
    """What the items change in what is in force at `at`; without an instant, in the last versions.

    `seed` is fresh randomness of the caller, from which new rules without a secret get theirs.
    """
    changes, differences, secrets = [], [], {}
    for item in items:
        old = catalogue.entry(item.kind, item.key, at)
        content = item.content
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


def _stored_secret(old: CatalogueEntry) -> dict[str, Any]:
    """The secret that a rule has, and how long the one before it signs."""
    return {name: old.content[name] for name in ("secret", OVERLAP) if name in old.content}


def generated_secret(seed: bytes, name: str) -> str:
    """A secret of 32 bytes: planning the same rule again with the same seed makes the same one."""
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
    """The difference for people: one line per changed field, and one for all that is unchanged."""
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
    return f"{difference.kind.replace('_', ' ')} {text(difference.key)}"
