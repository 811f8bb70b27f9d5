"""The stored outcomes of one partition: commits, indexes, deadlines and holds.

Imports `fold` and the packages of the store except `store.invoices`.
"""
