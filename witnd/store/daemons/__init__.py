"""Which daemons run, and which partitions each of them has.

Imports `store.server` and `store.keys`.
"""
