"""Assembly and life of the running process: partitions, invoices, HTTP and leases.

Imports everything but `cli`, `demo` and `mcp`.
"""
