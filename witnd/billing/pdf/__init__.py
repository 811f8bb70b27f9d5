"""PDF files of pages, made in a separate process. Imports nothing of witnd.

Laying out a page is seconds of Python code. In a thread it would compete with the event loop for the interpreter; in a
process it cannot delay the daemon, it can be stopped, and its memory is returned.
"""
