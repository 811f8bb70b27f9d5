"""The fold of one partition: the log in order, and deadlines merged into it. No I/O, no clock.

Imports only `domain`.
"""
