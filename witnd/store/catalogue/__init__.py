"""The stored catalogue: append versions, load, copy and repair them.

Imports `store.server`, `store.records` and `store.access`.
"""
