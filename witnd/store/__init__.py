"""Everything that uses Redis: connections, keys, stored records, scripts.

Imports `fold` and `domain`. Only this package imports redis-py, apart from the client of applications.
"""
