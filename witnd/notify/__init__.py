"""Webhooks: from a committed delivery to a signed request that a receiver can verify.

Imports `store` and `domain`.
"""
