"""HTTP: an API that clients of the hosted product can use unchanged, and the dashboard.

Imports `app` and `billing.export`; from `store`, mostly types and errors.
"""
