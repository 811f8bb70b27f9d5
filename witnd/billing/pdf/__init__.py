"""PDF files of pages, made in a separate process. Imports nothing of witnd.

Laying out a page takes seconds of Python code. In a thread, it would block the event loop. A process cannot delay the
daemon, can be stopped, and returns its memory.
"""
