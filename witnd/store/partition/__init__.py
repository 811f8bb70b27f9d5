"""The outcomes of one partition: commits, indexes, deadlines, and outcomes on hold.

Imports `fold` and the packages of the store except `store.invoices`.
"""
