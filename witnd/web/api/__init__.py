"""The API, one module for each resource. Importing a module registers its routes.

Imports `app` and `web.http`.
"""
