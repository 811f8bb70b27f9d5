"""Deliveries: what was sent, what was answered, and sending it again."""
