"""The command line. `main` imports a command when it runs.

Imports everything but `web`.
"""
