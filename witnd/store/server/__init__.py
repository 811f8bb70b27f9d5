"""One Redis server: connections, login, retries, scripts, leases, safety checks, and the private server.

Imports the errors and keys of the store.
"""
