"""Commands for events, outcomes and deliveries.

Imports `app` and `cli.console`.
"""
