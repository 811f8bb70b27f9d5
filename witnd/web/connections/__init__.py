"""Connections: accept them, limit their number, and limit the log lines that clients cause.

Imports the errors of `web`.
"""
