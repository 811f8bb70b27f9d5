"""`witnd repair`: repair data that the daemon refuses to process.

Imports `store`, `engine` and `cli.console`.
"""
