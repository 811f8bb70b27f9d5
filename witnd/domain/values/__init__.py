"""Instants, money, periods, strict JSON, and fields of what people write: the values that everything else is made of.

Imports no other package of witnd.
"""
