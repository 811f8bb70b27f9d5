"""Routes of invoices, credit notes, payments and balances.

Imports `app`, `domain` and `web.http`.
"""
