"""Use cases of the catalogue: read, change, try and quote agents, customers, rate cards and notification rules.

Imports `app`, `store` and `domain`.
"""
