"""Export invoices as CSV, JSON Lines, printable pages and Stripe items.
Imports `domain` only.
"""
