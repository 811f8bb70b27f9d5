"""Forms: from posted fields to values and back, with errors beside their fields.

Imports `app` and `domain`.
"""
