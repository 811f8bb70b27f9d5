"""The audit of one partition: recounted outcomes, streams, lists and lookups.

Imports `audit.scope`, `store` and `domain`.
"""
