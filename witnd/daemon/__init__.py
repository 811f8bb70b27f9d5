"""The running daemon: partitions, invoices, HTTP and leases.

Imports `web`, `app`, `engine`, `notify`, `billing` and `store`.
"""
