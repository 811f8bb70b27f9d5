"""All routes there are."""

from witnd.web.api import (
    agents,
    changes,
    credit_notes,
    customers,
    deliveries,
    docs,
    events,
    fates,
    health,
    invoices,
    notification_rules,
    outcomes,
    overview,
    problems,
    rate_cards,
    tokens,
)
from witnd.web.route import ROUTES

__all__ = [
    "ROUTES",
    "agents",
    "changes",
    "credit_notes",
    "customers",
    "deliveries",
    "docs",
    "events",
    "fates",
    "health",
    "invoices",
    "notification_rules",
    "outcomes",
    "overview",
    "problems",
    "rate_cards",
    "tokens",
]
