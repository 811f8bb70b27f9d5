"""Webhooks: send committed deliveries as signed requests.

Imports `store` and `domain`.
"""
