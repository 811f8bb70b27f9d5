"""The HTTP side: an API that the hosted product's clients can use unchanged, and what operators need."""
