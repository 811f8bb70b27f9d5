"""Sharing the partitions among all daemons of a deployment.

Imports `store.daemons`; `plan` and `liveness` are plain functions over values.
"""
