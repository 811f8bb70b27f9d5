"""Use cases: one function for each thing that a person or a program can do, without HTTP and without a terminal.

Imports `store`, `billing` and `domain`. The API, the dashboard, commands and tools call it.
"""
