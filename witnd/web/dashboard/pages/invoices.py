"""Invoices: found, read, exported."""
