"""Instants, money, periods, strict JSON, and a reader of table fields that collects every error.

Imports no other package of witnd.
"""
