"""Data as this version stores it, so that a later version can prove that it still reads them.

`python -m tests.golden.generate` writes the file of the present format anew. What needs that is a change of the stored
layout: while a format is not released, write the file anew; afterwards, raise the format.
"""
