"""Stored invoices: what the biller reads and writes, and operations on invoices.

Imports the other packages of the store.
"""
