"""Estimates of open invoices, as if their periods closed now.

Imports `billing.closing`, `store` and `domain`.
"""
