"""The audit of invoices: lines, rows, totals, credits and indexes.

Imports `audit.findings`, `audit.scope`, `store` and `domain`.
"""
