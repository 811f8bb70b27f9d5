"""What commands, the API and the dashboard read: outcomes, events, counts, in pages.

Imports `store.server`, `store.records`, `store.log` and `store.deliveries`.
"""
