"""The journal file, which detects data that Redis lost, and the repair after a loss.

Imports `store.server`, `store.records` and `store.clock`.
"""
