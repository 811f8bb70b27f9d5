"""The calendar of periods that the biller decides, and drafts of periods in which only fees are due.

Imports `billing.steps`, `store` and `domain`.
"""
