"""`witnd demo`: a complete billing system with sample traffic.
Imports the daemon, the store and the audit; only customers and events are samples.
"""
