"""What needs a person: events that wait or were refused, webhooks that are stuck; and asking again."""
