"""The audit of one partition: outcomes counted again, streams, lists and look-ups.

Imports `audit.scope`, `store` and `domain`.
"""
