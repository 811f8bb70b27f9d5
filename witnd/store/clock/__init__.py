"""The server's clock: reads it, guards against jumps, and records accepted jumps.

Imports `store.server` and `store.access`.
"""
