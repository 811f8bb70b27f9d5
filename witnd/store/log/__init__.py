"""The event log of a partition: append, read, and repair gaps.

Imports `store.server`, `store.records`, `store.clock` and `store.catalogue`.
"""
