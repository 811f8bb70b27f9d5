"""Stored invoices: reads and writes of the biller, lists, and operations.

Imports the other packages of the store.
"""
