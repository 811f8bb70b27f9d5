"""All routes there are: those of the API, and the pages of the dashboard."""

from witnd.web.api import (
    changes,
    deliveries,
    docs,
    events,
    fates,
    health,
    outcomes,
    overview,
    problems,
    tokens,
)
from witnd.web.api.billing import ageing, balances, credit_notes, invoice_operations, invoices, manual_lines
from witnd.web.api.catalogue import agents, customers, notification_rules, rate_cards, seller, taxes
from witnd.web.dashboard.pages.all import PAGES
from witnd.web.dashboard.view import PREFIX, refused_page
from witnd.web.http.route import ROUTES, HtmlErrors

#: Refusals of requests for pages of the dashboard.
HTML_ERRORS = HtmlErrors(PREFIX, refused_page)

__all__ = [
    "HTML_ERRORS",
    "PAGES",
    "ROUTES",
    "ageing",
    "agents",
    "balances",
    "changes",
    "credit_notes",
    "customers",
    "deliveries",
    "docs",
    "events",
    "fates",
    "health",
    "invoice_operations",
    "invoices",
    "manual_lines",
    "notification_rules",
    "outcomes",
    "overview",
    "problems",
    "rate_cards",
    "seller",
    "taxes",
    "tokens",
]
