"""The server's clock: read it, guard against jumps, and record what was accepted.

Imports `store.server` and `store.access`.
"""
