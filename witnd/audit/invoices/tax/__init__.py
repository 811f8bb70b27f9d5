"""The audit of taxes and of the data that an invoice takes at issue, recomputed from rows and catalogue.

Imports the rest of `audit.invoices`, `domain` and `store`.
"""
