"""Template filters and functions that format instants, durations, amounts, numbers and addresses.

Those that return markup escape their input.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from markupsafe import Markup

from witnd.billing.export import wording
from witnd.billing.export.wording import group_digits, minute
from witnd.domain.values import instant
from witnd.domain.values.period import Period

NOTHING: Final = "–"
MARK: Final = "~"
# Browsers resolve the first two as folders; the last is the address of the form for a new thing.
_NO_KEYS: Final = frozenset((".", "..", "new"))
_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
# The colour of each state.
TONES: Final[Mapping[str, str]] = {
    "open": "open", "pending": "pending", "confirmed": "good", "missed": "muted", "failed": "muted",
    "applied": "good", "reversed": "warn",
    "duplicate": "muted", "late": "muted", "conflict": "warn", "held": "warn", "rejected": "bad", "on hold": "bad",
    "waiting": "warn",
    "delivered": "good", "parked": "warn", "dead": "bad",
    "draft": "pending", "issued": "open", "paid": "good", "void": "muted",
    "healthy": "good", "failing": "warn", "suspended": "bad",
    "disabled": "muted", "changed": "warn", "own": "open", "you": "open",
    "in effect": "good", "past": "muted", "scheduled": "pending", "archived": "muted", "revoked": "muted",
}  # fmt: skip


# States that people know by another name.
_STATE_NAMES: Final[Mapping[str, str]] = {"dead": "given up", "failed": "missed"}


def link(*parts: str, **query: object) -> str:
    """Return an address of the dashboard: `link("outcomes", key)`, `link("outcomes", status="OPEN")`. Omit None."""
    return _address([encode_key(part) for part in parts], query)


def new(kind: str, **query: object) -> str:
    """Return the address of the form for a new thing: `new("customers", key="acme")`."""
    return _address([kind, "new"], query)


def encode_key(key: str) -> str:
    """Return a key as a part of an address. A mark precedes keys that have another meaning there."""
    return MARK + key if key in _NO_KEYS or key.startswith(MARK) else key


def decode_key(part: str) -> str:
    return part.removeprefix(MARK)


def _address(parts: Sequence[str], query: Mapping[str, object]) -> str:
    path = "/".join(["/dashboard", *[quote(part, safe="") for part in parts]])
    asked = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(asked)}" if asked else path


def when(at: str | int | None) -> str:
    """An instant in UTC, with milliseconds in the tooltip."""
    if at is None:
        return NOTHING
    ms = at if isinstance(at, int) else instant.parse(at)
    exact = instant.render(ms)
    shown = f"{minute(ms)} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, _tip(exact), shown)


def until(at: str | int | None) -> str:
    """A future instant; a script counts down to it."""
    if at is None:
        return NOTHING
    ms = at if isinstance(at, int) else instant.parse(at)
    exact = instant.render(ms)
    return Markup('<time datetime="{}" title="{}" data-until>{} UTC</time>').format(exact, _tip(exact), minute(ms))


class Billed(Protocol):
    """Something with a billing period, in the form of the API."""

    period: str
    period_start: str
    period_end: str
    time_zone: str
    first_day: str
    last_day: str


def days(one: Billed) -> str:
    """A billing period: `1 – 31 October 2026 (UTC)`."""
    bounds = instant.parse(one.period_start), instant.parse(one.period_end)
    return wording.period(Period(*bounds, one.period, one.time_zone, one.first_day, one.last_day))


def money(amount: str | None, currency: str | None) -> str:
    """An amount that already has the digits of its currency: `1,234.50 EUR`."""
    if amount is None or currency is None:
        return NOTHING
    return Markup('<span class="money">{}\u00a0<span class="currency">{}</span></span>').format(
        group_digits(amount), currency
    )


def number(many: int | str) -> str:
    """A number in groups of three, without rounding."""
    return group_digits(str(many))


def span(seconds: float) -> str:
    """`3 days`, `1 hour 30 minutes`: the two largest units."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    rest, parts = int(seconds), []
    for name, size in _UNITS:
        many, rest = divmod(rest, size)
        if many:
            parts.append(f"{many} {name}{'' if many == 1 else 's'}")
    return " ".join(parts[:2])


def tone(state: str) -> str:
    return TONES.get(state.lower(), "muted")


def state_text(state: str) -> str:
    """Return the name of a state for people, in lower case."""
    return _STATE_NAMES.get(state.lower(), state.lower())


def plural(many: int, one: str, several: str | None = None) -> str:
    """`1 event`, `1,234 events`."""
    return f"{number(many)} {one if many == 1 else several or one + 's'}"


def code(text: str) -> Markup:
    """Show text between backticks as code, and escape everything."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup("{}").format(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def pair(text: str) -> tuple[str, str]:
    """An option whose label is its value."""
    return text, text


def _tip(exact: str) -> str:
    return f"{exact[:10]} {exact[11:-1]} UTC"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "when": when,
    "until": until,
    "days": days,
    "money": money,
    "number": number,
    "span": span,
    "tone": tone,
    "state_text": state_text,
    "plural": plural,
    "code": code,
    "pair": pair,
}
