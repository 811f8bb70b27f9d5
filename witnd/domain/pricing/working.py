"""The calculation of an amount as text.

`rating` creates a working, and it is stored with its line.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from witnd.domain.pricing.ratecard import PACKAGE, PERCENTAGE, VOLUME, Price
from witnd.domain.values.money import exact_sum, plain

MANUAL: Final = "manual"
REVERSED: Final = "reversed"
#: Names of the lines without an outcome.
ADJUSTMENTS: Final = {
    "fee": "flat fee",
    "minimum": "period minimum",
    "cap": "period cap",
    "recurring": "recurring fee",
    "commitment": "commitment",
    "commitment_cap": "commitment cap",
    MANUAL: "manual line",
}
_BOUNDS: Final = (("minimum", "least"), ("maximum", "most"))


def working_text(working: Mapping[str, Any]) -> str:
    """Return the working in one line, without currency: `10 × 1 + 10 × 0.5 = 15, rounded 15.00`."""
    kind = working["kind"]
    if kind == MANUAL:
        return f"{working['requested']} requested, reduced so that no taxable amount is negative"
    if kind == REVERSED:
        return f"reversed at {working['reversed_at']}, so nothing is charged"
    if kind in ADJUSTMENTS:
        return _adjustment(working)
    said = _free(working)
    if kind == PERCENTAGE:
        said += _part(working)
    elif kind == PACKAGE:
        said += _packages(working)
    else:
        slices = working["slices"]
        total = f" = {working['exact']}" if slices else ""
        said += (" + ".join([_slice(one) for one in slices]) or "nothing is charged") + total
        if kind == VOLUME and slices:
            said += f" ({working['charged_total']} in the period)"
    return said + _rounding(working)


def price_text(price: Price) -> str:
    """Return the price in one line, without currency: `graduated: 1 up to 100, 0.5 beyond; 10 units free`."""
    parts = [_per_unit(price)]
    if price.free_quota:
        parts.append(f"{plain(price.free_quota)} units free")
    if price.period_minimum:
        parts.append(f"at least {plain(price.period_minimum)} in a period")
    if price.period_cap is not None:
        parts.append(f"at most {plain(price.period_cap)} in a period")
    return "; ".join(parts)


def _per_unit(price: Price) -> str:
    entry = price.entry
    if price.tiers:
        return f"{price.kind}: " + ", ".join(map(_step, entry["tiers"]))
    if price.kind == PACKAGE:
        return f"{entry['price_per_package']} per package of {entry['package_size']} units begun"
    if price.kind == PERCENTAGE:
        bounds = [f", at {word} {entry[name]}" for name, word in _BOUNDS if name in entry]
        return f"{entry['percent']} % of the unit" + "".join(bounds)
    return f"{entry['price_per_unit']} per unit"


def _step(tier: Mapping[str, str]) -> str:
    fee = f" and a fee of {tier['flat_fee']}" if "flat_fee" in tier else ""
    return f"{tier['price_per_unit']}{fee} " + (f"up to {tier['up_to']}" if "up_to" in tier else "beyond")


def _free(working: Mapping[str, Any]) -> str:
    free = working.get("free", "0")
    return "" if free == "0" else f"{free} free; "


def _slice(one: Mapping[str, Any]) -> str:
    tier = f" (tier {one['tier']})" if "tier" in one else ""
    return f"{one['units']} × {one['price_per_unit']}{tier}"


def _part(working: Mapping[str, Any]) -> str:
    charged = working.get("charged", working["unit"])
    if charged == "0":
        return "nothing is charged"
    said = f"{working['percent']} % of {charged} = {working['part']}"
    bounds = [f", at {word} {working[name]}" for name, word in _BOUNDS if name in working]
    return said + "".join(bounds)


def _packages(working: Mapping[str, Any]) -> str:
    count, size = working["packages"], working["package_size"]
    if working["charged"] == "0":
        return "nothing is charged"
    if count == "0":
        return f"within a package of {size} that was begun before"
    packages = "package" if count == "1" else "packages"
    return f"{count} {packages} of {size} × {working['price_per_package']} = {working['exact']}"


def _adjustment(working: Mapping[str, Any]) -> str:
    kind = working["kind"]
    if kind == "fee":
        return f"{working['exact']} for reaching tier {working['tier']} with {working['charged']}" + _rounding(working)
    if kind == "recurring":
        return (
            f"{_days(working)} = {working['exact']}" if "parts" in working else f"{working['exact']} for the period"
        ) + _rounding(working)
    is_minimum = kind in ("minimum", "commitment")
    limit = working["period_minimum" if is_minimum else "period_cap"]
    if "parts" in working:
        limit = f"{limit} ({_days(working)})"
    sign = "less than" if is_minimum else "more than"
    return f"{working['total_before']} is {sign} {limit}: {working['rounded']}"


def adjustment_title(kind: str, working: Mapping[str, Any] | None) -> str:
    """Return the title of a line without an outcome; of a recurring fee its own name."""
    if kind == "recurring" and working is not None:
        return str(working["name"])
    return ADJUSTMENTS.get(kind, kind).capitalize()


def _days(working: Mapping[str, Any]) -> str:
    """Return the parts of a period: `12 of 30 days × 100 + 18 of 30 days × 200`."""
    return " + ".join([f"{one['days']} of {working['days']} days × {one['amount']}" for one in working["parts"]])


def _rounding(working: Mapping[str, Any]) -> str:
    """Return how the amount was rounded, or nothing if it was not."""
    cost, rounded = Decimal(working["exact"]), Decimal(working["rounded"])
    if cost == rounded:
        return ""
    before = Decimal(working.get("sum_before", "0"))
    if not before:
        return f", rounded {working['rounded']}"
    after = exact_sum((before, cost))
    return f", rounded {working['rounded']} (the period's sum goes from {plain(before)} to {plain(after)})"
