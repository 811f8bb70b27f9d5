"""Measurements of the real daemon. `python -m bench.throughput --help`; see README.md."""
