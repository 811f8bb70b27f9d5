"""Checks of a change of the catalogue beyond single fields: currencies of own prices, and prices that round to 0.

Imports `domain.catalogue`, `domain.pricing` and `domain.values`.
"""
