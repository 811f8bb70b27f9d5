"""The command line. `main` imports a command when it runs.

Imports `app`, `store` and `domain`; single commands also import `daemon`, `doctor`, `audit`, `demo` or `mcp`.
"""
