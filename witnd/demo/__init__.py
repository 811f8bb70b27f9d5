"""`witnd demo`: a complete billing system with sample traffic, for a few seconds.

Imports the daemon, the store and the audit: only customers and their events are made up.
"""
