"""Pages of invoices and credit notes.

Imports `app`, `billing.export` and the packages of the dashboard.
"""
