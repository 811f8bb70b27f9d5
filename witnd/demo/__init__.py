"""`witnd demo`: a whole billing system on sample traffic for a few seconds, and an account of it.

The daemon, the server and the audit are the real ones; only customers and their events are made up.
"""
