"""Notification rules, the message of a delivery, and the retry schedule.

A delivery's id and body depend only on its outcome and rule, so that a repetition creates the same bytes.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, Self, TypedDict, Unpack, cast
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET, Struct, UnsetType

from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.domain.webhooks.message import Delivery, Message, rule_json
from witnd.domain.webhooks.rotation import OVERLAP, overlap_problem
from witnd.domain.webhooks.sources import EVENT_SOURCES, REVERSED, SOURCES, TYPE_OF_STATUS, TYPES_OF_SOURCE, Source

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix, not a secret
# The bounds of the Standard Webhooks specification.
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
NAME_MAX: Final = 255
# Common servers and proxies truncate or refuse longer URLs.
URL_MAX: Final = 2048

_RULES: Final = UUID("6f1c1d0e-7d0c-5b0a-9a53-5d7b2a0c9e11")
_MEMBERS: Final = ("name", "source", "agent", "url", "secret", "enabled", OVERLAP)
_BLANK_OR_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_json: Final = msgspec.json.Encoder().encode
_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE

# The delay (ms) after each failure. The first attempt is immediate.
_FIRST: Final = (5_000, 5 * _MINUTE, 30 * _MINUTE)
SCHEDULE: Final = (*_FIRST, *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)))
JITTER: Final = 0.2


class NotificationRule(Struct, frozen=True, kw_only=True):
    """One version of a rule."""

    id: str
    name: str
    source: Source
    agent: str | None
    url: str
    secret: str
    enabled: bool

    @classmethod
    def from_content(cls, name: str, content: Mapping[str, object]) -> Self:
        """Return the rule of a catalogue entry, which `mistakes` has validated."""
        return cls(
            id=rule_id(name),
            name=name,
            source=cast("Source", content["source"]),
            agent=cast("str | None", content.get("agent")),
            url=cast(str, content["url"]),
            secret=cast(str, content["secret"]),
            enabled=cast(bool, content.get("enabled", True)),
        )

    def wants(self, agent_key: str, type: str) -> bool:  # noqa: A002 - the name in the message
        """Return whether a resolution of this type and agent creates a delivery."""
        if not self.enabled or self.agent not in (None, agent_key):
            return False
        return type in TYPES_OF_SOURCE.get(self.source, ())

    def wants_event(self, type: str) -> bool:  # noqa: A002 - the name in the message
        """Return whether a billing event of this type creates a delivery."""
        return self.enabled and self.source == type


class _Facts(Struct, frozen=True, rename="camel"):
    outcome_key: str
    customer_key: str
    agent_key: str
    agent_name: str


class OutcomeFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """Members beyond the public format: decimal strings, null for missed outcomes."""

    status: str
    unit: str | None = None
    amount: str | None = None
    currency: str | None = None
    settles_at: str | None = None
    line_id: str | None = None
    grade: str | None = None
    reversed_at: str | UnsetType = UNSET  # of a reversal


class _Subject(TypedDict):
    outcome_key: str
    customer_key: str
    agent_key: str
    agent_name: str
    status: str
    resolved_at: int
    outcome_facts: Mapping[str, object]


# The message is `{"id", <head>, "data": {"rule", <rest>}}`. The parts that all rules share are encoded once.
class _Head(Struct, frozen=True, rename="camel"):
    type: str
    created_at: str


class _Rest(Struct, frozen=True, rename={"subject_key": "subjectKey"}):
    subject_key: str
    facts: _Facts
    outcome: OutcomeFacts


def rule_id(name: str) -> str:
    """Return the UUID of a rule name, the same in every deployment."""
    return str(uuid5(_RULES, name))


def delivery_id(rule: str, outcome_key: str, type: str) -> str:  # noqa: A002
    """Return the id of a delivery, a digest of 64 hex characters."""
    return sha256("\0".join(("delivery", rule, outcome_key, type)).encode()).hexdigest()


def new_delivery(rule: NotificationRule, **about: Unpack[_Subject]) -> Delivery:
    """Return the delivery that reports a resolution to one rule; see `message`."""
    return new_deliveries((rule,), **about)[0]


def new_deliveries(rules: Iterable[NotificationRule], **about: Unpack[_Subject]) -> tuple[Delivery, ...]:
    """Return the deliveries that report a resolution, one for each rule; see `message`."""
    shared = message(**about)
    return tuple(
        shared.delivery(delivery_id(rule.id, shared.outcome_key, shared.type), rule_json(rule.id, rule.name))
        for rule in rules
    )


def message(
    *,
    outcome_key: str,
    customer_key: str,
    agent_key: str,
    agent_name: str,
    status: str,
    resolved_at: int,
    outcome_facts: Mapping[str, object],
) -> Message:
    """Return the shared part of the deliveries that report a resolution.

    `outcome_facts` may have `unit`, `amount`, `currency` and `line_id` as text or null. `settles_at` defaults to
    `resolved_at`. With `reversed_at`, they report the reversal at that instant.
    """
    type_, created_ms = TYPE_OF_STATUS[status], resolved_at
    if isinstance(reversed_at := outcome_facts.get("reversed_at"), str):
        type_, created_ms = REVERSED, instant.parse(reversed_at)
    created_at = instant.render(created_ms)
    settles_at = outcome_facts.get("settles_at", instant.render(resolved_at))
    if isinstance(settles_at, int):
        settles_at = instant.render(settles_at)
    outcome = msgspec.convert({**outcome_facts, "settles_at": settles_at, "status": status}, OutcomeFacts)
    facts = _Facts(outcome_key, customer_key, agent_key, agent_name)
    head = b'",%b,"data":{"rule":' % _json(_Head(type_, created_at))[1:-1]
    rest = b",%b}}" % _json(_Rest(outcome_key, facts, outcome))[1:-1]
    return Message(outcome_key, type_, created_ms, head, rest)


def next_attempt(
    tries: int,
    now_ms: int,
    jitter: float,
    retry_after_ms: int | None = None,
    schedule: Sequence[int] = SCHEDULE,
) -> int | None:
    """Return when to retry (ms) after failure number `tries` (from 1), or None after the last step.

    `jitter` between 0 and 1 moves the step by ±20 %. `Retry-After` replaces the step, limited to between one and two
    times the step: an endpoint may slow retries down, but not postpone them for a year.
    """
    if tries > len(schedule):
        return None
    step = schedule[tries - 1]
    if retry_after_ms is not None:
        return now_ms + min(max(retry_after_ms, step), 2 * step)
    return now_ms + round(step * (1 - JITTER + 2 * JITTER * jitter))


def secret_bytes(secret: str) -> bytes:
    """Return the key inside `whsec_<base64>`. Raises ValueError with the reason, without the secret."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"must start with {SECRET_PREFIX}")
    try:
        key = b64decode(secret[len(SECRET_PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must be base64 (with padding) after {SECRET_PREFIX}") from None
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(f"must hold {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, has {len(key)}")
    return key


def mistakes(raw: object, path: str) -> list[Mistake]:
    """Return the mistakes of a rule in the catalogue file."""
    if not isinstance(raw, Mapping):
        return [Mistake(path, f"must be a table with {', '.join(_MEMBERS)}")]
    found = [
        Mistake(f"{path}.{name}", f"is not a field of a rule; known fields are {', '.join(_MEMBERS)}")
        for name in raw
        if name not in _MEMBERS
    ]
    wrong = {
        "name": _name_problem(raw.get("name")),
        "source": None if raw.get("source") in SOURCES else f"must be one of {', '.join(SOURCES)}",
        "agent": _agent_problem(raw.get("agent"), raw.get("source")),
        "url": _url_problem(raw.get("url")),
        "secret": _secret_problem(raw.get("secret")),
        "enabled": None if isinstance(raw.get("enabled", True), bool) else "must be true or false",
        OVERLAP: None if raw.get(OVERLAP) is None else overlap_problem(raw[OVERLAP]),
    }
    found += [Mistake(f"{path}.{name}", why) for name, why in wrong.items() if why]
    return found


def _agent_problem(agent: object, source: object) -> str | None:
    if agent is None:
        return None
    if source in EVENT_SOURCES:
        return f"cannot be combined with source {source}, which concerns no single agent; leave it out"
    return _name_problem(agent)


def _name_problem(name: object) -> str | None:
    if name is None:
        return "is missing; write 1 to 255 characters"
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_MAX:
        return "must be text of 1 to 255 characters"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "contains an unpaired surrogate; write the whole character"
    return None


def _url_problem(url: object) -> str | None:
    if not isinstance(url, str):
        return "must be an address such as https://example.com/hooks/witn"
    if len(url) > URL_MAX:
        return f"is longer than {URL_MAX} characters"
    if _BLANK_OR_CONTROL.search(url):
        return "contains a space or a control character; percent-encode it"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        return f"is not a valid URL: {wrong}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be absolute and start with https:// (or http://)"
    if "@" in parts.netloc:
        return "must not contain a user name or password; the signature authenticates the request"
    if port == 0:
        return "has port 0; write the port of the endpoint"
    return None


def _secret_problem(secret: object) -> str | None:
    if not isinstance(secret, str):
        return f"must be {SECRET_PREFIX} and the base64 of 24 to 64 random bytes"
    try:
        secret_bytes(secret)
    except ValueError as wrong:
        return str(wrong)
    return None
