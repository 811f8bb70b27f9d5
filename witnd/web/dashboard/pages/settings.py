"""Settings as this daemon has them, and how it stands."""
