"""Pages of agents, customers and rate cards.

Imports `app` and the packages of the dashboard.
"""
