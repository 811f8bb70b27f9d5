"""The stored catalogue: appends, loads, copies and repairs its versions.

Imports `store.server`, `store.records` and `store.access`.
"""
