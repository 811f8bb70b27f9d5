"""Entries of the change log in words: the action, its object, and the fields that differ."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from witnd.app.changes import ChangeJson
from witnd.domain.catalogue.catalogue import KINDS
from witnd.domain.catalogue.versions.text import FieldDifference, differences, fields
from witnd.domain.values import instant
from witnd.store.access.change_log import REQUESTED
from witnd.web.dashboard.present.words import link

# The verb of each action, with what comes before the object.
_DONE: Final[Mapping[str, str]] = {
    "create": "created",
    "update": "changed",
    "archive": "archived",
    "restore": "restored",
    "revoke": "revoked",
    "rotate_secret": "rotated the secret of",
    "resume": "requested to resume",
    "issue": "issued",
    "pay": "recorded the payment of",
    "void": "voided",
    "credit": "gave a credit on",
    "add_line": "added a line to",
    "remove_line": "removed a line from",
    "override_tax": "changed the tax of a line of",
    "resend": "requested to resend",
    "retry": "requested a retry of the held events of",
    "remove": "requested to remove an event of",
    "repair": "requested a repair of",
}
# Where a thing is found; those without a page of their own are named only.
_PLACES: Final[Mapping[str, str]] = {
    "customer": "customers",
    "agent": "agents",
    "rate_card": "rate-cards",
    "tax": "taxes",
    "seller": "seller",
    "notification_rule": "notifications",
    "token": "tokens",
    "invoice": "invoices",
    "outcome": "outcomes",
    "event": "outcomes",
    "delivery": "deliveries",
}
_WORDS: Final[Mapping[str, str]] = {"notification_rule": "notification", "event": "outcome"}
# Ids as long as this say nothing to people: their beginning tells them apart.
_DIGEST: Final = 64
_SHOWN: Final = 12
# What tells nothing about a change.
_PASSED_OVER: Final = frozenset(("revision", "effective_from", "archived", "last_used_at", REQUESTED))
# What an entry shows of a manual line.
_LINE_FIELDS: Final = ("description", "quantity", "unit_price", "tax")
# A change holds from the instant at which it is made, unless somebody wrote a later one.
_NOW_MS: Final = 1000
# Fields shown per change. A rate card can have thousands; its page shows all of them.
FIELDS_MOST: Final = 25


class ChangeRow(Struct, frozen=True, kw_only=True):
    """A change. `what`: its code, such as `agent.create`. `action` and `name` form its sentence; `address`: the page of
    the thing, if it has one. `from_`: when it takes effect, if later. `made`: there was nothing before.
    `fields_left`: how many more fields differ."""

    id: str
    at: str
    who: str
    what: str
    action: str
    name: str
    address: str | None
    from_: str | None
    made: bool
    fields: list[FieldDifference]
    fields_left: int
    request_id: str


def change_row(change: ChangeJson) -> ChangeRow:
    kind, _, verb = change.what.partition(".")
    before, after = _sides(change)
    action, name, address = _sentence(change, kind, verb, after)
    found = differences(_fields(kind, before), _fields(kind, after))
    return ChangeRow(
        id=change.id,
        at=change.at,
        who=change.who,
        what=change.what,
        action=action,
        name=name,
        address=address,
        from_=_later(change, after),
        made=change.before is None and REQUESTED not in after,
        fields=[*found[:FIELDS_MOST]],
        fields_left=max(0, len(found) - FIELDS_MOST),
        request_id=change.request_id,
    )


def _sides(change: ChangeJson) -> tuple[dict[str, Any], dict[str, Any]]:
    before = change.before if isinstance(change.before, dict) else {}
    after = change.after if isinstance(change.after, dict) else {}
    if not isinstance(after.get("invoice"), dict):
        return before, after
    # Operations on invoices nest the invoice, and have the line that they changed beside it.
    line = {name: value for name, value in (after.get("line") or {}).items() if name in _LINE_FIELDS}
    if line and change.what.endswith(".remove_line"):
        before = before | {"line": line}
    more = {"override": after["override"]} if "override" in after else {}
    if line and "line" not in before:
        more["line"] = line
    return before, after["invoice"] | more


def _sentence(change: ChangeJson, kind: str, verb: str, after: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """What was done, to what by name, and its address."""
    if change.what == "problems.retry_held":
        many = len(after.get("keys", ()))
        return "requested a retry of the held events of", f"{many} {'key' if many == 1 else 'keys'}", link("problems")
    if kind not in _PLACES or verb not in _DONE:
        return change.what, change.key, None
    if kind == "delivery" and "/" in change.key:
        text = f"deliveries of {change.key.replace('/', ' to ')}"
        return _DONE[verb], text, link("deliveries")
    if kind == "seller":
        return f"{_DONE[verb]} the", "seller", link("seller")
    name = str(after.get("number") or "") if kind == "invoice" else str(after.get("name") or "") * (kind == "token")
    short = change.key[:_SHOWN] if len(change.key) == _DIGEST else change.key
    return f"{_DONE[verb]} {_WORDS.get(kind, kind.replace('_', ' '))}", name or short, link(_PLACES[kind], change.key)


def _later(change: ChangeJson, after: Mapping[str, Any]) -> str | None:
    """From when on it holds, where it was written for an instant ahead."""
    start = after.get("effective_from")
    if not isinstance(start, str) or instant.parse(start) <= instant.parse(change.at) + _NOW_MS:
        return None
    return start


def _fields(kind: str, content: Mapping[str, Any]) -> dict[str, str]:
    """A short text for each field; secrets are hidden already, and show nothing. A logo is a short text already."""
    plain = {name: value for name, value in content.items() if name not in _PASSED_OVER and name != "secret"}
    if kind not in KINDS:
        return dict(_flat(plain, ""))
    logo = {"logo": str(plain.pop("logo"))} if "logo" in plain else {}
    return fields(plain, archived=content.get("archived") is True) | logo


def _flat(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _flat(value, f"{path}.{name}" if path else name)
    elif isinstance(node, list) and all(isinstance(item, str) for item in node):
        yield path, ", ".join(node)
    elif node is not None:
        yield path, node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
