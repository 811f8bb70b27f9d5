"""Commands for the catalogue: apply, check, list versions, quote prices.

Imports `app` and `cli.console`.
"""
