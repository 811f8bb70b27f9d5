"""The HTTP server: routes, bodies, answers, errors, tokens and rate limits.

Imports `app` and `web.connections`.
"""
