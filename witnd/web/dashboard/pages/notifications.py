"""Notification rules: where webhooks go, their secrets, a test of the endpoint."""
