"""The API of the catalogue: agents, customers, rate cards, taxes, the seller and notification rules.

Imports `app` and `web.http`.
"""
