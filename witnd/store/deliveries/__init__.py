"""The outbox of webhooks: write, queue and list deliveries.

Imports `store.server` and `store.records`.
"""
