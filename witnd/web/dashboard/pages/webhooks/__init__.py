"""Pages of notification rules and deliveries.

Imports `app` and the packages of the dashboard.
"""
