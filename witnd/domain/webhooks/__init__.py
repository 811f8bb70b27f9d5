"""Notification rules, frozen messages, and the state of deliveries.

Imports `domain.values`.
"""
