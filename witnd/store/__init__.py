"""Everything that uses Redis: connections, keys, stored records, scripts.

Imports `fold`, `domain` and redis-py. Domain, fold, engine, notify and billing use Redis only through this package.
"""
