"""Parts of the form for the terms of an agent: grades, timers and periods.

Imports `dashboard.forms` and `domain`.
"""
