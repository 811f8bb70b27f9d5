"""How values are shown to people: words, instants, charts, markup.

Imports `domain`.
"""
