"""Read the entries of a rate card or a customer's own entries: the price of each agent, in one of five kinds.

All mistakes are reported together, with path and remedy. The canonical content has plain decimals and omits defaults,
so that equal prices have equal digests.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from witnd.domain.values.fields import Table, field_path, short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import decimal_string, plain

FLAT, GRADUATED, VOLUME, PACKAGE, PERCENTAGE = "flat", "graduated", "volume", "package", "percentage"
#: The fields of each kind, in addition to those of every entry.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    FLAT: ("price_per_unit",),
    GRADUATED: ("tiers",),
    VOLUME: ("tiers",),
    PACKAGE: ("package_size", "price_per_package"),
    PERCENTAGE: ("percent", "minimum", "maximum"),
}
#: The key of a tax: of every kind of entry, and of fees and commitments.
TAX = "tax"
#: The grade that an entry prices. Without one, it prices all grades of its agent that have no entry of their own.
GRADE = "grade"
#: Options of every kind: free units per period, and bounds of the period's total.
OPTIONS = ("free_quota", "period_minimum", "period_cap")
ENTRY_FIELDS = (
    "agent", GRADE, "kind", *dict.fromkeys(name for names in KINDS.values() for name in names), *OPTIONS, TAX,
)  # fmt: skip
TIER_FIELDS = ("up_to", "price_per_unit", "flat_fee")
# Every process that reads the catalogue loads all prices of a card.
MAX_ENTRIES = 1000
# More steps than any price list has. Closing a period evaluates each of them.
MAX_TIERS = 100

# Codes of mistakes, with their params: `example`; `bound` (the name of the field) and its `value`.
NO_DECIMAL_STRING = "no_decimal_string"
BELOW_BOUND = "below_bound"

_ZERO = Decimal(0)


def read_entries(table: Table, path: str) -> list[dict[str, Any]]:
    """Return the field `entries` in canonical form, or an empty list if absent. Adds errors to the table's mistakes.
    The entries are sorted by agent and grade, so that reordering them is not a change."""
    raw = table.get("entries")
    if raw is None:
        return []
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse("entries", f"must be a list of entries, got {short_repr(raw)}")
        return []
    if len(raw) > MAX_ENTRIES:
        table.refuse("entries", f"has more than {MAX_ENTRIES} entries; leave out what is not used")
        return []
    read: dict[tuple[str, str], dict[str, Any]] = {}
    for index, raw_entry in enumerate(raw):
        at = field_path(path, f"entries[{index}]")
        entry, mistakes = _read_entry(raw_entry, at)
        agent, grade = entry["agent"], entry.get(GRADE, "")
        if (agent, grade) in read:
            what = f"{short_repr(agent)} again" if not grade else f"grade {short_repr(grade)} again"
            again = f"must not be repeated, got {what}; keep one entry per agent and grade"
            mistakes.append(Mistake(f"{at}.{GRADE if grade else 'agent'}", again))
        elif agent:
            read[agent, grade] = entry
        table.mistakes.extend(mistakes)
    return [read[key] for key in sorted(read)]


def _read_entry(raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    table = Table(raw, path, ENTRY_FIELDS)
    entry: dict[str, Any] = {"agent": table.text("agent"), "kind": FLAT}
    if (grade := table.optional_text(GRADE)) is not None:
        entry[GRADE] = grade
    kind = table.get("kind")
    if kind is None or (isinstance(kind, str) and kind in KINDS):
        entry["kind"] = kind or FLAT
        entry |= _READERS[entry["kind"]](table)
        _refuse_other_kinds(table, entry["kind"])
    else:
        # The other fields depend on the kind, so they cannot be checked.
        table.refuse("kind", f"is {short_repr(kind)}; write one of {', '.join(KINDS)}")
    entry |= _optional_decimal(table, "free_quota", "500")
    entry |= read_bounds(table, "period_minimum", "period_cap", "100.00")
    entry |= read_tax_key(table)
    return entry, table.mistakes


def _refuse_other_kinds(table: Table, kind: str) -> None:
    """Refuse fields of other kinds, which would have no effect."""
    for name in ENTRY_FIELDS:
        owners = [one for one, names in KINDS.items() if name in names]
        if owners and kind not in owners and table.get(name) is not None:
            others = " or ".join([f'kind = "{one}"' for one in owners])
            table.refuse(name, f"belongs to other kinds, and this entry is {kind}; remove it or write {others}")


def _flat(table: Table) -> dict[str, Any]:
    return required_decimal(table, "price_per_unit", "0.99")


def _package(table: Table) -> dict[str, Any]:
    size = decimal_field(table, "package_size", "100", required=True)
    if size == _ZERO:
        table.refuse("package_size", "must be greater than 0; write how many units one package has")
    return {"package_size": plain(size or _ZERO)} | required_decimal(table, "price_per_package", "9.00")


def _percentage(table: Table) -> dict[str, Any]:
    return required_decimal(table, "percent", "2.5") | read_bounds(table, "minimum", "maximum", "0.50")


def _tiers(table: Table) -> dict[str, Any]:
    """Read the tiers of a graduated or volume entry, in rising order. The last one has no end."""
    raw = table.required("tiers", 'write a list such as [{up_to = "100", price_per_unit = "1"}, …]')
    if raw is None:
        return {"tiers": []}
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse("tiers", f"must be a list of tiers, got {short_repr(raw)}")
        return {"tiers": []}
    if not 1 <= len(raw) <= MAX_TIERS:
        table.refuse("tiers", f"has {len(raw)} tiers; write 1 to {MAX_TIERS}")
        return {"tiers": []}
    tiers = []
    border = _ZERO
    for index, raw_tier in enumerate(raw):
        tier = Table(raw_tier, field_path(table.path, f"tiers[{index}]"), TIER_FIELDS)
        border = _border(tier, border, last=index == len(raw) - 1)
        read = {} if tier.get("up_to") is None else {"up_to": plain(border)}
        tiers.append(
            read | required_decimal(tier, "price_per_unit", "0.99") | _optional_decimal(tier, "flat_fee", "5.00")
        )
        table.mistakes.extend(tier.mistakes)
    return {"tiers": tiers}


def _border(tier: Table, below: Decimal, *, last: bool) -> Decimal:
    """Return the end of the tier, or `below`, the end of the tier before, if it has no valid end."""
    border = decimal_field(tier, "up_to", "100", required=not last, missing="only the last tier has no end")
    if border is None:
        return below
    if border <= below:
        tier.refuse("up_to", f"must be greater than {plain(below)}" + (", where the tier before ends" if below else ""))
    if last:
        tier.refuse("up_to", "must be absent: the last tier has no end; remove it, or write one more tier")
    return max(border, below)


_READERS: Final[Mapping[str, Callable[[Table], dict[str, Any]]]] = {
    FLAT: _flat,
    GRADUATED: _tiers,
    VOLUME: _tiers,
    PACKAGE: _package,
    PERCENTAGE: _percentage,
}


def read_tax_key(table: Table) -> dict[str, str]:
    """Read the key of a tax, and omit it if it is absent."""
    key = table.optional_text(TAX)
    return {} if key is None else {TAX: key}


def required_decimal(table: Table, name: str, example: str) -> dict[str, str]:
    return {name: plain(decimal_field(table, name, example, required=True) or _ZERO)}


def _optional_decimal(table: Table, name: str, example: str) -> dict[str, str]:
    """Read a field whose default is 0, and omit the default."""
    value = decimal_field(table, name, example)
    return {name: plain(value)} if value else {}


def read_bounds(table: Table, least: str, most: str, example: str) -> dict[str, str]:
    """Read a lower bound, by default 0, and an upper bound, by default none (0 is a valid upper bound)."""
    found = _optional_decimal(table, least, example)
    highest = decimal_field(table, most, example)
    if highest is None:
        return found
    lowest = Decimal(found.get(least, "0"))
    if highest < lowest:
        problem = f"must be at least {plain(lowest)}, the value of {least}"
        table.refuse(most, problem, code=BELOW_BOUND, bound=least, value=plain(lowest))
    return found | {most: plain(highest)}


def decimal_field(
    table: Table, name: str, example: str, *, required: bool = False, missing: str = ""
) -> Decimal | None:
    """Return a decimal string of the table, or None if absent or invalid. TOML numbers are refused because they are
    already rounded."""
    remedy = f'write it as a string, such as "{example}"'
    value = table.get(name)
    if value is None:
        if required:
            problem = f"is missing; {missing}" if missing else "is missing"
            table.required(name, remedy, problem, NO_DECIMAL_STRING, example=example)
        return None
    if not isinstance(value, str):
        table.refuse(name, f"is {short_repr(value)}", remedy, NO_DECIMAL_STRING, example=example)
        return None
    try:
        return decimal_string(value)
    except ValueError as wrong:
        table.refuse(name, f"{short_repr(value)} {wrong}")
        return None
