"""The running daemon: partitions, invoices, HTTP and leases.

Imports everything but `cli`, `demo` and `mcp`.
"""
