"""Invoices as files for others: tables, JSON Lines, pages to print, items for Stripe.

Text is made from values that others read: imports `domain` only.
"""
