"""Invoices, credit notes, and the operations that an invoice allows.

Imports the other packages of the domain.
"""
