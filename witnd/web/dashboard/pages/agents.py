"""Agents: what makes an outcome billable, in versions."""
