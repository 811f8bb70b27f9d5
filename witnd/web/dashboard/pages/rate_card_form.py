"""Writing prices: of a rate card or of one customer alone, with what they would come to."""
