"""The versions of a catalogue entry for people: fields as text, differences and history.

Imports `domain.catalogue`, `domain.pricing` and `domain.values`.
"""
