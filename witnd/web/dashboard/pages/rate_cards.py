"""Rate cards: what outcomes cost, in versions."""
