"""All routes there are: those of the API, and the pages of the dashboard."""

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
from witnd.web.dashboard.pages.all import PAGES
from witnd.web.route import ROUTES

__all__ = [
    "PAGES",
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
