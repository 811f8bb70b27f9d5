"""The pages, one module for each part. `all` imports them, which registers their routes.

Imports `app` and the packages of the dashboard.
"""
