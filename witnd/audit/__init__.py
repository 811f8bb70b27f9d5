"""Compare everything stored with what it follows from.

Imports `store` and `domain`.
"""
