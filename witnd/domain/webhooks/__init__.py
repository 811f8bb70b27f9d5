"""Notification rules, the frozen message of a delivery, and the life of a delivery.

Imports `domain.values`.
"""
