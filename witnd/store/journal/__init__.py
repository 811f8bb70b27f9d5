"""The progress that Redis must have: a file in the state directory, and the repair of what Redis lost.

Imports `store.server`, `store.records` and `store.clock`.
"""
