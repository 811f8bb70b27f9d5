"""HTTP: an API that clients of the hosted product can use unchanged, and the dashboard.

Imports `app`; of `store` only types and errors.
"""
