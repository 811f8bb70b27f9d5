"""Use cases of the catalogue: read and change its entries, try conditions and quote prices.

Imports `app`, `store` and `domain`.
"""
