"""Events and outcomes: read events, apply them, settle, explain and recount outcomes.

Imports the other packages of the domain except `domain.invoices`.
"""
