"""All pages there are."""

from witnd.web.dashboard.page import PAGES
from witnd.web.dashboard.pages import (
    changes,
    events,
    live,
    outcome,
    outcomes,
    overview,
    problems,
    settings,
    static,
    tokens,
)
from witnd.web.dashboard.pages import sign_in as signing_in
from witnd.web.dashboard.pages.catalogue import (
    agent_form,
    agents,
    customer_form,
    customers,
    fees,
    own_terms,
    rate_card_form,
    rate_cards,
    seller,
    taxes,
)
from witnd.web.dashboard.pages.invoices import actions as invoice_actions
from witnd.web.dashboard.pages.invoices import ageing, bulk, credit_notes, invoice, invoices, manual_lines, refunds
from witnd.web.dashboard.pages.invoices import credits as invoice_credits
from witnd.web.dashboard.pages.invoices import files as invoice_files
from witnd.web.dashboard.pages.webhooks import deliveries, notification_form, notifications

__all__ = [
    "PAGES",
    "ageing",
    "agent_form",
    "agents",
    "bulk",
    "changes",
    "credit_notes",
    "customer_form",
    "customers",
    "deliveries",
    "events",
    "fees",
    "invoice",
    "invoice_actions",
    "invoice_credits",
    "invoice_files",
    "invoices",
    "live",
    "manual_lines",
    "notification_form",
    "notifications",
    "outcome",
    "outcomes",
    "overview",
    "own_terms",
    "problems",
    "rate_card_form",
    "rate_cards",
    "refunds",
    "seller",
    "settings",
    "signing_in",
    "static",
    "taxes",
    "tokens",
]
