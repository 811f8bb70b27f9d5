"""Electronic invoices: the content of EN 16931, written as CII and UBL. Imports `domain`, `store` and `export`."""
