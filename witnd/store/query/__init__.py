"""Reads of outcomes, events and counts, in pages, for commands, the API and the dashboard.

Imports `store.server`, `store.records`, `store.log` and `store.deliveries`.
"""
