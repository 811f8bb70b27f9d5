"""Decisions about billing, as plain functions over values: no I/O, no clock, no randomness.

Imports only the standard library, msgspec and iso4217.
"""
