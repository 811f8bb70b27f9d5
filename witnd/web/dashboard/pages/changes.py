"""The log of changes: who changed what."""
