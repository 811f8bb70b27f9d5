"""Customers: who is billed, by which rate card, and what is theirs alone."""
