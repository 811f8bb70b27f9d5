"""Events and outcomes: read an event, open and settle an outcome, explain it, count it again.

Imports the other packages of the domain except `domain.invoices`.
"""
