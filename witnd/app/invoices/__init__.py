"""Use cases of invoices: list, issue, pay, void, credit, export.

Imports `app`, `billing`, `store` and `domain`.
"""
