"""Checks of Redis, clocks, stored data and the host, with a remedy for each problem.

Imports `store`, `config` and `domain`.
"""
