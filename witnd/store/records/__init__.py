"""Stored forms: codecs, their format numbers and checksums, and the fields that record progress.

Imports the errors of the store, and `domain`.
"""
