"""Recompute stored data from the logs, histories and lines, and report differences.

Imports `store` and `domain`.
"""
