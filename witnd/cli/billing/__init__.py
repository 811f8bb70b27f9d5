"""Commands for invoices.

Imports `app`, `billing` and `cli.console`.
"""
