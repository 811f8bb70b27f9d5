"""Agents, customers and everything else that a catalogue file defines, in versions by instant.

Imports `domain.values`, `domain.pricing` and `domain.webhooks`.
"""
