"""The texts of documents in each language, by the same keys.

Each module has `TEXTS`, the phrases of calculations (`WORKING`) and the names of lines without an outcome (`TITLES`). A
text with `_one` or `_other` at the end of its key depends on a number. Imports `domain` only.
"""
