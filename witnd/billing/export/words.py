"""The words of a document in its language: labels, prices and calculations."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from witnd.billing.export.local_format import LocalFormat
from witnd.billing.export.local_times import LocalTimes
from witnd.domain.catalogue.seller import DEFAULT_LOCALE
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.pricing.ratecard import FLAT, GRADUATED, PACKAGE, PERCENTAGE, VOLUME, Price, Tier
from witnd.domain.pricing.working import REVERSED, adjustment_title, working_text
from witnd.domain.values import instant
from witnd.domain.values.period import HOUR, UTC, Period

_CONTROL_PICTURES: Final = 0x2400
_DELETE: Final = 0x7F
_SPACE: Final = 0x20


class Words(LocalFormat):
    """The texts of one language, with its numbers and dates."""

    def __init__(self, locale: str) -> None:
        super().__init__(locale)
        texts = import_module(f"witnd.billing.export.texts.{locale}")
        self._texts: Mapping[str, str] = texts.TEXTS
        self._phrases: Mapping[str, str] = texts.WORKING
        self._titles: Mapping[str, str] = texts.TITLES

    def __call__(self, key: str, **fields: object) -> str:
        """Return a text with its fields."""
        return self._texts[key].format(**fields) if fields else self._texts[key]

    def count(self, key: str, number: int) -> str:
        """Return the text for a number of things: `1,200 outcomes`."""
        return self(f"{key}_{self.plural(number)}", count=self.group_digits(str(number)))

    def period(self, period: Period) -> str:
        """Format a period, including its last day and its time zone: `1 – 30 November 2026 (UTC)`."""
        return self("utc", dates=self.period_days(period), zone=UTC if period.kind == HOUR else period.zone)

    def working(self, working: Mapping[str, Any], times: LocalTimes) -> str:
        """Return how an amount was calculated. `times`: of the document."""
        if working["kind"] == REVERSED:
            return self._phrases["reversed"].format(at=self.minute(times.local(instant.parse(working["reversed_at"]))))
        return self.format_numbers(working_text(working, self._phrases))

    def title(self, kind: str, working: Mapping[str, Any] | None) -> str:
        """Return the title of a line without an outcome."""
        return adjustment_title(kind, working, self._titles)

    def unit_price(self, price: Price) -> str:
        """Return the text of the unit price column; empty for prices without a unit price."""
        if price.kind == FLAT and price.price_per_unit is not None:
            return self.rate(price.price_per_unit, price.exponent)
        if price.kind == PERCENTAGE and price.percent is not None:
            return f"{self.quantity(price.percent)} %"
        if price.kind == PACKAGE and price.package_size is not None and price.price_per_package is not None:
            each = self.rate(price.price_per_package, price.exponent)
            return self("per_package", price=each, size=self.quantity(price.package_size))
        assert price.kind in (GRADUATED, VOLUME), price
        return self("by_tier")

    def price_lines(self, price: Price) -> list[str]:
        """Describe a price to a customer, one line per term; empty for a flat price. `working.price_text` is for
        operators."""
        return [*self.usage_lines(price), *self.period_lines(price)]

    def usage_lines(self, price: Price) -> list[str]:
        """Return the lines on what outcomes cost."""
        quota = [self("quota", quota=self.quantity(price.free_quota))] if price.free_quota else []
        return [*self._kind_lines(price), *quota]

    def period_lines(self, price: Price) -> list[str]:
        """Return the lines on the bounds of the period."""
        bounds = (("at_least", price.period_minimum or None), ("at_most", price.period_cap))
        return [self(key, amount=self.rate(one, price.exponent)) for key, one in bounds if one is not None]

    def _kind_lines(self, price: Price) -> Iterator[str]:
        if price.kind in (GRADUATED, VOLUME):
            steps = ", ".join([self._tier(price, number, tier) for number, tier in enumerate(price.tiers)])
            yield self("graduated" if price.kind == GRADUATED else "volume", tiers=steps)
        elif price.kind == PACKAGE and price.package_size is not None and price.price_per_package is not None:
            each = self.rate(price.price_per_package, price.exponent)
            yield self("each_package", price=each, size=self.quantity(price.package_size))
        elif price.kind == PERCENTAGE and price.percent is not None:
            limits = (("bound_least", price.minimum or None), ("bound_most", price.maximum))
            bounds = [self(key, amount=self.rate(one, price.exponent)) for key, one in limits if one is not None]
            percent = self.quantity(price.percent)
            both = self("and").join(bounds)
            yield self("bounds", percent=percent, bounds=both) if bounds else self("each_quantity", percent=percent)

    def _tier(self, price: Price, number: int, tier: Tier) -> str:
        each = self.rate(tier.price_per_unit, price.exponent)
        if tier.up_to is None:
            step = self("tier_all" if number == 0 else "tier_above", price=each)
        else:
            key = "tier_first" if number == 0 and price.kind == GRADUATED else "tier_to"
            step = self(key, units=self.quantity(tier.up_to), price=each)
        return self("tier_fee", tier=step, fee=self.rate(tier.flat_fee, price.exponent)) if tier.flat_fee else step


@cache
def words(locale: str) -> Words:
    """Return the words of a language of documents."""
    return Words(locale)


def words_of(data: IssueData | None) -> Words:
    """Return the words of a document: in the language of its buyer, else of its seller."""
    locale = DEFAULT_LOCALE
    if data is not None:
        seller = None if data.seller is None else data.seller.locale
        locale = (None if data.buyer is None else data.buyer.locale) or seller or DEFAULT_LOCALE
    return words(locale)


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def show_control_characters(text: str) -> str:
    """Replace control characters of free text with visible symbols."""
    return "".join([_control_picture(one) for one in text]) if not text.isprintable() else text


def _control_picture(one: str) -> str:
    code = ord(one)
    if code < _SPACE:
        return chr(_CONTROL_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == _DELETE else one
