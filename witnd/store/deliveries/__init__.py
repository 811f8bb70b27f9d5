"""The outbox of webhooks: writes, queues and lists deliveries.

Imports `store.server` and `store.records`.
"""
