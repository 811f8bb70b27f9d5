"""Commands for operators: audit, doctor, tokens.

Imports `audit`, `doctor` and `cli.console`.
"""
