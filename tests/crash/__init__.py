"""Crashes, cuts and rivals against the real daemon and a real server; README.md says what proves what."""
