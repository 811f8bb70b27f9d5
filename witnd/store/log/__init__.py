"""The log of events: append to it, read it, find gaps in it and repair them.

Imports `store.server`, `store.records`, `store.clock` and `store.catalogue`.
"""
