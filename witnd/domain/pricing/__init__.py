"""Rate cards, and the amounts of confirmed outcomes with their calculation.

Imports `domain.values`.
"""
