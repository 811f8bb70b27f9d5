"""Rate cards, and what confirmed outcomes cost under a price, with the working of every amount.

Imports `domain.values`.
"""
