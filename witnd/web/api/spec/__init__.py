"""The description of the API: OpenAPI, and its reference as a page.

Imports `web.http`.
"""
