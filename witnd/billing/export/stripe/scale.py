"""Stripe's units of each currency, and what can be charged in it."""

from decimal import Decimal
from typing import Final, NamedTuple

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import product, to_minor

# Currencies whose smallest unit differs from ISO 4217, or in which not every amount can be charged.
_WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_WHOLE_IN_HUNDREDTHS: Final = frozenset(("ISK", "UGX"))
_HUNDREDTHS_IN_THOUSANDTHS: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


class UnsupportedByStripe(ValueError):  # noqa: N818 - a refused request, not a programming error
    """Stripe cannot charge the invoice. The message has the remedy."""


class Scale(NamedTuple):
    """Stripe's smallest unit is 10^-digits, and what can be charged has at most `chargeable_digits` digits."""

    digits: int
    chargeable_digits: int

    def nearest(self, amount: Decimal) -> Decimal:
        """Return the nearest chargeable amount, with halves rounded away from zero."""
        return to_minor(amount, self.chargeable_digits)

    def units(self, amount: Decimal) -> int:
        return int(product(self.nearest(amount), Decimal(10) ** self.digits))

    def amount(self, units: int) -> Decimal:
        return product(Decimal(units), Decimal((0, (1,), -self.digits)))


def scale(invoice: Invoice) -> Scale:
    """Return the scale of the currency. Raises UnsupportedByStripe."""
    currency = invoice.currency
    if currency in _WHOLE:
        return Scale(0, 0)
    if currency in _WHOLE_IN_HUNDREDTHS:
        return Scale(2, 0)
    if currency in _HUNDREDTHS_IN_THOUSANDTHS:
        return Scale(3, 2)
    if invoice.digits == 2:
        return Scale(2, 2)
    raise UnsupportedByStripe(f"Stripe does not charge in {currency}; export this invoice as csv or pdf instead")
