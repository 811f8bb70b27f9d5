"""Check rules of the catalogue that involve several entries: currencies of own prices, and prices that round to 0.

Imports `domain.catalogue`, `domain.pricing` and `domain.values`.
"""
