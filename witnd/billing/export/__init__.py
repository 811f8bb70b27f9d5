"""Invoices as files for others: tables, JSON Lines, pages to print, items for Stripe.

Pure: text is made from values that others read.
"""
