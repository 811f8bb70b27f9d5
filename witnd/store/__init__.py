"""Everything that knows Redis: connections, keys, stored records, and the atomic commit."""
