"""Commands that start a server: run, demo, mcp.

Imports `daemon`, `demo`, `mcp` and `cli.console`.
"""
