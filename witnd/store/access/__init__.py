"""API tokens, dashboard sessions, the change log, and stored answers for `Idempotency-Key`.

Imports `store.server` and `store.records`.
"""
