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
ADJUSTMENTS: Final[Mapping[str, str]] = {
    "fee": "flat fee",
    "minimum": "period minimum",
    "cap": "period cap",
    "recurring": "recurring fee",
    "commitment": "commitment",
    "commitment_cap": "commitment cap",
    MANUAL: "manual line",
}
#: The phrases of a calculation. Documents in other languages have their own, with the same keys and fields.
ENGLISH: Final[Mapping[str, str]] = {
    "manual": "{requested} requested, reduced so that no taxable amount is negative",
    "reversed": "reversed at {at}, so nothing is charged",
    "free": "{free} free; ",
    "nothing": "nothing is charged",
    "of_period": " ({total} in the period)",
    "slice": "{units} × {price}",
    "slice_of_tier": "{units} × {price} (tier {tier})",
    "percentage": "{percent} % of {charged} = {part}",
    "least": ", at least {bound}",
    "most": ", at most {bound}",
    "earlier_package": "within a package of {size} that was begun before",
    "package": "{count} package of {size} × {price} = {exact}",
    "packages": "{count} packages of {size} × {price} = {exact}",
    "tier_fee": "{exact} for reaching tier {tier} with {charged}",
    "whole_period": "{exact} for the period",
    "days": "{days} of {all} days × {amount}",
    "too_little": "{total} is less than {limit}: {rounded}",
    "too_much": "{total} is more than {limit}: {rounded}",
    "rounded": ", rounded {rounded}",
    "rounded_in_sum": ", rounded {rounded} (the period's sum goes from {before} to {after})",
}
_BOUNDS: Final = (("minimum", "least"), ("maximum", "most"))


def working_text(working: Mapping[str, Any], phrases: Mapping[str, str] = ENGLISH) -> str:
    """Return the working in one line, without currency: `10 × 1 + 10 × 0.5 = 15, rounded 15.00`."""
    kind = working["kind"]
    if kind == MANUAL:
        return phrases["manual"].format(requested=working["requested"])
    if kind == REVERSED:
        return phrases["reversed"].format(at=working["reversed_at"])
    if kind in ADJUSTMENTS:
        return _adjustment(working, phrases)
    free = working.get("free", "0")
    said = "" if free == "0" else phrases["free"].format(free=free)
    if kind == PERCENTAGE:
        said += _part(working, phrases)
    elif kind == PACKAGE:
        said += _packages(working, phrases)
    else:
        slices = working["slices"]
        total = f" = {working['exact']}" if slices else ""
        said += (" + ".join([_slice(one, phrases) for one in slices]) or phrases["nothing"]) + total
        if kind == VOLUME and slices:
            said += phrases["of_period"].format(total=working["charged_total"])
    return said + _rounding(working, phrases)


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


def _slice(one: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    if "tier" not in one:
        return phrases["slice"].format(units=one["units"], price=one["price_per_unit"])
    return phrases["slice_of_tier"].format(units=one["units"], price=one["price_per_unit"], tier=one["tier"])


def _part(working: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    charged = working.get("charged", working["unit"])
    if charged == "0":
        return phrases["nothing"]
    said = phrases["percentage"].format(percent=working["percent"], charged=charged, part=working["part"])
    return said + "".join([phrases[word].format(bound=working[name]) for name, word in _BOUNDS if name in working])


def _packages(working: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    count, size = working["packages"], working["package_size"]
    if working["charged"] == "0":
        return phrases["nothing"]
    if count == "0":
        return phrases["earlier_package"].format(size=size)
    return phrases["package" if count == "1" else "packages"].format(
        count=count, size=size, price=working["price_per_package"], exact=working["exact"]
    )


def _adjustment(working: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    kind = working["kind"]
    if kind == "fee":
        said = phrases["tier_fee"].format(exact=working["exact"], tier=working["tier"], charged=working["charged"])
        return said + _rounding(working, phrases)
    if kind == "recurring":
        days = "parts" in working
        said = (
            f"{_days(working, phrases)} = {working['exact']}"
            if days
            else phrases["whole_period"].format(exact=working["exact"])
        )
        return said + _rounding(working, phrases)
    is_minimum = kind in ("minimum", "commitment")
    limit = working["period_minimum" if is_minimum else "period_cap"]
    if "parts" in working:
        limit = f"{limit} ({_days(working, phrases)})"
    return phrases["too_little" if is_minimum else "too_much"].format(
        total=working["total_before"], limit=limit, rounded=working["rounded"]
    )


def adjustment_title(kind: str, working: Mapping[str, Any] | None, titles: Mapping[str, str] = ADJUSTMENTS) -> str:
    """Return the title of a line without an outcome; of a recurring fee its own name."""
    if kind == "recurring" and working is not None:
        return str(working["name"])
    title = titles.get(kind, kind)
    return title[:1].upper() + title[1:]


def _days(working: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    """Return the parts of a period: `12 of 30 days × 100 + 18 of 30 days × 200`."""
    return " + ".join(
        [
            phrases["days"].format(days=one["days"], all=working["days"], amount=one["amount"])
            for one in working["parts"]
        ]
    )


def _rounding(working: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    """Return how the amount was rounded, or nothing if it was not."""
    cost, rounded = Decimal(working["exact"]), Decimal(working["rounded"])
    if cost == rounded:
        return ""
    before = Decimal(working.get("sum_before", "0"))
    if not before:
        return phrases["rounded"].format(rounded=working["rounded"])
    after = exact_sum((before, cost))
    return phrases["rounded_in_sum"].format(rounded=working["rounded"], before=plain(before), after=plain(after))
