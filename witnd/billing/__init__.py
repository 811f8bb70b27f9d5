"""Invoices: collect lines, close periods, issue invoices.

Imports `store` and `domain`.
"""
