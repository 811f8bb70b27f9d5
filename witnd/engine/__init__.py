"""The asynchronous shell around the fold: read the log ahead, load cold outcomes, commit steps.

Imports `fold`, `store` and `domain`.
"""
