"""Terms of agents: grades and timers, read and in canonical form.

Imports only the rest of the domain.
"""
