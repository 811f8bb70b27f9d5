"""Invoices: collect lines, close periods, issue.

Imports `store` and `domain`.
"""
