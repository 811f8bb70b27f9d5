"""Reading the entries of a rate card, or a customer's own: what each agent costs, in one of five kinds.

Every mistake is told at once with its path and the remedy. The canonical content has plain decimals and leaves
defaults out, so that one meaning has one spelling and one digest. What an entry costs is left to `rating`.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from witnd.domain.values.fields import Table, described, joined
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import decimal_string, plain

FLAT, GRADUATED, VOLUME, PACKAGE, PERCENTAGE = "flat", "graduated", "volume", "package", "percentage"
#: The fields of each kind. Those of every entry come besides.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    FLAT: ("price_per_unit",),
    GRADUATED: ("tiers",),
    VOLUME: ("tiers",),
    PACKAGE: ("package_size", "price_per_package"),
    PERCENTAGE: ("percent", "minimum", "maximum"),
}
#: What every kind may have besides: units of a period that cost nothing, and bounds of what a period costs.
OPTIONS = ("free_quota", "period_minimum", "period_cap")
ENTRY_FIELDS = ("agent", "kind", *dict.fromkeys(name for names in KINDS.values() for name in names), *OPTIONS)
TIER_FIELDS = ("up_to", "price_per_unit", "flat_fee")
# As many prices as a card can hold before a catalogue entry becomes a burden to every reader.
MOST_ENTRIES = 1000
# More steps than any price list has; each is looked at when a period closes.
MOST_TIERS = 100

_ZERO = Decimal(0)


def read_entries(table: Table, path: str) -> list[dict[str, Any]]:
    """The field `entries` of the table at `path` in canonical form, in order of agents, so that writing them in
    another order is no change. What is wrong with them joins the table's mistakes; what is absent is an empty list."""
    raw = table.get("entries")
    if raw is None:
        return []
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse("entries", f"must be a list of entries, and is {described(raw)}")
        return []
    if len(raw) > MOST_ENTRIES:
        table.refuse("entries", f"has more than {MOST_ENTRIES} entries; leave out what is not used")
        return []
    read: dict[str, dict[str, Any]] = {}
    for index, raw_entry in enumerate(raw):
        at = joined(path, f"entries[{index}]")
        entry, mistakes = _read_entry(raw_entry, at)
        agent = entry["agent"]
        if agent in read:
            again = f"prices {described(agent)} a second time; keep one entry per agent"
            mistakes.append(Mistake(f"{at}.agent", again))
        elif agent:
            read[agent] = entry
        table.mistakes.extend(mistakes)
    return [read[agent] for agent in sorted(read)]


def _read_entry(raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    table = Table(raw, path, ENTRY_FIELDS)
    entry: dict[str, Any] = {"agent": table.text("agent"), "kind": FLAT}
    kind = table.get("kind")
    if kind is None or (isinstance(kind, str) and kind in KINDS):
        entry["kind"] = kind or FLAT
        entry |= _READERS[entry["kind"]](table)
        _refuse_foreign(table, entry["kind"])
    else:
        # What the entry's other fields should be depends on the kind, so nothing is said about them.
        table.refuse("kind", f"is {described(kind)}; write one of {', '.join(KINDS)}")
    entry |= _optional(table, "free_quota", "500")
    entry |= _range(table, "period_minimum", "period_cap", "100.00")
    return entry, table.mistakes


def _refuse_foreign(table: Table, kind: str) -> None:
    """Fields of other kinds, which would have no effect."""
    for name in ENTRY_FIELDS:
        owners = [one for one, names in KINDS.items() if name in names]
        if owners and kind not in owners and table.get(name) is not None:
            others = " or ".join([f'kind = "{one}"' for one in owners])
            table.refuse(name, f"belongs to other kinds, and this entry is {kind}; remove it or write {others}")


def _flat(table: Table) -> dict[str, Any]:
    return _required(table, "price_per_unit", "0.99")


def _package(table: Table) -> dict[str, Any]:
    size = _decimal(table, "package_size", "100", required=True)
    if size == _ZERO:
        table.refuse("package_size", "must be greater than 0; write how many units one package has")
    return {"package_size": plain(size or _ZERO)} | _required(table, "price_per_package", "9.00")


def _percentage(table: Table) -> dict[str, Any]:
    return _required(table, "percent", "2.5") | _range(table, "minimum", "maximum", "0.50")


def _tiered(table: Table) -> dict[str, Any]:
    """Tiers of a graduated or volume entry: rising, the last one without end."""
    raw = table.required("tiers", 'write a list such as [{up_to = "100", price_per_unit = "1"}, …]')
    if raw is None:
        return {"tiers": []}
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse("tiers", f"must be a list of tiers, and is {described(raw)}")
        return {"tiers": []}
    if not 1 <= len(raw) <= MOST_TIERS:
        table.refuse("tiers", f"has {len(raw)} tiers; write 1 to {MOST_TIERS}")
        return {"tiers": []}
    tiers = []
    border = _ZERO
    for index, raw_tier in enumerate(raw):
        tier = Table(raw_tier, joined(table.path, f"tiers[{index}]"), TIER_FIELDS)
        border = _border(tier, border, last=index == len(raw) - 1)
        read = {} if tier.get("up_to") is None else {"up_to": plain(border)}
        tiers.append(read | _required(tier, "price_per_unit", "0.99") | _optional(tier, "flat_fee", "5.00"))
        table.mistakes.extend(tier.mistakes)
    return {"tiers": tiers}


def _border(tier: Table, below: Decimal, *, last: bool) -> Decimal:
    """Where the tier ends; `below` is where the one before it does, and the answer for one without a usable end."""
    border = _decimal(tier, "up_to", "100", required=not last, missing="only the last tier has no end")
    if border is None:
        return below
    if border <= below:
        tier.refuse("up_to", f"must be greater than {plain(below)}" + (", where the tier before ends" if below else ""))
    if last:
        tier.refuse("up_to", "must be absent: the last tier has no end; remove it, or write one more tier")
    return max(border, below)


_READERS: Final[Mapping[str, Callable[[Table], dict[str, Any]]]] = {
    FLAT: _flat,
    GRADUATED: _tiered,
    VOLUME: _tiered,
    PACKAGE: _package,
    PERCENTAGE: _percentage,
}


def _required(table: Table, name: str, example: str) -> dict[str, str]:
    return {name: plain(_decimal(table, name, example, required=True) or _ZERO)}


def _optional(table: Table, name: str, example: str) -> dict[str, str]:
    """A field whose default is 0: left out where it is that."""
    value = _decimal(table, name, example)
    return {name: plain(value)} if value else {}


def _range(table: Table, least: str, most: str, example: str) -> dict[str, str]:
    """A lower bound, 0 by default, and an upper one, none by default: 0 is one too."""
    found = _optional(table, least, example)
    highest = _decimal(table, most, example)
    if highest is None:
        return found
    lowest = Decimal(found.get(least, "0"))
    if highest < lowest:
        table.refuse(most, f"must be at least {plain(lowest)}, which {least} is")
    return found | {most: plain(highest)}


def _decimal(table: Table, name: str, example: str, *, required: bool = False, missing: str = "") -> Decimal | None:
    """A decimal string of the table; None where it is absent or wrong. A number would have been rounded already."""
    remedy = f'write it as a string, such as "{example}"'
    value = table.get(name)
    if value is None:
        if required:
            table.required(name, f"{missing}; {remedy}" if missing else remedy)
        return None
    if not isinstance(value, str):
        table.refuse(name, f"is {described(value)}; {remedy}")
        return None
    try:
        return decimal_string(value)
    except ValueError as wrong:
        table.refuse(name, f"{described(value)} {wrong}")
        return None
