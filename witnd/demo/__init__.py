"""`witnd demo`: a complete billing system with sample traffic.

Imports `daemon`, `web` and `app`: the daemon, use cases and texts are the product's. Only customers and events are
samples.
"""
