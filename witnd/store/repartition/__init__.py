"""Moves outcomes to new partitions: `witnd repartition`.

Imports the packages of the store except `store.invoices`.
"""
