"""The process and its host: systemd, signals, open files, garbage collection, checks before the start.

Imports `config` and `store`.
"""
