"""The API of agents, customers, rate cards and notification rules.

Imports `app` and `web.http`.
"""
