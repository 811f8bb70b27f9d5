"""The dashboard: pages rendered on the server, over the same use cases as the API. Scripts are optional.

Imports `app` and `web.http`.
"""
