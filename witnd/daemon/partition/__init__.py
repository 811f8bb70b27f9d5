"""One partition of a daemon: own it, check its data, confirm its steps, send its webhooks.

Imports `engine`, `notify` and `store`.
"""
