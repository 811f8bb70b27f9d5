"""One outcome: what happened to it, in order, and why it was billed or not."""
