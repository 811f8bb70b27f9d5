"""Export invoices as items for Stripe. Imports `domain` and the other exports."""

from witnd.billing.export.stripe.requests import ITEMS_MAX, chargeable_total, requests
from witnd.billing.export.stripe.scale import UnsupportedByStripe, scale

__all__ = ["ITEMS_MAX", "UnsupportedByStripe", "chargeable_total", "requests", "scale"]
