"""Billing events: queues their deliveries, and records what is blocked.

Imports `store.deliveries`, `store.server` and `store.records`.
"""
