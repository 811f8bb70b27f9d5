"""Use cases of events and outcomes: find, explain, list, try again.

Imports `app`, `store` and `domain`.
"""
