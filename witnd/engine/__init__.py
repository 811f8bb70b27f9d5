"""The asynchronous shell around the fold: reads the log ahead, loads cold outcomes, commits steps.

Imports `fold`, `store` and `domain`.
"""
