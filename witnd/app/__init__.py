"""Use cases: one function for each thing that a person or a program can do, without HTTP and without a terminal.

Imports `audit`, `billing`, `store` and `domain`. The API, the dashboard, commands, tools and the demo call it.
"""
