"""Finds the primary for each key behind Sentinels or in a cluster, and routes connections and commands to it.

On a single server, nothing is routed. Imports the clients for one server from `witnd.store.server`.
"""
